"""The heart: what a sample is, how it is stored, how it is asked for."""
