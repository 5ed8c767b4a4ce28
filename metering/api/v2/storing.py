"""A POST of samples from its body to the store, once however often it is repeated with the same ``Idempotency-Key``."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from rest_framework.request import Request

from metering.collector.errors import KeyReused
from metering.collector.keyed import KeyedRequest, claim, recall, release
from metering.collector.posting import Posted, post_samples
from metering.messages import MessageRefused
from metering.queries.errors import InvalidInput

from ..arguments import read_json
from ..callers import Caller
from ..errors import Unacceptable
from .posting import PostedSample, parse_samples

__all__ = ["store_posted"]

_HEADER = "Idempotency-Key"
_LONGEST_KEY = 255


def store_posted(request: Request, *, meter: str, caller: Caller) -> tuple[list[PostedSample], Posted]:
    """The samples of a request's body, and where they stand now. A repeated request gets what the first one got.

    Raises QueryError, Unacceptable, PermissionDenied or MessageRefused for what is not stored, and the key remains free then;
    StoreAway.
    """
    body = read_json(request._request)
    now = timezone.now()

    def parse(at: datetime) -> list[PostedSample]:
        return parse_samples(body, meter=meter, caller=caller, now=at)

    keyed = _recall(request, meter=meter, caller=caller, now=now)
    if keyed is None:
        samples = parse(now)
    else:
        samples = parse(keyed.at)
        first = _claim(keyed, request)
        # Samples without a time have that of the first request, which may be another one's by now.
        samples = samples if first.at == keyed.at else parse(first.at)
        keyed = first
    try:
        posted = post_samples([entry.sample for entry in samples], poster=caller.username, now=now, keyed=keyed)
    except MessageRefused:
        if keyed is not None:
            release(keyed)
        raise
    return samples, posted


def _recall(request: Request, *, meter: str, caller: Caller, now: datetime) -> KeyedRequest | None:
    key = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return None
    if not (0 < len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable()):
        raise InvalidInput(_HEADER, key, f"expected 1 to {_LONGEST_KEY} printable characters of ASCII")
    content = (meter.encode(), caller.username.encode(), (caller.project or "").encode(), request._request.body)
    try:
        return recall(key, user_id=request.user.pk, content=content, now=now)
    except KeyReused as error:
        raise _refusal(error, key) from error


def _claim(keyed: KeyedRequest, request: Request) -> KeyedRequest:
    try:
        return claim(keyed)
    except KeyReused as error:
        raise _refusal(error, request.META["HTTP_IDEMPOTENCY_KEY"]) from error


def _refusal(error: KeyReused, key: str) -> Unacceptable:
    text = f"{_HEADER} {key}: {error}"
    return Unacceptable(text, status=422, code="idempotency_key_reused", value=key)
