"""Signatures that prove to a receiver who sent a webhook, and when: https://www.standardwebhooks.com, both of its schemes.

``v1`` is HMAC-SHA256 with a secret that the project shares with us; ``v1a`` is Ed25519 with this deployment's key, whose public half
anybody may have: a receiver that is broken into cannot forge it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Collection
from datetime import datetime
from functools import cache
from uuid import UUID

from django.conf import settings

from alarms.models import WebhookSecret
from metering.messages import PrivateKey

__all__ = ["public_key", "secret_of", "secrets_of", "sign", "webhook_id"]

_SECRET_PREFIX = "whsec_"
_SECRET_BYTES = 32


def sign(delivery_id: UUID, body: bytes, *, secret: str, now: datetime) -> dict[str, str]:
    """The headers of a message that is sent now. ``webhook-id`` is the same in every attempt, ``webhook-timestamp`` is not."""
    timestamp = str(int(now.timestamp()))
    content = f"{webhook_id(delivery_id)}.{timestamp}.".encode() + body
    key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX))
    signatures = {
        "v1": hmac.new(key, content, hashlib.sha256).digest(),
        "v1a": _private_key(settings.CELOMETER_WEBHOOK_KEY_PEM).sign(content, domain=b""),
    }
    return {
        "webhook-id": webhook_id(delivery_id),
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(
            f"{scheme},{base64.b64encode(signature).decode()}" for scheme, signature in signatures.items()
        ),
    }


def webhook_id(delivery_id: UUID) -> str:
    return f"msg_{delivery_id.hex}"


def public_key() -> str:
    """What receivers verify ``v1a`` with: ``whpk_`` and the 32 bytes of the key in base64."""
    return f"whpk_{base64.b64encode(_private_key(settings.CELOMETER_WEBHOOK_KEY_PEM).public.raw).decode()}"


def secret_of(project_id: str) -> str:
    """What this project's receivers verify ``v1`` with: ``whsec_`` and base64. Made on first use."""
    return secrets_of([project_id])[project_id]


def secrets_of(project_ids: Collection[str]) -> dict[str, str]:
    """By project; those that are missing are made. Whoever comes second takes what the first has made."""
    known = dict(WebhookSecret.objects.filter(pk__in=project_ids).values_list("project_id", "secret"))
    missing = sorted(set(project_ids) - known.keys())
    if missing:
        WebhookSecret.objects.bulk_create(
            (WebhookSecret(project_id=project_id, secret=_new_secret()) for project_id in missing),
            ignore_conflicts=True,
        )
        known |= dict(WebhookSecret.objects.filter(pk__in=missing).values_list("project_id", "secret"))
    return known


def _new_secret() -> str:
    return _SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


@cache
def _private_key(pem: str) -> PrivateKey:
    return PrivateKey.from_pem(pem)
