"""Events for tests, sent as an agent sends them: signed, verified, in the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec
from django.db import connection

from metering.collector.ingestion import Outcome, Result, ingest
from metering.housekeeping.partitions import ensure_weeks, week_of
from metering.messages import Event, Trait, from_microseconds, to_microseconds, trait_text

from .agents import EnrolledAgent

__all__ = ["events_in_store", "make_event", "store_event", "store_events"]


def make_event(
    *,
    id: str | None = None,  # the field's own word
    type: str = "compute.instance.create.end",
    source: str = "openstack",
    at: datetime | str = "2016-01-05T10:00:00",
    project: str | None = "p1",
    user: str | None = "member",
    raw: Any = None,
    **traits: Any,
) -> Event:
    """An event with these traits, typed by their values; ``project`` and ``user`` stand first."""
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC) if isinstance(at, str) else at
    owners = {"project_id": project, "user_id": user}
    given = {name: value for name, value in (owners | traits).items() if value is not None}
    return Event(
        id=id or str(uuid4()),
        type=type,
        source=source,
        generated=to_microseconds(moment),
        traits=[_trait(name, value) for name, value in given.items()],
        raw=msgspec.Raw(raw if isinstance(raw, bytes) else json.dumps({} if raw is None else raw).encode()),
    )


def _trait(name: str, value: Any) -> Trait:
    kinds = {str: "string", int: "integer", float: "float", datetime: "datetime"}
    kind = kinds[type(value)]
    return Trait(name, kind, trait_text(kind, value))


def store_events(events: Iterable[Event], agent: EnrolledAgent | None = None) -> Outcome:
    """Store events in one batch; the partitions they need are made first."""
    events = list(events)
    ensure_weeks({week_of(from_microseconds(event.generated)) for event in events})
    outcome = ingest((agent or EnrolledAgent(f"listener-{uuid4()}")).events_message(events))
    assert outcome.result is Result.STORED, outcome
    return outcome


def store_event(**fields: Any) -> Event:
    """Store one event; see make_event for its fields."""
    event = make_event(**fields)
    store_events([event])
    return event


def events_in_store() -> dict[str, tuple[Any, ...]]:
    """What stands in the store by message id, as text; fails when one stands there twice."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.message_id, t.name, e.source, e.generated_at, e.traits::text, r.raw FROM metering_event e"
            " JOIN metering_eventtype t ON t.id = e.event_type_id"
            " LEFT JOIN metering_eventraw r ON r.generated_at = e.generated_at AND r.id = e.id"
        )
        rows = cursor.fetchall()
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0]: row[1:] for row in rows}
