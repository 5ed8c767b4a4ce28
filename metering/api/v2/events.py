"""``/v2/events`` and ``/v2/event_types``: what happened, oldest first; which types of events and traits there are."""

from __future__ import annotations

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from metering.queries.event_filters import EventScope, build_event_filter
from metering.queries.events import find_event, list_event_types, list_events, list_trait_kinds, list_traits

from ..errors import NotFound, OperatorsOnly
from ..paths import name_in_path
from ..views import ApiView
from .shapes import event_shape, trait_shape

__all__ = ["EventDetail", "EventList", "EventTypeList", "TraitKindList", "TraitList"]


class _EventView(ApiView):
    @property
    def event_scope(self) -> EventScope:
        """What the caller may see: operators all events, others those of their projects that are their own."""
        assert self.caller is not None
        return EventScope(self.scope.projects, self.caller.username)


class _OperatorView(ApiView):
    """A list that is not scoped, and long without being asked to be: programs that know no limit get all."""

    known_arguments = frozenset({"limit"})

    def parse_whole_limit(self) -> int:
        """How many entries to answer with. Raises OperatorsOnly, then QueryError."""
        if self.scope.projects is not None:
            raise OperatorsOnly(projects=self.scope.projects)
        return self.parse_limit(default=settings.CELOMETER_API_MAX_LIMIT)


class EventList(_EventView):
    title = "Events"
    summary = (
        "What happened, the oldest first. Any field but event_type, message_id, start_timestamp (op ge) and end_timestamp (op le) is the "
        "name of a trait; without a type, a value is compared with traits of every type that it can be read as."
    )
    known_arguments = frozenset({"q", "limit"})
    examples = (
        ("The three oldest", "/v2/events?limit=3"),
        ("Since the beginning of 2026", "/v2/events?q.field=start_timestamp&q.op=ge&q.value=2026-01-01"),
        ("Of one type", "/v2/events?q.field=event_type&q.value=compute.instance.create.end"),
        ("By a trait", "/v2/events?q.field=memory_mb&q.op=ge&q.type=integer&q.value=4096"),
    )

    def get(self, request: Request) -> Response:
        limit = self.parse_limit()
        wanted = build_event_filter(self.arguments.items)
        return Response([event_shape(row) for row in list_events(wanted, scope=self.event_scope, limit=limit)])


class EventDetail(_EventView):
    title = "Event"
    summary = "One event, with its traits and the payload that it was made from."
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
    examples = (("All events", "/v2/events"),)

    def get(self, request: Request) -> Response:
        return Response(list_event_types(limit=self.parse_whole_limit()))


class TraitKindList(_OperatorView):
    title = "Traits of an event type"
    summary = "The traits that events of this type have had, strings first. For operators."
    examples = (("All event types", "/v2/event_types"),)

    def get(self, request: Request, event_type: str) -> Response:
        kinds = list_trait_kinds(name_in_path(event_type), limit=self.parse_whole_limit())
        return Response([{"name": name, "type": kind} for name, kind in kinds])


class TraitList(_OperatorView):
    title = "One trait of an event type"
    summary = "Its value in each event of this type that has it, the oldest first. For operators."
    examples = (("All event types", "/v2/event_types"),)

    def get(self, request: Request, event_type: str, trait: str) -> Response:
        limit = self.parse_whole_limit()
        rows = list_traits(name_in_path(event_type), name_in_path(trait), limit=limit)
        return Response([trait_shape(row) for row in rows])
