"""Rollups: hours and days of samples, added up once, always equal to what the samples themselves give.

``arithmetic`` says what a rollup is, in plain Python; ``dimension_sets`` which metadata they are kept by; ``recompute`` makes one hour or
one day of them anew. ``metering.housekeeping.rolling`` decides when; ``metering.statistics`` reads them.
"""
