"""What the launcher tells a person when it cannot go on."""


class LaunchError(Exception):
    """Something that a person can put right; the text says what, with the values, in a line or two."""
