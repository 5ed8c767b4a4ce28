"""What each endpoint of version 2 takes and answers, with an example of each."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from metering.queries.event_filters import EVENT_FIELDS
from metering.queries.simple import METER_FIELDS, RESOURCE_FIELDS, SAMPLE_FIELDS
from metering.statistics import FUNCTIONS, OWNER_FIELDS

from ..operations import TEXT, Answer, FreeFields, Operation, Parameter, limit_parameter, switch
from .answers import list_of, one

__all__ = [
    "CAPABILITIES",
    "COMPUTE_STATISTICS",
    "LIST_EVENTS",
    "LIST_EVENT_TYPES",
    "LIST_METERS",
    "LIST_METER_SAMPLES",
    "LIST_RESOURCES",
    "LIST_SAMPLES",
    "LIST_TRAITS",
    "LIST_TRAIT_KINDS",
    "POST_SAMPLES",
    "QUERY_SAMPLES",
    "SHOW_EVENT",
    "SHOW_RESOURCE",
    "SHOW_SAMPLE",
]

_NEXT = {"Link": 'The next page as `<URL>; rel="next"`; missing on the last one.'}
_MARKER = Parameter("marker", "Where the page begins: taken from the `Link` header of the page before. Opaque.")
_METER = frozenset({"meter"})
_PAGE = (limit_parameter(), _MARKER)

_OWNED = {"user_id": "u1", "project_id": "p1", "source": "openstack"}
_SAMPLE = {
    "id": "0194c9a1-9c00-7a3f-8a51-5d6e7f100000",
    "meter": "cpu_util",
    "type": "gauge",
    "unit": "%",
    "volume": 12.5,
    **_OWNED,
    "resource_id": "r1",
    "timestamp": "2026-01-01T10:00:00",
    "recorded_at": "2026-01-01T10:00:01.123456",
    "metadata": {"display_name": "web1", "flavor.name": "m1.small"},
}
_OLD_SAMPLE = {
    "counter_name": "cpu_util",
    "counter_type": "gauge",
    "counter_unit": "%",
    "counter_volume": 12.5,
    **_OWNED,
    "resource_id": "r1",
    "timestamp": "2026-01-01T10:00:00",
    "recorded_at": "2026-01-01T10:00:01.123456",
    "resource_metadata": {"display_name": "web1"},
    "message_id": "0194c9a1-9c00-7a3f-8a51-5d6e7f100000",
}
_RESOURCE = {
    "resource_id": "r1",
    **_OWNED,
    "first_sample_timestamp": "2026-01-01T10:00:00",
    "last_sample_timestamp": "2026-01-31T23:55:00",
    "metadata": {"display_name": "web1"},
    "links": [
        {"rel": "self", "href": "http://localhost:8777/v2/resources/r1"},
        {"rel": "cpu_util", "href": "http://localhost:8777/v2/meters/cpu_util?q.field=resource_id&q.value=r1"},
    ],
}
_SAMPLE_TO_POST = {
    "counter_name": "cpu_util",
    "counter_type": "gauge",
    "counter_unit": "%",
    "counter_volume": 12.5,
    "resource_id": "r1",
    "resource_metadata": {"display_name": "web1"},
}


def _list(name: str, text: str, example: Any) -> dict[int, Answer]:
    return {200: Answer(text, list_of(name), [example], _NEXT)}


LIST_METERS = Operation(
    _list(
        "Meter",
        "Meters in the order in which they first appeared",
        {
            "name": "cpu_util",
            "type": "gauge",
            "unit": "%",
            "resource_id": "r1",
            **_OWNED,
            "meter_id": "cjErY3B1X3V0aWw=",
        },
    ),
    fields=METER_FIELDS,
    arguments=(
        *_PAGE,
        switch("unique", "Each meter once, whatever resources it is measured of.", label="Each meter once"),
    ),
)
LIST_METER_SAMPLES = Operation(
    _list(
        "OldSample", "Samples of the meter, the newest first; an empty list for a meter that is not known", _OLD_SAMPLE
    ),
    fields=SAMPLE_FIELDS,
    given_fields=_METER,
    arguments=_PAGE,
    refusals=(410,),
)
_POSTED = Answer(
    "All of them are stored",
    list_of("PostedSample"),
    [
        {
            **{name: value for name, value in _OLD_SAMPLE.items() if name != "recorded_at"},
            "source": "p1:openstack",
            "user_id": "alice",
        }
    ],
    {
        "X-Celometer-Batch": "The id of the signed batch that they are in.",
        "X-Celometer-Position": "Their places in it, first and last.",
        "Location": "The sample, where it was a single one.",
    },
)
POST_SAMPLES = Operation(
    {
        201: _POSTED,
        202: Answer(
            "All are kept safe; their part of the store is still being made", _POSTED.schema, headers=_POSTED.headers
        ),
    },
    summary="Post samples of one meter",
    arguments=(switch("direct", "Changes nothing: samples are always stored before the answer. Old clients send it."),),
    headers=(
        Parameter(
            "Idempotency-Key",
            "1 to 255 printable characters of ASCII that name this request: sent again with the same key and body, it is answered as the "
            "first time and stores nothing twice.",
            {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
            example="2026-01-01-apples",
        ),
    ),
    body=list_of("SampleToPost"),
    body_example=[_SAMPLE_TO_POST],
    refusals=(422,),
)
COMPUTE_STATISTICS = Operation(
    {
        200: Answer(
            "A row for each unit, period and group that has samples",
            list_of("Statistics"),
            [
                {
                    "groupby": {"project_id": "p1"},
                    "unit": "%",
                    "period": 7200,
                    "period_start": "2026-01-01T10:00:00",
                    "period_end": "2026-01-01T12:00:00",
                    "duration": 900.0,
                    "duration_start": "2026-01-01T10:01:00",
                    "duration_end": "2026-01-01T10:16:00",
                    "min": 2.0,
                    "max": 4.0,
                    "avg": 3.0,
                    "sum": 6.0,
                    "count": 2,
                }
            ],
            {"X-Celometer-Plan": "For operators who ask to have it explained: what the answer was read from."},
        )
    },
    fields=SAMPLE_FIELDS,
    given_fields=_METER,
    arguments=(
        Parameter(
            "groupby",
            f"A field that rows are split by: {', '.join(f'`{name}`' for name in OWNER_FIELDS)} or `resource_metadata.KEY`.",
            example="resource_id",
            repeated=True,
            label="Group by",
        ),
        Parameter(
            "period",
            "The length of a row's period in seconds, or `day`, `week`, `month`. One row for all time when left out, or 0. Periods in "
            "seconds are laid from the lower timestamp bound, else from the first sample.",
            example="3600",
            label="Period (seconds, or day, week, month)",
        ),
        Parameter(
            "tz", "The time zone of a calendar period; UTC when left out.", example="Europe/Berlin", label="Time zone"
        ),
        Parameter(
            "aggregate.func",
            "A function to compute instead of the standard five. `cardinality` needs a parameter (a field), `percentile` too (0 to 100); "
            "`integral` may have one (`hour` or `second`).",
            {"type": "string", "enum": list(FUNCTIONS)},
            example="max",
            repeated=True,
            label="Function",
        ),
        Parameter(
            "aggregate.param",
            "The parameter of a function; pairs with them by position, empty where a function has none.",
            repeated=True,
            label="Its parameter",
        ),
        switch("explain", "For operators: say in a header what the answer was read from."),
    ),
    refusals=(410,),
)
LIST_RESOURCES = Operation(
    _list("Resource", "Resources that have samples, by id", _RESOURCE),
    fields=RESOURCE_FIELDS,
    arguments=(
        *_PAGE,
        Parameter(
            "meter_links",
            "0 leaves out the links to meters; any other number, and nothing, has them.",
            {"type": "integer"},
            example=0,
        ),
    ),
    refusals=(410,),
)
SHOW_RESOURCE = Operation({200: Answer("The resource", one("Resource"), _RESOURCE)}, refusals=(404,))
LIST_SAMPLES = Operation(
    _list("Sample", "Samples of all meters, the newest first", _SAMPLE),
    fields=SAMPLE_FIELDS,
    arguments=_PAGE,
    refusals=(410,),
)
SHOW_SAMPLE = Operation({200: Answer("The sample", one("Sample"), _SAMPLE)}, refusals=(404,))
QUERY_SAMPLES = Operation(
    _list("Sample", "Samples that match, in the order asked for", _SAMPLE),
    arguments=(_MARKER,),
    body=one("ComplexQuery"),
    body_example={
        "filter": '{"and": [{"=": {"meter": "cpu_util"}}, {">": {"volume": 80}}]}',
        "orderby": '[{"timestamp": "desc"}]',
        "limit": 10,
    },
    refusals=(410,),
)
_EVENT = {
    "message_id": "e4eaaaf2-d142-11e1-b3e4-080027620cdd",
    "event_type": "compute.instance.create.end",
    "generated": "2026-01-01T05:00:00",
    "traits": [
        {"name": "memory_mb", "type": "integer", "value": "512"},
        {"name": "launched_at", "type": "datetime", "value": "2026-01-01T05:00:00.000005"},
    ],
    "raw": {"instance_id": "r1", "state": "active"},
}
_TRAITS = FreeFields(
    "the name of a trait", "", "`eq`, `ne`, `lt`, `le`, `gt`, `ge`", "Trait (name=value)", "memory_mb=512"
)
_WHOLE = (
    Parameter(
        "limit",
        f"How many entries to answer with, {settings.CELOMETER_API_MAX_LIMIT} when left out.",
        limit_parameter().schema,
        label="Entries at most",
    ),
    _MARKER,
)
LIST_EVENTS = Operation(
    _list("Event", "Events, the oldest first", _EVENT),
    fields=EVENT_FIELDS,
    free_fields=_TRAITS,
    arguments=_PAGE,
    refusals=(410,),
)
SHOW_EVENT = Operation({200: Answer("The event", one("Event"), _EVENT)}, refusals=(404,))
LIST_EVENT_TYPES = Operation(
    {
        200: Answer(
            "Names of event types, in their order", {"type": "array", "items": TEXT}, [_EVENT["event_type"]], _NEXT
        )
    },
    arguments=_WHOLE,
)
LIST_TRAIT_KINDS = Operation(
    {
        200: Answer(
            "Traits that events of the type have had; an empty list for a type that is not known",
            list_of("TraitDescription"),
            [{"name": "memory_mb", "type": "integer"}],
            _NEXT,
        )
    },
    arguments=_WHOLE,
)
LIST_TRAITS = Operation(
    {
        200: Answer(
            "The trait of each event of the type that has it, the oldest first",
            list_of("Trait"),
            [{"name": "memory_mb", "type": "integer", "value": "512"}],
            _NEXT,
        )
    },
    arguments=_WHOLE,
    refusals=(410,),
)
CAPABILITIES = Operation(
    {
        200: Answer(
            "What this server can do",
            one("Capabilities"),
            {
                "api": {"meters:query:simple": True, "statistics:groupby": True},
                "storage": {"storage:production_ready": True},
                "event_storage": {"storage:production_ready": True},
            },
        )
    },
)
