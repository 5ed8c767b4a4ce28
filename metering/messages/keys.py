"""Ed25519 keys: an agent holds the private half, the server only public halves."""

from __future__ import annotations

from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from .errors import BadSignature

__all__ = ["PrivateKey", "PublicKey"]

# Binds a signature to its use: a header's signature can never pass for one over anything else.
BATCH_HEADER = b"celometer batch header v1\x00"


class PublicKey:
    """The half that verifies. ``id`` is the first 16 hex digits of SHA-256 over its 32 bytes."""

    def __init__(self, raw: bytes) -> None:
        if len(raw) != 32:
            raise ValueError(f"public key of {len(raw)} bytes: expected the 32 bytes of an Ed25519 key")
        self.raw = raw
        self.id = sha256(raw).hexdigest()[:16]
        self._key = Ed25519PublicKey.from_public_bytes(raw)

    @classmethod
    def from_pem(cls, text: str) -> PublicKey:
        """Read a PEM public key. Raises ValueError when it is not an Ed25519 one."""
        try:
            key = serialization.load_pem_public_key(text.encode())
        except (ValueError, TypeError) as error:
            raise ValueError("not a public key in PEM form (-----BEGIN PUBLIC KEY-----)") from error
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError(f"not an Ed25519 key but {type(key).__name__}")
        return cls(key.public_bytes_raw())

    def pem(self) -> str:
        return self._key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()

    def verify(self, signature: bytes, data: bytes, *, domain: bytes = BATCH_HEADER) -> None:
        """Raise BadSignature unless ``signature`` is this key's over exactly these bytes, made for this use."""
        try:
            self._key.verify(signature, domain + data)
        except InvalidSignature as error:
            raise BadSignature(f"signature does not fit the signed bytes under key {self.id}") from error


class PrivateKey:
    """The half that signs; lives on the agent in a file of mode 0600."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> PrivateKey:
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, text: str) -> PrivateKey:
        """Read a PEM private key. Raises ValueError when it is not an Ed25519 one."""
        try:
            key = serialization.load_pem_private_key(text.encode(), password=None)
        except (ValueError, TypeError) as error:
            raise ValueError("not a private key in PEM form (-----BEGIN PRIVATE KEY-----)") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"not an Ed25519 key but {type(key).__name__}")
        return cls(key)

    def pem(self) -> str:
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    def sign(self, data: bytes, *, domain: bytes = BATCH_HEADER) -> bytes:
        return self._key.sign(domain + data)
