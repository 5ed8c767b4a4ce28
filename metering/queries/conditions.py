"""A SampleFilter as SQL: the one place that knows both. Every list, lookup and statistic of the API is built from these.

Aliases: ``x`` series, ``m`` meter, ``r`` resource, ``s`` sample, ``st`` resource state. Each function returns conditions that begin
with `` AND``, to stand behind a WHERE that is never empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from .database import Statement
from .filters import SampleFilter, Scope, TimeBound

__all__ = [
    "BATCH_ID",
    "SERIES",
    "meter_conditions",
    "owner_conditions",
    "parse_sample_id",
    "sample_conditions",
    "sample_source",
    "series_samples",
    "state_conditions",
]

# Series rows exist before the first sample of a pair does, and there are few of them: lists begin here, and look at samples
# through the index (meter_id, resource_id, timestamp) only.
SERIES = (
    " metering_series x JOIN metering_meter m ON m.id = x.meter_id JOIN metering_resource r ON r.id = x.resource_id"
)
# A batch's id is that of its samples with zeros in the low 20 bits, the last five digits.
BATCH_ID = "(left(s.id::text, 31) || '00000')::uuid"

# Text that asks for samples of nobody's.
_NOBODY = "None"


def owner_conditions(wanted: SampleFilter, scope: Scope) -> Statement:
    """Whose samples: what the caller may see, and what was asked for of it. Conditions on ``r``."""
    conditions = Statement("")
    if scope.projects is not None:
        conditions = conditions.then(" AND r.project_id = ANY(%s)", list(scope.projects))
    if wanted.resource is not None:
        conditions = conditions.then(" AND r.resource_id = %s", wanted.resource)
    if wanted.resources is not None:
        conditions = conditions.then(" AND r.resource_id = ANY(%s)", list(wanted.resources))
    if wanted.source is not None:
        conditions = conditions.then(" AND r.source = %s", wanted.source)
    for column, value in (("project_id", wanted.project), ("user_id", wanted.user)):
        if value == _NOBODY:
            conditions = conditions.then(f" AND (r.{column} IS NULL OR r.{column} = %s)", value)
        elif value is not None:
            conditions = conditions.then(f" AND r.{column} = %s", value)
    return conditions


def meter_conditions(wanted: SampleFilter) -> Statement:
    """Conditions on ``m``."""
    return Statement("") if wanted.meter is None else Statement(" AND m.name = %s", (wanted.meter,))


def sample_conditions(wanted: SampleFilter) -> Statement:
    """The window, and the one sample where its id was given, as conditions on ``s``."""
    conditions = Statement("")
    if wanted.message_id is not None:
        sample = parse_sample_id(wanted.message_id)
        conditions = conditions.then(" AND s.id = %s", sample) if sample else Statement(" AND false")
    for bound, sign in ((wanted.lower, ">"), (wanted.upper, "<")):
        if bound is not None:
            conditions = conditions.then(f" AND s.timestamp {_operator(bound, sign)} %s", bound.at)
    return conditions


def _operator(bound: TimeBound, sign: str) -> str:
    return f"{sign}=" if bound.inclusive else sign


def state_conditions(wanted: SampleFilter) -> Statement:
    """Conditions on ``st``: each metadata item, at any place where its key may be stored."""
    conditions = Statement("")
    for match in wanted.metadata:
        places = " OR ".join(["st.metadata #> %s::text[] = ANY(%s::jsonb[])"] * len(match.paths))
        parameters = [part for path in match.paths for part in (list(path), list(match.values))]
        conditions = conditions.then(f" AND ({places})", *parameters)
    return conditions


def sample_source(wanted: SampleFilter) -> str:
    """Where samples are read from: their states come along only when the filter looks at them."""
    if wanted.metadata:
        return " metering_sample s JOIN metering_resourcestate st ON st.id = s.state_id"
    return " metering_sample s"


def series_samples(
    columns: str, wanted: SampleFilter, *, series: str = "x", classes: Sequence[int] | None = None
) -> Statement:
    """SELECT of the matching samples of one series, to be ordered and limited, then joined LATERAL.

    With ``classes``, only of these retention classes. Where there is just one, its tables follow one another in time: the store then
    goes from table to table until it has what it needs, and does not begin with a look into each.
    """
    start = Statement(
        f"SELECT {columns} FROM{sample_source(wanted)}"
        f" WHERE s.meter_id = {series}.meter_id AND s.resource_id = {series}.resource_id"
    )
    if classes is not None:
        start = start.then(" AND s.retention_class IN %s", tuple(classes))
    return start.then_all(sample_conditions(wanted), state_conditions(wanted))


def parse_sample_id(text: str) -> UUID | None:
    """A sample's id as it is printed; None for any other text, which no sample has."""
    try:
        parsed = UUID(text)
    except ValueError:
        return None
    return parsed if text.lower() in {str(parsed), parsed.hex} else None
