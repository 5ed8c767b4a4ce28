"""How long things are kept: what retention.yaml says (``policy``), and below which times nothing is left (``floors``).

Dropping itself is housekeeping's work (``metering.housekeeping.retention``).
"""
