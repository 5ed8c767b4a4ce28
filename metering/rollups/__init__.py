"""Rollups: hours and days of samples, added up once, always equal to what the samples themselves give.

``arithmetic`` says what a rollup is, in plain Python; ``dimension_sets`` which metadata they are kept by; ``recompute`` makes one hour or one day of
them anew. When that is called for, ``metering.housekeeping.rolling`` decides; ``metering.statistics`` reads them.
"""
