from __future__ import annotations

import base64
import stat
import threading
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import settings
from django.db import connection
from standardwebhooks import Webhook, WebhookVerificationError

from alarms.deliveries.signing import public_key, secret_of, secrets_of, sign, webhook_id
from alarms.models import WebhookSecret

BODY = '{"alarm_name": "żółw", "reason": "."}'.encode()


def now() -> datetime:
    return datetime.now(UTC)


@pytest.mark.django_db
def test_the_library_of_standard_webhooks_verifies_it() -> None:
    secret = secret_of("orchard")
    headers = sign(uuid4(), BODY, secret=secret, now=now())
    webhook = Webhook(secret)
    assert webhook.verify(BODY, headers) == {"alarm_name": "żółw", "reason": "."}
    for changed in (BODY + b" ", BODY.replace(b".", b"!")):
        with pytest.raises(WebhookVerificationError):
            webhook.verify(changed, headers)
    for name in ("webhook-id", "webhook-timestamp"):
        with pytest.raises(WebhookVerificationError):
            webhook.verify(BODY, headers | {name: "1"})
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_of("another")).verify(BODY, headers)


@pytest.mark.django_db
@pytest.mark.parametrize("hours", [-9, 0, 5])
def test_the_moment_is_the_same_in_every_zone(hours: int) -> None:
    from datetime import timezone

    secret = secret_of("orchard")
    local = now().astimezone(timezone(timedelta(hours=hours)))
    Webhook(secret).verify(BODY, sign(uuid4(), BODY, secret=secret, now=local))


@pytest.mark.django_db
def test_the_public_key_verifies_the_second_signature() -> None:
    delivery_id = uuid4()
    headers = sign(delivery_id, BODY, secret=secret_of("orchard"), now=now())
    schemes = dict(part.split(",") for part in headers["webhook-signature"].split(" "))
    assert list(schemes) == ["v1", "v1a"]
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key().removeprefix("whpk_")))
    content = f"{webhook_id(delivery_id)}.{headers['webhook-timestamp']}.".encode() + BODY
    key.verify(base64.b64decode(schemes["v1a"]), content)
    with pytest.raises(InvalidSignature):
        key.verify(base64.b64decode(schemes["v1a"]), content + b"x")


def test_the_id_has_nothing_that_could_shift_what_is_signed() -> None:
    assert webhook_id(uuid4()).replace("_", "").isalnum()


def test_the_private_key_is_a_file_of_its_own_that_nobody_else_reads() -> None:
    path = settings.CELOMETER_HOME / "alarms" / "webhook.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().strip() == settings.CELOMETER_WEBHOOK_KEY_PEM


@pytest.mark.django_db
def test_each_project_has_one_secret_that_stays() -> None:
    first = secrets_of(["a", "b"])
    assert first["a"] != first["b"]
    assert secrets_of(["a", "b", "c"]) == {**first, "c": secret_of("c")}
    key = base64.b64decode(first["a"].removeprefix("whsec_"))
    assert 24 <= len(key) <= 64


def test_processes_that_are_first_at_once_have_one_secret(store: None) -> None:
    found: list[str] = []

    def ask() -> None:
        found.append(secret_of("orchard"))
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [WebhookSecret.objects.get().secret] * 8
