"""``/v2/events`` and ``/v2/event_types``: what happened, oldest first; which types of events and traits there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from metering.queries.event_filters import EventScope, build_event_filter
from metering.queries.events import (
    EventRow,
    TraitRow,
    find_event,
    list_event_types,
    list_events,
    list_trait_kinds,
    list_traits,
)
from metering.queries.values import read_time

from ..errors import NotFound, OperatorsOnly
from ..operations import Parameter
from ..pages import Page
from ..paths import name_in_path
from ..views import ApiView
from . import contract
from .shapes import event_shape, trait_shape

__all__ = ["EventDetail", "EventList", "EventTypeList", "TraitKindList", "TraitList"]

EVENT_TYPE = Parameter("event_type", "The event type's name.", example="compute.instance.create.end")


class _EventView(ApiView):
    @property
    def event_scope(self) -> EventScope:
        """What the caller may see: operators all events, others those of their projects that are their own."""
        assert self.caller is not None
        return EventScope(self.scope.projects, self.caller.username)


class _OperatorView(ApiView):
    """A list that is not scoped, and long without being asked to be: programs that know no limit get all."""

    def parse_whole_page(self, list_name: str, *readers: Callable[[str], Any]) -> Page:
        """Which entries to answer with. Raises OperatorsOnly, then QueryError."""
        if self.scope.projects is not None:
            raise OperatorsOnly(projects=self.scope.projects)
        return self.parse_page(list_name, *readers, default_limit=settings.CELOMETER_API_MAX_LIMIT)


def _position(row: EventRow | TraitRow) -> tuple[object, ...]:
    return row.generated_at, row.id


class EventList(_EventView):
    title = "Events"
    summary = (
        "What happened, the oldest first. Any field but event_type, message_id, start_timestamp (op ge) and end_timestamp (op le) is the "
        "name of a trait; without a type, a value is compared with traits of every type that it can be read as."
    )
    operations = {"GET": contract.LIST_EVENTS}
    examples = (
        ("The three oldest", "/v2/events?limit=3"),
        ("Since yesterday", "/v2/events?q.field=start_timestamp&q.op=ge&q.value={day}"),
        ("Of one type", "/v2/events?q.field=event_type&q.value=compute.instance.create.end"),
        ("By a trait", "/v2/events?q.field=memory_mb&q.op=ge&q.type=integer&q.value=4096"),
    )

    def get(self, request: Request) -> Response:
        page = self.parse_page("events", read_time, UUID)
        wanted = build_event_filter(self.arguments.items)
        rows = list_events(wanted, scope=self.event_scope, limit=page.limit, after=page.after)
        return self.answer_page(page, rows, shape=event_shape, position=_position)


class EventDetail(_EventView):
    title = "Event"
    summary = "One event, with its traits and the payload that it was made from."
    operations = {"GET": contract.SHOW_EVENT}
    path_parameters = (Parameter("message_id", "The message id of the event's notification."),)
    examples = (("All events", "/v2/events"),)

    def get(self, request: Request, message_id: str) -> Response:
        name = name_in_path(message_id)
        row = find_event(name, scope=self.event_scope)
        if row is None:
            raise NotFound("Event", name)
        return Response(event_shape(row))


class EventTypeList(_OperatorView):
    title = "Event types"
    summary = "The types of which there are events, by name. For operators."
    operations = {"GET": contract.LIST_EVENT_TYPES}
    examples = (("All events", "/v2/events"),)

    def get(self, request: Request) -> Response:
        page = self.parse_whole_page("event types", str)
        names = list_event_types(limit=page.fetch_limit, after=page.after)
        return self.answer_page(page, names, shape=str, position=lambda name: (name,))


class TraitKindList(_OperatorView):
    title = "Traits of an event type"
    summary = "The traits that events of this type have had, strings first. For operators."
    operations = {"GET": contract.LIST_TRAIT_KINDS}
    path_parameters = (EVENT_TYPE,)
    examples = (("All event types", "/v2/event_types"),)

    def get(self, request: Request, event_type: str) -> Response:
        page = self.parse_whole_page("trait kinds", str, str)
        kinds = list_trait_kinds(name_in_path(event_type), limit=page.fetch_limit, after=page.after)
        return self.answer_page(
            page, kinds, shape=lambda kind: {"name": kind[0], "type": kind[1]}, position=lambda kind: (kind[1], kind[0])
        )


class TraitList(_OperatorView):
    title = "One trait of an event type"
    summary = "Its value in each event of this type that has it, the oldest first. For operators."
    operations = {"GET": contract.LIST_TRAITS}
    path_parameters = (EVENT_TYPE, Parameter("trait", "The trait's name.", example="memory_mb"))
    examples = (("All event types", "/v2/event_types"),)

    def get(self, request: Request, event_type: str, trait: str) -> Response:
        page = self.parse_whole_page("traits", read_time, UUID)
        rows = list_traits(name_in_path(event_type), name_in_path(trait), limit=page.fetch_limit, after=page.after)
        return self.answer_page(page, rows, shape=lambda row: trait_shape(row.trait), position=_position)
