"""Pieces: days, hours and single samples in rows of one shape, which together are the samples of the window, each once.

Days and hours with a mark are left out, and their samples taken instead, by the marks that this very statement sees: rollups, marks and
samples are of one snapshot.

All branches have columns of the very same types: only then the store sees through their union, and reads of each what is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce

from metering.queries.conditions import owner_conditions, sample_conditions
from metering.queries.database import Statement
from metering.queries.meters import KnownMeter

from .coverage import BEGINNING, Coverage, Span
from .request import StatisticsRequest

__all__ = ["DIMENSIONS", "NO_DOCUMENT", "STATE", "Document", "Pieces", "relations"]

# So many spans are written into the statement one by one, where the store can plan for each; more are looked up one after the other.
_MOST_BRANCHES = 4
_NO_ID = "'00000000-0000-0000-0000-000000000000'::uuid"
_NO_TIME = "'-infinity'::timestamptz"
_COLUMNS = "meter_id, resource_id, asked, inside, document_id"
# Of each value: what it is of a rollup ``p``, of a sample ``s``, and what stands for it where nobody asks for it, which costs nothing.
_VALUES = {
    "unit_at": ("p.time", "s.timestamp", _NO_TIME),
    "unit_id": (_NO_ID, "s.id", _NO_ID),
    "opens": ("p.opens", "true", "true"),
    "closes": ("p.closes", "true", "true"),
    "first_at": ("p.first_at", "s.timestamp", _NO_TIME),
    "first_id": ("p.first_id", "s.id", _NO_ID),
    "first_volume": ("p.first_volume", "s.volume", "0::numeric"),
    "last_at": ("p.last_at", "s.timestamp", _NO_TIME),
    "last_id": ("p.last_id", "s.id", _NO_ID),
    "last_volume": ("p.last_volume", "s.volume", "0::numeric"),
    "sample_count": ("p.sample_count", "1::bigint", "0::bigint"),
    "volume_sum": ("p.volume_sum", "s.volume", "0::numeric"),
    "volume_square_sum": ("p.volume_square_sum", "s.volume * s.volume", "0::numeric"),
    "volume_min": ("p.volume_min", "s.volume", "0::numeric"),
    "volume_max": ("p.volume_max", "s.volume", "0::numeric"),
    "increase": ("p.increase", "0::numeric", "0::numeric"),
    "integral": ("p.integral", "0::numeric", "0::numeric"),
}
_SPANS = "unnest(%s::timestamptz[], %s::timestamptz[]) AS span(low_at, high_at)"
_NEARBY, _HOUR = timedelta(days=8), timedelta(hours=1)
_NOT_IN_LAST_HOUR = " AND (w.meter_id, r.chain_id) NOT IN (SELECT p.meter_id, p.chain_id FROM last_hour p)"


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
    """What to read of which meters. ``along_chains``: also what others than asked for own of the same things, for steps lead from
    owner to owner.

    ``looks_back_seconds``: the last sample of each chain before the window comes along (``inside`` is false for it), if it is not older;
    None however old it is, 0 not at all. ``needed``: the names of the values that are going to be looked at; others mean nothing.
    """

    request: StatisticsRequest
    meters: Sequence[KnownMeter]
    coverage: Coverage
    document: Document
    along_chains: bool
    looks_back_seconds: int | None
    needed: frozenset[str]

    @property
    def classes(self) -> tuple[int, ...]:
        return tuple(sorted({meter.retention_class for meter in self.meters}))

    @property
    def names(self) -> str:
        return ", ".join((_COLUMNS, *_VALUES))

    def values(self, *, of_sample: bool) -> str:
        """The values of a rollup ``p`` or of a sample ``s``."""
        shown = [
            (rolled, single)[of_sample] if name in self.needed else idle
            for name, (rolled, single, idle) in _VALUES.items()
        ]
        return ", ".join(shown)

    def meters_of(self, alias: str) -> Statement:
        """The condition that rows are of these meters. Numbers, not a join: of them the store knows how many rows there are."""
        return Statement(f" AND {alias}.meter_id IN %s", (tuple(meter.id for meter in self.meters),))

    def samples_of(self, alias: str) -> Statement:
        """The same for samples, whose tables are told apart by class first."""
        return self.meters_of(alias).then(f" AND {alias}.retention_class IN %s", self.classes)

    def owned(self, column: str) -> Statement:
        """The condition that a resource's id is one of those to read; none when all are."""
        owners = owner_conditions(self.request.wanted, self.request.scope)
        if not owners.sql:
            return owners
        chosen = Statement(f" AND {column} IN (SELECT r.id FROM metering_resource r WHERE ")
        if not self.along_chains:
            return chosen.then("true").then_all(owners).then(")")
        chains = Statement("r.chain_id IN (SELECT r.chain_id FROM metering_resource r WHERE true")
        return chosen.then_all(chains, owners).then("))")


def relations(pieces: Pieces) -> Statement:
    """``WITH …, piece AS (…)``: everything that is to be aggregated; along chains not yet by owner, and not yet by metadata."""
    coverage = pieces.coverage
    rolled = sorted((*coverage.days, *coverage.hours))
    parts = [_series(pieces)]
    branches = [_samples(pieces, span) for span in coverage.samples[:_MOST_BRANCHES]]
    if len(coverage.samples) > _MOST_BRANCHES:
        branches = [_samples_within(pieces, Statement(_SPANS, _bounds(coverage.samples)), coverage.samples)]
    if rolled:
        parts += [_stale_hours(pieces, rolled), _stale_days(pieces, coverage.days)]
        stale = (
            "(SELECT meter_id AS of_meter, hour AS low_at, hour + interval '1 hour' AS high_at FROM stale_hour) span"
        )
        branches.append(_samples_within(pieces, Statement(stale), rolled, condition=" AND span.of_meter = w.meter_id"))
        branches += _rollups(pieces)
    if pieces.looks_back_seconds != 0 and _start(coverage) > BEGINNING:
        has_hour = bool(rolled) and (_start(coverage) - BEGINNING) % _HOUR == timedelta(0)
        if has_hour:
            parts.append(_last_hour(pieces))
            branches.append(_from_last_hour(pieces))
        branches.append(_before(pieces, but=_NOT_IN_LAST_HOUR if has_hour else ""))
    united = reduce(lambda all_, branch: all_.then(" UNION ALL ").then_all(branch), branches)
    parts.append(Statement(f", piece ({pieces.names}) AS (").then_all(united).then(") "))
    return Statement("").then_all(*parts)


def _series(pieces: Pieces) -> Statement:
    """Pairs of meter and resource, for what is looked up one by one."""
    return (
        Statement(
            "WITH series AS MATERIALIZED (SELECT x.meter_id, x.resource_id AS id FROM metering_series x WHERE true"
        )
        .then_all(pieces.meters_of("x"), pieces.owned("x.resource_id"))
        .then(")")
    )


def _stale_hours(pieces: Pieces, rolled: Sequence[Span]) -> Statement:
    return (
        Statement(
            ", stale_hour AS MATERIALIZED (SELECT DISTINCT k.meter_id, k.hour"
            f" FROM metering_rollupmark k JOIN {_SPANS} ON k.hour >= span.low_at AND k.hour < span.high_at WHERE true",
            _bounds(rolled),
        )
        .then_all(pieces.meters_of("k"))
        .then(")")
    )


def _stale_days(pieces: Pieces, days: Sequence[Span]) -> Statement:
    """Days that are not valid: with a mark of their own or on one of their hours."""
    return (
        Statement(
            ", stale_day AS MATERIALIZED (SELECT DISTINCT k.meter_id, k.day FROM ("
            "SELECT meter_id, date_trunc('day', hour, 'UTC') AS day FROM stale_hour UNION ALL"
            " SELECT d.meter_id, d.day FROM metering_rollupdaymark d WHERE true"
        )
        .then_all(pieces.meters_of("d"))
        .then(f") k JOIN {_SPANS} ON k.day >= span.low_at AND k.day < span.high_at)", *_bounds(days))
    )


def _rollups(pieces: Pieces) -> list[Statement]:
    coverage = pieces.coverage
    # Looked up by hash: of many marks, as while the store is rebuilt, each row would else be compared with all.
    valid_day = " AND (p.meter_id, p.time) NOT IN (SELECT k.meter_id, k.day FROM stale_day k)"
    valid_hour = " AND (p.meter_id, p.time) NOT IN (SELECT k.meter_id, k.hour FROM stale_hour k)"
    days, hours = "metering_rollupday", "metering_rolluphour"
    found = [
        *_rollups_of(pieces, days, coverage.days, valid_day),
        *_rollups_of(pieces, hours, coverage.hours, valid_hour),
    ]
    if coverage.days:
        # Of a day that is not valid, the hours that are.
        within = " p.meter_id = span.meter_id AND p.time >= span.day AND p.time < span.day + interval '24 hours'"
        found.append(_rollups_within(pieces, hours, Statement("stale_day span"), coverage.days, within + valid_hour))
    return found


def _rollups_of(pieces: Pieces, table: str, spans: Sequence[Span], valid: str) -> list[Statement]:
    if len(spans) > _MOST_BRANCHES:
        within = " p.time >= span.low_at AND p.time < span.high_at"
        return [_rollups_within(pieces, table, Statement(_SPANS, _bounds(spans)), spans, within + valid)]
    return [
        _rollup_rows(pieces, Statement(f" FROM {table} p WHERE p.time >= %s AND p.time < %s", span)).then_all(
            pieces.meters_of("p"), pieces.owned("p.resource_id"), Statement(valid)
        )
        for span in spans
    ]


def _rollups_within(pieces: Pieces, table: str, source: Statement, spans: Sequence[Span], condition: str) -> Statement:
    """Rollups of spans that the store looks up one after the other."""
    found = (
        Statement(" FROM ")
        .then_all(source)
        .then(f" CROSS JOIN LATERAL (SELECT * FROM {table} p WHERE {condition}")
        .then(" AND p.time >= %s AND p.time < %s", spans[0][0], spans[-1][1])
        .then_all(pieces.meters_of("p"), pieces.owned("p.resource_id"))
    )
    return _rollup_rows(pieces, found.then(" OFFSET 0) p"))


def _rollup_rows(pieces: Pieces, source: Statement) -> Statement:
    values = pieces.values(of_sample=False)
    return Statement(f"SELECT p.meter_id, p.resource_id, true, true, {pieces.document.of_rollup}, {values}").then_all(
        source
    )


def _samples(pieces: Pieces, span: Span) -> Statement:
    """All samples of a span, whichever way the store finds best."""
    return (
        _sample_rows(pieces, inside=True)
        .then(" FROM metering_sample s")
        .then(_state_join(pieces.document))
        .then(" WHERE s.timestamp >= %s AND s.timestamp < %s", *span)
        .then_all(pieces.samples_of("s"), pieces.owned("s.resource_id"))
    )


def _samples_within(pieces: Pieces, source: Statement, spans: Sequence[Span], *, condition: str = "") -> Statement:
    """Samples of spans of which the store knows little when it plans: by index, series by series. None lies outside of ``spans``, which
    spares the store to look at tables before and after.
    """
    return (
        _sample_rows(pieces, inside=True)
        .then(" FROM ")
        .then_all(source)
        .then(
            ", series w CROSS JOIN LATERAL (SELECT * FROM metering_sample s WHERE s.meter_id = w.meter_id"
            " AND s.resource_id = w.id AND s.timestamp >= span.low_at AND s.timestamp < span.high_at"
            " AND s.timestamp >= %s AND s.timestamp < %s",
            spans[0][0],
            spans[-1][1],
        )
        .then_all(pieces.samples_of("s"))
        .then(" OFFSET 0) s")
        .then(_state_join(pieces.document))
        .then(f" WHERE true{condition}")
    )


def _last_hour(pieces: Pieces) -> Statement:
    """The hour before the window, as far as it is valid: of a chain that has samples in it, it knows the last one.

    Below the floor samples have gone, and their hour knows more than they do: there it is left out.
    """
    hour = _start(pieces.coverage) - _HOUR
    return (
        Statement(
            ", last_hour AS MATERIALIZED (SELECT p.meter_id, p.resource_id, p.last_at AS timestamp, p.last_id AS id,"
            f" p.last_volume AS volume, {pieces.document.of_rollup} AS document_id, r.chain_id FROM metering_rolluphour p"
        )
        .then(" JOIN metering_resource r ON r.id = p.resource_id WHERE p.closes AND p.time = %s", hour)
        .then_all(pieces.meters_of("p"), pieces.owned("p.resource_id"))
        .then(" AND p.meter_id NOT IN (SELECT k.meter_id FROM metering_rollupmark k WHERE k.hour = %s", hour)
        .then_all(pieces.meters_of("k"))
        .then(
            ") AND NOT EXISTS (SELECT FROM metering_retentionfloor f JOIN metering_retentionclass c"
            " ON f.subject = 'samples.' || c.name WHERE f.floor_at > %s AND c.id IN %s))",
            hour,
            pieces.classes,
        )
    )


def _from_last_hour(pieces: Pieces) -> Statement:
    values = pieces.values(of_sample=True)
    return Statement(f"SELECT s.meter_id, s.resource_id, true, false, s.document_id, {values} FROM last_hour s")


def _before(pieces: Pieces, *, but: str) -> Statement:
    """The last sample of each chain before the window; ``but``: a condition on the chains that are still to be looked for."""
    start, seconds = _start(pieces.coverage), pieces.looks_back_seconds
    if seconds is not None:
        held_from = _earlier(start, timedelta(seconds=seconds))
        held = _last_sample(pieces, Statement(" AND s.timestamp < %s AND s.timestamp > %s", (start, held_from)))
        found = Statement(" CROSS JOIN LATERAL (").then_all(held).then(") s")
    else:
        # However old it is. Looked for nearby first, because each older partition costs a look-up.
        near = _last_sample(
            pieces, Statement(" AND s.timestamp < %s AND s.timestamp >= %s", (start, _earlier(start, _NEARBY)))
        )
        far = _last_sample(pieces, Statement(" AND near.id IS NULL AND s.timestamp < %s", (_earlier(start, _NEARBY),)))
        found = (
            Statement(" LEFT JOIN LATERAL (").then_all(near).then(") near ON true LEFT JOIN LATERAL (").then_all(far)
        ).then(
            ") far ON true CROSS JOIN LATERAL (SELECT near.* WHERE near.id IS NOT NULL"
            " UNION ALL SELECT far.* WHERE far.id IS NOT NULL) s"
        )
    source = (
        f" FROM (SELECT w.* FROM series w JOIN metering_resource r ON r.id = w.id WHERE true{but}) w"
        if but
        else " FROM series w"
    )
    rows = _sample_rows(pieces, inside=False).then(source).then_all(found)
    return (
        Statement("SELECT last.* FROM (SELECT DISTINCT ON (last.meter_id, r.chain_id) last.* FROM (")
        .then_all(rows.then(_state_join(pieces.document)))
        .then(
            f") last ({pieces.names}) JOIN metering_resource r ON r.id = last.resource_id"
            " ORDER BY last.meter_id, r.chain_id, last.unit_at DESC, last.unit_id DESC) last"
        )
    )


def _last_sample(pieces: Pieces, condition: Statement) -> Statement:
    return (
        Statement("SELECT s.* FROM metering_sample s WHERE s.meter_id = w.meter_id AND s.resource_id = w.id")
        .then_all(pieces.samples_of("s"), condition)
        .then(" ORDER BY s.timestamp DESC, s.id DESC LIMIT 1")
    )


def _sample_rows(pieces: Pieces, *, inside: bool) -> Statement:
    by_id = sample_conditions(replace(pieces.request.wanted, lower=None, upper=None))
    return (
        Statement("SELECT s.meter_id, s.resource_id, true")
        .then_all(by_id)
        .then(f", {'true' if inside else 'false'}, {pieces.document.of_sample}, {pieces.values(of_sample=True)}")
    )


def _state_join(document: Document) -> str:
    return " JOIN metering_resourcestate state ON state.id = s.state_id" if document.joins_state else ""


def _start(coverage: Coverage) -> datetime:
    return min(low for low, _ in (*coverage.days, *coverage.hours, *coverage.samples))


def _earlier(moment: datetime, by: timedelta) -> datetime:
    return moment - by if moment - BEGINNING > by else BEGINNING


def _bounds(spans: Sequence[Span]) -> tuple[list[datetime], list[datetime]]:
    return [low for low, _ in spans], [high for _, high in spans]
