"""Ids of what events refer to: their types, the traits that these have had, and whose they are."""

from __future__ import annotations

from typing import NamedTuple

from metering.messages import EventBody

from .dimensions import Dimensions, Table

__all__ = ["EventIds", "resolve_events"]

_TYPES = Table(
    find="SELECT wanted.name, t.id FROM (VALUES %s) AS wanted(name) JOIN metering_eventtype t USING (name)",
    insert="INSERT INTO metering_eventtype (name) VALUES %s ON CONFLICT DO NOTHING",
)
_OWNERS = Table(
    find="""SELECT wanted.project_id, wanted.user_id, o.id FROM (VALUES %s) AS wanted(project_id, user_id)
            JOIN metering_eventowner o ON o.project_id IS NOT DISTINCT FROM wanted.project_id::text
             AND o.user_id IS NOT DISTINCT FROM wanted.user_id::text""",
    insert="INSERT INTO metering_eventowner (project_id, user_id) VALUES %s ON CONFLICT DO NOTHING",
)
_TRAIT_KINDS = Table(
    find="""SELECT wanted.event_type_id, wanted.name, wanted.type, k.id
            FROM (VALUES %s) AS wanted(event_type_id, name, type) JOIN metering_traitkind k USING (event_type_id, name, type)""",
    insert="INSERT INTO metering_traitkind (event_type_id, name, type) VALUES %s ON CONFLICT DO NOTHING",
)


class EventIds(NamedTuple):
    """Row ids parallel to the body's list of events."""

    types: list[int]
    owners: list[int]


def resolve_events(body: EventBody, dimensions: Dimensions) -> EventIds:
    """The ids of all types and owners of a batch, made where missing; and the kinds of its traits are known afterwards.

    No statement when everything was seen before.
    """
    dimensions.make_room()
    types = dimensions.ids(_TYPES, [("event type", event.type) for event in body.events], lambda key: key[1:])
    owners = dimensions.ids(_OWNERS, [("event owner", *event.owner()) for event in body.events], lambda key: key[1:])
    kinds = {
        ("trait kind", type_id, trait.name, trait.type)
        for type_id, event in zip(types, body.events, strict=True)
        for trait in event.traits
    }
    dimensions.ids(_TRAIT_KINDS, sorted(kinds), lambda key: key[1:])
    return EventIds(types, owners)
