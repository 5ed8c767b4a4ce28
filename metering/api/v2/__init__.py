"""Version 2, as programs written for OpenStack Telemetry know it."""
