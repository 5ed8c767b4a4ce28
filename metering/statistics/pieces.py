"""Pieces: days, hours and single samples in rows of one shape, which together are the samples of the window, each once.

Days and hours with a mark are left out, and their samples taken instead, by the marks that this very statement sees: rollups, marks and
samples are of one snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce

from metering.queries.conditions import meter_conditions, owner_conditions, sample_conditions
from metering.queries.database import Statement

from .coverage import BEGINNING, Coverage, Span
from .request import StatisticsRequest

__all__ = ["DIMENSIONS", "NO_DOCUMENT", "STATE", "Document", "Pieces", "relations"]

# So many spans are written into the statement one by one, where the store can plan for each; more are looked up one after the other.
_MOST_BRANCHES = 4
_NO_ID = "'00000000-0000-0000-0000-000000000000'::uuid"
_COLUMNS = """meter_id, unit, chain_id, series_resource, resource_id, project_id, user_id, source, asked, inside, document_id,
 unit_at, unit_id, opens, closes, first_at, first_id, first_volume, last_at, last_id, last_volume, sample_count,
 volume_sum, volume_square_sum, volume_min, volume_max, increase, integral"""
_OWNER = "w.meter_id, w.unit, w.chain_id, w.id, w.resource_id, w.project_id, w.user_id, w.source"
_VALUES = """p.first_at, p.first_id, p.first_volume, p.last_at, p.last_id, p.last_volume, p.sample_count,
 p.volume_sum, p.volume_square_sum, p.volume_min, p.volume_max, p.increase, p.integral"""
_SAMPLE_VALUES = """s.timestamp, s.id, s.volume, s.timestamp, s.id, s.volume, 1,
 s.volume, s.volume * s.volume, s.volume, s.volume, 0, 0"""
_SPANS = "unnest(%s::timestamptz[], %s::timestamptz[]) AS span(low_at, high_at)"
_NEARBY = "interval '8 days'"


@dataclass(frozen=True)
class Document:
    """Where the metadata of a piece is looked up: ``relation`` has columns id and metadata; the others say how a piece has its id."""

    relation: str
    of_sample: str
    of_rollup: str
    joins_state: bool


NO_DOCUMENT = Document("", "0", "0", joins_state=False)
STATE = Document("metering_resourcestate", "s.state_id", "", joins_state=False)
DIMENSIONS = Document(
    "(SELECT id, values AS metadata FROM metering_dimensionset)",
    "state.dimension_set_id",
    "p.dimension_set_id",
    joins_state=True,
)


@dataclass(frozen=True)
class Pieces:
    """What to read. ``along_chains``: also what others than asked for own of the same things, for steps lead from owner to owner.

    ``looks_back_seconds``: the last sample of each chain before the window comes along (``inside`` is false for it), if it is not older;
    None however old it is, 0 not at all.
    """

    request: StatisticsRequest
    coverage: Coverage
    document: Document
    along_chains: bool
    looks_back_seconds: int | None


def relations(pieces: Pieces) -> Statement:
    """``WITH …, piece AS (…)``: everything that is to be aggregated, filtered by owner where ``asked`` is true, not yet by metadata."""
    coverage = pieces.coverage
    rolled = sorted((*coverage.days, *coverage.hours))
    parts = [_meters(pieces), _series(pieces)]
    branches = [_samples(pieces, span) for span in coverage.samples[:_MOST_BRANCHES]]
    if len(coverage.samples) > _MOST_BRANCHES:
        branches = [_samples_within(pieces, Statement(f" {_SPANS},", _bounds(coverage.samples)))]
    if rolled:
        parts += [_stale_hours(rolled), _stale_days(coverage.days)]
        stale = "SELECT meter_id AS of_meter, hour AS low_at, hour + interval '1 hour' AS high_at FROM stale_hour"
        branches.append(_samples_within(pieces, Statement(f" ({stale}) span,"), condition=" AND of_meter = w.meter_id"))
        branches += _rollups(pieces)
    if pieces.looks_back_seconds != 0 and _start(coverage) > BEGINNING:
        branches.append(_before(pieces))
    united = reduce(lambda all_, branch: all_.then(" UNION ALL ").then_all(branch), branches)
    parts.append(Statement(f", piece ({_COLUMNS}) AS (").then_all(united).then(") "))
    return Statement("").then_all(*parts)


def _meters(pieces: Pieces) -> Statement:
    chosen = meter_conditions(pieces.request.wanted)
    return Statement("WITH meter AS MATERIALIZED (SELECT m.id, m.unit FROM metering_meter m WHERE true").then_all(
        chosen, Statement(")")
    )


def _series(pieces: Pieces) -> Statement:
    owners = owner_conditions(pieces.request.wanted, pieces.request.scope)
    asked, which = Statement("true"), owners
    if pieces.along_chains and owners.sql:
        asked = Statement("coalesce(true").then_all(owners).then(", false)")
        chains = Statement(" AND r.chain_id IN (SELECT r.chain_id FROM metering_resource r WHERE true").then_all(owners)
        which = chains.then(")")
    return (
        Statement(
            ", series AS MATERIALIZED (SELECT m.id AS meter_id, m.unit, r.id, r.chain_id,"
            " r.resource_id, r.project_id, r.user_id, r.source, "
        )
        .then_all(asked)
        .then(
            " AS asked FROM meter m JOIN metering_series x ON x.meter_id = m.id"
            " JOIN metering_resource r ON r.id = x.resource_id WHERE true"
        )
        .then_all(which)
        .then(")")
    )


def _stale_hours(rolled: Sequence[Span]) -> Statement:
    return Statement(
        ", stale_hour AS MATERIALIZED (SELECT DISTINCT k.meter_id, k.hour"
        f" FROM metering_rollupmark k JOIN meter m ON m.id = k.meter_id JOIN {_SPANS}"
        " ON k.hour >= span.low_at AND k.hour < span.high_at)",
        _bounds(rolled),
    )


def _stale_days(days: Sequence[Span]) -> Statement:
    """Days that are not valid: with a mark of their own or on one of their hours."""
    return Statement(
        ", stale_day AS MATERIALIZED (SELECT DISTINCT k.meter_id, k.day FROM ("
        "SELECT meter_id, date_trunc('day', hour, 'UTC') AS day FROM stale_hour UNION ALL"
        " SELECT d.meter_id, d.day FROM metering_rollupdaymark d JOIN meter m ON m.id = d.meter_id"
        f") k JOIN {_SPANS} ON k.day >= span.low_at AND k.day < span.high_at)",
        _bounds(days),
    )


def _rollups(pieces: Pieces) -> list[Statement]:
    coverage = pieces.coverage
    valid_day = " AND NOT EXISTS (SELECT FROM stale_day k WHERE k.meter_id = p.meter_id AND k.day = p.time)"
    valid_hour = " AND NOT EXISTS (SELECT FROM stale_hour k WHERE k.meter_id = p.meter_id AND k.hour = p.time)"
    days, hours = "metering_rollupday", "metering_rolluphour"
    found = [
        *_rollups_of(pieces, days, coverage.days, valid_day),
        *_rollups_of(pieces, hours, coverage.hours, valid_hour),
    ]
    if coverage.days:
        # Of a day that is not valid, the hours that are.
        source = Statement(
            f" FROM stale_day span CROSS JOIN LATERAL (SELECT * FROM {hours} p WHERE p.meter_id = span.meter_id"
            " AND p.time >= span.day AND p.time < span.day + interval '24 hours' OFFSET 0) p"
        )
        found.append(_rollup_rows(pieces, source).then(f" WHERE true{valid_hour}"))
    return found


def _rollups_of(pieces: Pieces, table: str, spans: Sequence[Span], valid: str) -> list[Statement]:
    if len(spans) > _MOST_BRANCHES:
        source = Statement(
            f" FROM {_SPANS} CROSS JOIN LATERAL (SELECT * FROM {table} p WHERE p.time >= span.low_at"
            " AND p.time < span.high_at AND p.meter_id IN (SELECT id FROM meter) OFFSET 0) p",
            _bounds(spans),
        )
        return [_rollup_rows(pieces, source).then(f" WHERE true{valid}")]
    return [
        _rollup_rows(pieces, Statement(f" FROM {table} p")).then(
            f" WHERE p.time >= %s AND p.time < %s{valid}", low_at, high_at
        )
        for low_at, high_at in spans
    ]


def _rollup_rows(pieces: Pieces, source: Statement) -> Statement:
    columns = (
        f"SELECT {_OWNER}, w.asked, true, {pieces.document.of_rollup}, p.time, {_NO_ID}, p.opens, p.closes, {_VALUES}"
    )
    return (
        Statement(columns).then_all(source).then(" JOIN series w ON w.meter_id = p.meter_id AND w.id = p.resource_id")
    )


def _samples(pieces: Pieces, span: Span) -> Statement:
    """All samples of a span, whichever way the store finds best."""
    return (
        _sample_rows(pieces, inside=True)
        .then(" FROM series w JOIN metering_sample s ON s.meter_id = w.meter_id AND s.resource_id = w.id")
        .then(_state_join(pieces.document))
        .then(" WHERE s.timestamp >= %s AND s.timestamp < %s", *span)
    )


def _samples_within(pieces: Pieces, spans: Statement, *, condition: str = "") -> Statement:
    """Samples of spans of which the store knows little when it plans: by index, series by series."""
    return (
        _sample_rows(pieces, inside=True)
        .then(" FROM")
        .then_all(spans)
        .then(
            " series w CROSS JOIN LATERAL (SELECT * FROM metering_sample s WHERE s.meter_id = w.meter_id"
            " AND s.resource_id = w.id AND s.timestamp >= span.low_at AND s.timestamp < span.high_at OFFSET 0) s"
        )
        .then(_state_join(pieces.document))
        .then(f" WHERE true{condition}")
    )


def _before(pieces: Pieces) -> Statement:
    """The last sample of each chain before the window."""
    start, seconds = _start(pieces.coverage), pieces.looks_back_seconds
    if seconds is not None:
        source = _last_sample(" AND s.timestamp > %s::timestamptz - make_interval(secs => %s)", start, start, seconds)
        found = Statement(" CROSS JOIN LATERAL (").then_all(source).then(") s")
    else:
        # However old it is. Looked for nearby first, because each older partition costs a look-up.
        near = _last_sample(f" AND s.timestamp >= %s::timestamptz - {_NEARBY}", start, start)
        far = _last_sample(f" AND near.id IS NULL AND s.timestamp < %s::timestamptz - {_NEARBY}", start, start)
        found = (
            Statement(" LEFT JOIN LATERAL (").then_all(near).then(") near ON true LEFT JOIN LATERAL (").then_all(far)
        ).then(
            ") far ON true CROSS JOIN LATERAL (SELECT near.* WHERE near.id IS NOT NULL"
            " UNION ALL SELECT far.* WHERE far.id IS NOT NULL) s"
        )
    rows = _sample_rows(pieces, inside=False).then(" FROM series w").then_all(found)
    return (
        Statement("SELECT * FROM (SELECT DISTINCT ON (last.meter_id, last.chain_id) last.* FROM (")
        .then_all(rows.then(_state_join(pieces.document)))
        .then(f") last ({_COLUMNS}) ORDER BY last.meter_id, last.chain_id, last.unit_at DESC, last.unit_id DESC) last")
    )


def _last_sample(condition: str, start: object, *parameters: object) -> Statement:
    return Statement(
        "SELECT s.* FROM metering_sample s WHERE s.meter_id = w.meter_id AND s.resource_id = w.id"
        f" AND s.timestamp < %s{condition} ORDER BY s.timestamp DESC, s.id DESC LIMIT 1",
        (start, *parameters),
    )


def _sample_rows(pieces: Pieces, *, inside: bool) -> Statement:
    by_id = sample_conditions(replace(pieces.request.wanted, lower=None, upper=None))
    return (
        Statement(f"SELECT {_OWNER}, w.asked")
        .then_all(by_id)
        .then(
            f", {'true' if inside else 'false'}, {pieces.document.of_sample},"
            f" s.timestamp, s.id, true, true, {_SAMPLE_VALUES}"
        )
    )


def _state_join(document: Document) -> str:
    return " JOIN metering_resourcestate state ON state.id = s.state_id" if document.joins_state else ""


def _start(coverage: Coverage) -> datetime:
    return min(low for low, _ in (*coverage.days, *coverage.hours, *coverage.samples))


def _bounds(spans: Sequence[Span]) -> tuple[list[datetime], list[datetime]]:
    return [low for low, _ in spans], [high for _, high in spans]
