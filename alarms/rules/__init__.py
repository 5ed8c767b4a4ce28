"""What each type of alarm means, purely: no store, no clock, no I/O."""
