"""Why a message is refused. Every class has a stable code: it is what the quarantine shows."""

from __future__ import annotations

__all__ = [
    "BadSignature",
    "BadTrait",
    "BadVolume",
    "BatchTooLarge",
    "Malformed",
    "MessageRefused",
    "TamperedBody",
    "UnsupportedVersion",
]


class MessageRefused(Exception):
    """A message that cannot be taken as it is; ``code`` is stable, ``detail`` names the offending value."""

    code = "refused"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Malformed(MessageRefused):
    """The bytes are not a message of ours, or break a rule of its form."""

    code = "malformed"


class UnsupportedVersion(MessageRefused):
    """A format version or kind that this release does not read."""

    code = "unsupported_version"


class BadSignature(MessageRefused):
    """The signature is not that of the header's bytes under the key it names."""

    code = "bad_signature"


class TamperedBody(MessageRefused):
    """The body is not the one that the signed header describes."""

    code = "tampered_body"


class BatchTooLarge(ValueError):
    """More samples or bytes than one batch may hold: split it."""


class BadVolume(MessageRefused, ValueError):
    """A volume that is not a finite decimal number in our grammar."""

    code = "bad_volume"


class BadTrait(MessageRefused, ValueError):
    """A trait's value that is not of its type."""

    code = "bad_trait"
