"""Settings: ``base`` for all, then ``agent`` (no store at all) or ``server``; chosen by CELOMETER_SETTINGS."""
