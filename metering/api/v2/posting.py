"""Posted samples: checked one by one before any is stored, then echoed as they were sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from dateutil import parser as dateutil_parser
from django.conf import settings

from metering.messages import BadVolume, Meter, Resource, Sample, sample_id, volume_text
from metering.queries.errors import InvalidInput, QueryError, shorten
from metering.queries.values import check_text

from ..callers import Caller
from ..renderers import exact
from .shapes import format_time

__all__ = ["PostedSample", "echo_samples", "parse_samples"]

_TYPES = ("gauge", "delta", "cumulative")
_MANDATORY = ("counter_name", "counter_type", "counter_unit", "counter_volume", "resource_id")
_OPTIONAL = ("user_id", "project_id", "source", "timestamp", "resource_metadata", "recorded_at", "message_id")
_MAX_NAME = 255
_MAX_METADATA_DEPTH = 32
_LARGEST_EXPONENT = 300
_DEFAULT_SOURCE = "openstack"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PostedSample(NamedTuple):
    """A sample to store, and how its time and metadata were written."""

    sample: Sample
    sent: Mapping[str, Any]
    shown_time: str


def parse_samples(body: Any, *, meter: str, caller: Caller, now: datetime) -> list[PostedSample]:
    """Check a POST's body. Raises QueryError for the first thing that is wrong, PermissionDenied for a project that the caller
    only reads; nothing is stored then."""
    if body is None or body == []:
        raise QueryError("Samples should be included in request body")
    if not isinstance(body, list):
        raise InvalidInput("samples", type(body).__name__, "Value not a valid list")
    most = settings.CELOMETER_API_MAX_POSTED_SAMPLES
    if len(body) > most:
        raise QueryError(f"{len(body)} samples in one request: expected at most {most}", value=len(body))
    return [_parse(entry, meter=meter, caller=caller, now=now) for entry in body]


def echo_samples(samples: list[PostedSample], *, batch_id: UUID) -> list[dict[str, Any]]:
    """What the answer says: what was sent, with everything filled in that was left out."""
    return [_echo(entry, sample_id(batch_id, position)) for position, entry in enumerate(samples)]


def _parse(entry: Any, *, meter: str, caller: Caller, now: datetime) -> PostedSample:
    if not isinstance(entry, dict):
        raise InvalidInput("samples", entry, "expected an object for each sample")
    _check_keys(entry)
    name = _text(entry, "counter_name")
    if name != meter:
        raise InvalidInput("counter_name", name, f"should be {shorten(meter)}")
    kind = entry["counter_type"]
    if kind not in _TYPES:
        raise InvalidInput("counter_type", kind, f"The counter type must be: {', '.join(_TYPES)}")
    project = _project(entry, caller)
    user = _optional_text(entry, "user_id") or caller.username
    source = f"{project}:{_optional_text(entry, 'source') or _DEFAULT_SOURCE}"
    at, shown_time = _time(entry.get("timestamp"), now)
    resource = Resource(
        id=_text(entry, "resource_id"),
        source=_bounded("source", source),
        project=project,
        user=user,
        metadata=_metadata(entry.get("resource_metadata")),
    )
    unit = _text(entry, "counter_unit", may_be_empty=True)
    sample = Sample(Meter(name, kind, unit), resource, (at - _EPOCH) // timedelta(microseconds=1), _volume(entry))
    return PostedSample(sample, entry, shown_time)


def _check_keys(entry: Mapping[str, Any]) -> None:
    for key in entry:
        if key not in _MANDATORY and key not in _OPTIONAL:
            raise QueryError(f"Unknown attribute for argument samples: {shorten(ascii(key)[1:-1])}", value=ascii(key))
    for key in _MANDATORY:
        if entry.get(key) is None:
            raise InvalidInput(key, None, "Mandatory field missing.")
    if entry.get("message_id") is not None:
        raise InvalidInput("message_id", entry["message_id"], "The message_id must not be set")


def _text(entry: Mapping[str, Any], key: str, *, may_be_empty: bool = False) -> str:
    value = entry[key]
    if not isinstance(value, str):
        raise InvalidInput(key, value, f"Wrong type. Expected text, got {type(value).__name__}.")
    if not value and not may_be_empty:
        raise InvalidInput(key, value, "expected text that is not empty")
    return _bounded(key, value)


def _optional_text(entry: Mapping[str, Any], key: str) -> str | None:
    return _text(entry, key, may_be_empty=True) if entry.get(key) is not None else None


def _bounded(key: str, value: str) -> str:
    if len(value) > _MAX_NAME:
        raise InvalidInput(key, value, f"expected at most {_MAX_NAME} characters, got {len(value)}")
    return check_text(key, value)


def _project(entry: Mapping[str, Any], caller: Caller) -> str | None:
    """The sample's project: as sent, else the caller's. Only operators post to projects that are not theirs, or to none."""
    sent = _optional_text(entry, "project_id") or None
    if caller.is_operator:
        return sent or caller.project
    if sent is None and caller.project is None:
        raise InvalidInput(
            "project_id",
            None,
            f"You belong to {', '.join(caller.projects)}: name one, in the sample or in the header X-Project-Id.",
        )
    if sent is not None and not caller.scope.includes(sent):
        raise InvalidInput("project_id", sent, "can not post samples to other projects")
    project = sent or caller.project
    assert project is not None
    caller.check_may_post(project)
    return project


def _volume(entry: Mapping[str, Any]) -> str:
    value = entry["counter_volume"]
    if isinstance(value, bool):
        value = int(value)
    if not isinstance(value, int | Decimal | str):
        raise InvalidInput("samples", shorten(value), "counter_volume: expected a number, or text of one")
    try:
        return volume_text(value)
    except BadVolume as error:
        raise InvalidInput("samples", shorten(value), f"counter_volume: {error.detail}") from error


def _time(value: Any, now: datetime) -> tuple[datetime, str]:
    """The time in UTC, and as the answer shows it: with the offset that it was sent with."""
    if value is None:
        return now, str(format_time(now))
    if not isinstance(value, str):
        raise InvalidInput("samples", value, "timestamp: expected text, such as 2013-01-01T10:00:00")
    try:
        # What is left out is today's: a time alone is a time of today.
        today = datetime(now.year, now.month, now.day)
        written = dateutil_parser.parse(check_text("timestamp", value[:100]), default=today)
        at = written.astimezone(UTC) if written.tzinfo else written.replace(tzinfo=UTC)
    except (ValueError, OverflowError, TypeError, AttributeError) as error:
        raise InvalidInput(
            "samples", value, "timestamp: expected a date or time, such as 2013-01-01T10:00:00"
        ) from error
    return at, written.isoformat()


def _metadata(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput("samples", value, "resource_metadata: expected an object")
    _check_metadata(value)
    return value


def _check_metadata(metadata: dict[str, Any]) -> None:
    """Everything in it can be stored and compared. Raises InvalidInput."""
    level: list[Any] = [metadata]
    for _ in range(_MAX_METADATA_DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                for key in value:
                    check_text("resource_metadata", key)
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            else:
                _check_scalar(value)
        level = below
        if not level:
            return
    raise InvalidInput("samples", "resource_metadata", f"nested more than {_MAX_METADATA_DEPTH} levels deep")


def _check_scalar(value: Any) -> None:
    if isinstance(value, str):
        check_text("resource_metadata", value)
    elif isinstance(value, Decimal) and abs(value.adjusted()) > _LARGEST_EXPONENT:
        raise InvalidInput("samples", value, f"resource_metadata: expected numbers below 1e{_LARGEST_EXPONENT}")
    elif isinstance(value, int) and abs(value) >= 10**_LARGEST_EXPONENT:
        raise InvalidInput("samples", "integer", f"resource_metadata: expected numbers below 1e{_LARGEST_EXPONENT}")


def _echo(entry: PostedSample, message_id: UUID) -> dict[str, Any]:
    meter, resource, _, volume = entry.sample
    echoed = {
        "source": resource.source,
        "counter_name": meter.name,
        "counter_type": meter.type,
        "counter_unit": meter.unit,
        "counter_volume": exact(Decimal(volume)),
        "user_id": resource.user,
        "project_id": resource.project,
        "resource_id": resource.id,
        "timestamp": entry.shown_time,
        "resource_metadata": resource.metadata,
        "message_id": str(message_id),
    }
    if "recorded_at" in entry.sent:
        echoed["recorded_at"] = entry.sent["recorded_at"]
    return echoed
