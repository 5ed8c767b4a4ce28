"""The shapes of version 2 as JSON schemas, by the names that they have in the OpenAPI document. ``shapes`` makes them; tests compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metering.messages import TRAIT_TYPES

__all__ = ["COMPONENTS", "list_of", "one"]

Schema = Mapping[str, Any]

_UUID = {"type": "string", "format": "uuid"}
_TEXT = {"type": "string"}
_TIME = {
    "type": "string",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$",
    "description": "ISO 8601 in UTC, without a zone; microseconds only where there are some.",
}
_NUMBER = {"type": "number", "description": "An exact decimal: read it as one where floats are not enough."}
_METADATA = {
    "type": "object",
    "additionalProperties": _TEXT,
    "description": "Flat: of nested keys the first separator is a dot, all further ones are colons.",
}


def one(name: str) -> Schema:
    """A single thing."""
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(name: str) -> Schema:
    return {"type": "array", "items": one(name)}


def _nullable(schema: Schema) -> Schema:
    return {**schema, "nullable": True}


def _exactly(
    properties: Mapping[str, Schema], *, optional: Mapping[str, Schema] | None = None, text: str = ""
) -> Schema:
    """An object with all of these properties, perhaps the optional ones, and no others."""
    schema = {
        "type": "object",
        **({"required": list(properties)} if properties else {}),
        "properties": {**properties, **(optional or {})},
        "additionalProperties": False,
    }
    return {**schema, "description": text} if text else schema


_OWNER = {"user_id": _nullable(_TEXT), "project_id": _nullable(_TEXT)}
_TYPE = {"type": "string", "enum": ["gauge", "delta", "cumulative"]}
_TRAIT_TYPE = {"type": "string", "enum": list(TRAIT_TYPES)}
_POSTED_METADATA = {
    "type": "object",
    "nullable": True,
    "description": "What describes the resource at that time. Values keep their types and may be nested, at most 32 levels deep.",
}
_POSTED_NAME = {"type": "string", "maxLength": 255, "pattern": r"^[^\u0000]*$"}
_POSTED_ID = {**_POSTED_NAME, "minLength": 1}

COMPONENTS: Mapping[str, Schema] = {
    "Meter": _exactly(
        {
            "name": _TEXT,
            "type": _TYPE,
            "unit": _TEXT,
            "resource_id": _nullable(_TEXT),
            **_OWNER,
            "source": _nullable(_TEXT),
            "meter_id": {"type": "string", "description": "Base64 of resource id, plus sign, name."},
        },
        text="A meter of a resource; with `unique`, a meter by itself: then resource, owner and source are null.",
    ),
    "Sample": _exactly(
        {
            "id": _UUID,
            "meter": _TEXT,
            "type": _TYPE,
            "unit": _TEXT,
            "volume": _NUMBER,
            **_OWNER,
            "resource_id": _TEXT,
            "source": _TEXT,
            "timestamp": _TIME,
            "recorded_at": _TIME,
            "metadata": _METADATA,
        },
        text="One measurement of one meter of one resource.",
    ),
    "OldSample": _exactly(
        {
            "source": _TEXT,
            "counter_name": _TEXT,
            "counter_type": _TYPE,
            "counter_unit": _TEXT,
            "counter_volume": _NUMBER,
            **_OWNER,
            "resource_id": _TEXT,
            "timestamp": _TIME,
            "recorded_at": _TIME,
            "resource_metadata": _METADATA,
            "message_id": _UUID,
        },
        text="A sample under the names that samples had first.",
    ),
    "SampleToPost": _exactly(
        {
            "counter_name": {**_POSTED_ID, "description": "The meter of the path."},
            "counter_type": _TYPE,
            "counter_unit": _POSTED_NAME,
            "counter_volume": {
                "oneOf": [{"type": "number"}, {"type": "string", "description": "Text of a decimal number."}],
                "description": "At most 60 digits before the point and 30 behind it.",
            },
            "resource_id": _POSTED_ID,
        },
        optional={
            "project_id": {**_nullable(_POSTED_NAME), "description": "The caller's project when left out."},
            "user_id": {**_nullable(_POSTED_NAME), "description": "The caller when left out."},
            "source": _nullable(_POSTED_NAME),
            "timestamp": {
                **_nullable(_TEXT),
                "description": "Now when left out. An offset is applied.",
                "example": "2026-01-01T10:00:00",
            },
            "recorded_at": {**_nullable(_TEXT), "description": "Sent back as it came; not stored."},
            "resource_metadata": _POSTED_METADATA,
        },
    ),
    "PostedSample": _exactly(
        {
            "source": _TEXT,
            "counter_name": _TEXT,
            "counter_type": _TYPE,
            "counter_unit": _TEXT,
            "counter_volume": _NUMBER,
            **_OWNER,
            "resource_id": _TEXT,
            "timestamp": {"type": "string", "description": "As it was sent, offset included."},
            "resource_metadata": {"type": "object"},
            "message_id": _UUID,
        },
        optional={"recorded_at": {"nullable": True, "description": "As it was sent."}},
        text="A posted sample as it was sent, with everything filled in that was left out.",
    ),
    "Resource": _exactly(
        {
            "resource_id": _TEXT,
            **_OWNER,
            "source": _TEXT,
            "first_sample_timestamp": _nullable(_TIME),
            "last_sample_timestamp": _nullable(_TIME),
            "metadata": _METADATA,
            "links": list_of("Link"),
        },
        text="Something that is measured, as its newest sample (of those that match the filter) describes it.",
    ),
    "Link": _exactly({"rel": _TEXT, "href": {"type": "string", "format": "uri"}}),
    "Statistics": _exactly(
        {
            "groupby": {"type": "object", "nullable": True, "additionalProperties": _nullable(_TEXT)},
            "unit": _TEXT,
            "period": {"type": "integer", "description": "In seconds; 0 where no period was asked for."},
            "period_start": _TIME,
            "period_end": _TIME,
            "duration": {
                **_nullable(_NUMBER),
                "description": "Seconds between the row's first and last sample, within the window.",
            },
            "duration_start": _nullable(_TIME),
            "duration_end": _nullable(_TIME),
        },
        optional={
            **{name: _nullable(_NUMBER) for name in ("min", "max", "avg", "sum")},
            "count": {"type": "integer"},
            "aggregate": {
                "type": "object",
                "additionalProperties": _nullable(_NUMBER),
                "description": "Only where functions were chosen: their results by `function` or `function/parameter`.",
            },
        },
        text="One row: a unit, a period, a group. Where functions were chosen, those of the standard five that were not are left out.",
    ),
    "ComplexQuery": _exactly(
        {},
        optional={
            "filter": {
                "type": "string",
                "nullable": True,
                "description": "Text that holds JSON: comparisons, and, or, not, in.",
            },
            "orderby": {
                "type": "string",
                "nullable": True,
                "description": "Text that holds JSON: a list of fields, each with asc or desc.",
            },
            "limit": {
                "nullable": True,
                "oneOf": [{"type": "integer", "minimum": 1}, {"type": "string"}],
                "description": "A number, or text of one.",
            },
        },
    ),
    "Event": _exactly(
        {
            "message_id": _TEXT,
            "event_type": _TEXT,
            "generated": _TIME,
            "traits": list_of("Trait"),
            "raw": {"description": "The payload that the event was made from, as it came; {} where there is none."},
        },
        text="Something that happened.",
    ),
    "Trait": _exactly(
        {
            "name": _TEXT,
            "type": _TRAIT_TYPE,
            "value": {"type": "string", "description": "Always text, whatever the type."},
        }
    ),
    "TraitDescription": _exactly({"name": _TEXT, "type": _TRAIT_TYPE}),
    "Capabilities": {
        "type": "object",
        "required": ["api", "storage", "event_storage"],
        "additionalProperties": {"type": "object", "additionalProperties": {"type": "boolean"}},
        "description": "What this server can do; what is missing, it cannot.",
    },
    "Versions": _exactly({"versions": _exactly({"values": {"type": "array", "items": {"type": "object"}}})}),
    "Error": {
        "type": "object",
        "required": ["error_message"],
        "properties": {
            "error_message": _exactly(
                {
                    "faultcode": {"type": "string", "enum": ["Client", "Server"]},
                    "faultstring": {"type": "string", "minLength": 1, "description": "What is wrong, for people."},
                    "debuginfo": {"nullable": True, "enum": [None]},
                    "code": {"type": "string", "description": "What is wrong, for programs: does not change."},
                    "value": {**_nullable(_TEXT), "description": "The offending value, shortened."},
                    "detail": {**_nullable(_TEXT), "description": "More for people, such as what would be accepted."},
                }
            ),
            "error": {
                **_exactly({"code": {"type": "integer"}, "title": _TEXT, "message": _TEXT}),
                "description": "Stands only where a token is missing or refused: what Keystone's clients read.",
            },
        },
        "additionalProperties": False,
    },
}
