"""Ids of what samples refer to: found in memory, else in the store, else made.

New rows are inserted before the batch's own transaction, each table in a short transaction of its own and sorted by key: so collectors
neither wait for one another nor deadlock. A row made for a batch that then is refused does no harm: nothing refers to it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
from django.db import connection, transaction

from metering.messages import Body, Meter, Resource
from metering.retention.policy import read_policy
from metering.rollups.dimension_sets import take_dimensions

from .bulk import fetch_for_values, insert_values
from .services import service_of

__all__ = ["DimensionIds", "Dimensions", "Table"]

_CACHE_LIMIT = 500_000
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


class DimensionIds(NamedTuple):
    """Row ids parallel to the body's lists of meters (and their retention classes) and resources (and their states)."""

    meters: list[int]
    classes: list[int]
    resources: list[int]
    states: list[int]


class Table(NamedTuple):
    """How one small table is looked up and filled. ``find`` must use the unique index, NULLs included."""

    find: str
    insert: str


_METERS = Table(
    find="""SELECT wanted.name, wanted.type, wanted.unit, m.id FROM (VALUES %s) AS wanted(name, type, unit)
            JOIN metering_meter m USING (name, type, unit)""",
    insert="INSERT INTO metering_meter (name, type, unit, service, retention_class) VALUES %s ON CONFLICT DO NOTHING",
)
# A class that retention.yaml names for the first time gets its row here and its tables from housekeeping.
_CLASSES = Table(
    find="SELECT wanted.name, c.id FROM (VALUES %s) AS wanted(name) JOIN metering_retentionclass c USING (name)",
    insert="INSERT INTO metering_retentionclass (name) VALUES %s ON CONFLICT DO NOTHING",
)
_METER_CLASSES = Table(
    find="SELECT wanted.id, m.retention_class FROM (VALUES %s) AS wanted(id) JOIN metering_meter m USING (id)",
    insert="",
)
_CHAINS = Table(
    find="""SELECT wanted.resource_id, wanted.source, c.id FROM (VALUES %s) AS wanted(resource_id, source)
            JOIN metering_chain c USING (resource_id, source)""",
    insert="INSERT INTO metering_chain (resource_id, source) VALUES %s ON CONFLICT DO NOTHING",
)
_RESOURCES = Table(
    find="""SELECT wanted.resource_id, wanted.source, wanted.project_id, wanted.user_id, r.id
            FROM (VALUES %s) AS wanted(resource_id, source, project_id, user_id)
            JOIN metering_resource r ON r.resource_id = wanted.resource_id AND r.source = wanted.source
             AND r.project_id IS NOT DISTINCT FROM wanted.project_id::text
             AND r.user_id IS NOT DISTINCT FROM wanted.user_id::text""",
    insert="""INSERT INTO metering_resource (resource_id, source, project_id, user_id, chain_id)
              SELECT new.resource_id, new.source, new.project_id, new.user_id, c.id
              FROM (VALUES %s) AS new(resource_id, source, project_id, user_id)
              JOIN metering_chain c USING (resource_id, source) ORDER BY 1, 2, 3, 4 ON CONFLICT DO NOTHING""",
)
_DIMENSION_SETS = Table(
    find="SELECT d.digest, d.id FROM (VALUES %s) AS wanted(digest) JOIN metering_dimensionset d USING (digest)",
    insert="INSERT INTO metering_dimensionset (digest, values) VALUES %s ON CONFLICT DO NOTHING",
)
_STATES = Table(
    find="SELECT s.digest, s.id FROM (VALUES %s) AS wanted(digest) JOIN metering_resourcestate s USING (digest)",
    insert="INSERT INTO metering_resourcestate (digest, metadata, dimension_set_id) VALUES %s ON CONFLICT DO NOTHING",
)
_SERIES = Table(
    find="""SELECT wanted.meter_id, wanted.resource_id, s.id FROM (VALUES %s) AS wanted(meter_id, resource_id)
            JOIN metering_series s USING (meter_id, resource_id)""",
    insert="INSERT INTO metering_series (meter_id, resource_id) VALUES %s ON CONFLICT DO NOTHING",
)


class Dimensions:
    """Resolves batches to ids and remembers what it saw; rows are never deleted, so memory never lies."""

    def __init__(self) -> None:
        self._known: dict[Hashable, int] = {}

    def clear(self) -> None:
        """Forget everything; only an emptied store calls for it."""
        self._known.clear()

    def recall(self, body: Body) -> DimensionIds | None:
        """The ids of a batch of which everything was seen before, else None. No statement; safe in any thread."""
        known = self._known
        try:
            meters = [known[_meter_key(meter)] for meter in body.meters]
            resources = [known[_resource_key(resource)] for resource in body.resources]
            ids = DimensionIds(
                meters,
                [known["class of meter", meter] for meter in meters],
                resources,
                [known["resource digest", digest] for digest in body.resource_digests],
            )
        except KeyError:
            return None
        series = {(meters[meter], resources[resource]) for meter, resource, _, _ in body.rows}
        return ids if all(pair in known for pair in series) else None

    def make_room(self) -> None:
        """Forget everything when it has become too much to remember."""
        if len(self._known) > _CACHE_LIMIT:
            self._known.clear()

    def resolve(self, body: Body) -> DimensionIds:
        """The ids of all meters, resources and states of a batch, made where missing; and its series exist afterwards.

        No statement when everything was seen before.
        """
        recalled = self.recall(body)
        if recalled:
            return recalled
        self.make_room()
        meters = self.ids(_METERS, [_meter_key(meter) for meter in body.meters], self._meter_row)
        # A meter's class never changes, so it may be remembered.
        classes = self.ids(_METER_CLASSES, [("class of meter", meter) for meter in meters], lambda key: key[1:])
        self._make_chains(body.resources)
        resources = self.ids(_RESOURCES, [_resource_key(resource) for resource in body.resources], _resource_row)
        states = self._state_ids(body)
        series = {(meters[meter], resources[resource]) for meter, resource, _, _ in body.rows}
        self.ids(_SERIES, sorted(series), lambda pair: pair)
        return DimensionIds(meters, classes, resources, states)

    def _meter_row(self, key: tuple[str, ...]) -> tuple[str | int, ...]:
        """A new meter: the class that retention.yaml gives it now is its class for ever. Raises BadRetentionFile."""
        (class_id,) = self.ids(_CLASSES, [("class", read_policy().class_of(key[1]))], lambda key: key[1:])
        return (*key[1:], service_of(key[1]), class_id)

    def _make_chains(self, resources: Sequence[Resource]) -> None:
        unseen = [resource for resource in resources if _resource_key(resource) not in self._known]
        self.ids(_CHAINS, [("chain", resource.id, resource.source) for resource in unseen], lambda key: key[1:])

    def _state_ids(self, body: Body) -> list[int]:
        keys: list[tuple[str, bytes]] = []
        # Of states not seen before: their metadata as text, and the id of its dimension set.
        unseen: dict[tuple[str, bytes], tuple[str, int]] = {}
        for resource, digest in zip(body.resources, body.resource_digests, strict=True):
            # The whole resource's digest is at hand and stands for its metadata; only unseen ones are encoded again.
            known = self._known.get(("resource digest", digest))
            if known is None:
                encoded = _encode_sorted(resource.metadata)
                key = ("state", sha256(encoded).digest())
                if key not in self._known:
                    unseen[key] = encoded.decode(), self._dimension_set_id(resource.metadata)
            else:
                key = ("resource digest", digest)
            keys.append(key)
        ids = self.ids(_STATES, keys, lambda key: (key[1], *unseen[key]))
        for digest, state_id in zip(body.resource_digests, ids, strict=True):
            self._known["resource digest", digest] = state_id
        return ids

    def _dimension_set_id(self, metadata: dict[str, Any]) -> int:
        encoded = _encode_sorted(take_dimensions(metadata))
        key = ("dimension set", sha256(encoded).digest())
        (found,) = self.ids(_DIMENSION_SETS, [key], lambda _: (key[1], encoded.decode()))
        return found

    def ids(self, table: Table, keys: Sequence[Any], row_of: Callable[[Any], tuple[Any, ...]]) -> list[int]:
        """The ids of rows, made by ``row_of`` where missing. A key's first word names its table, what follows is what ``find`` looks up."""
        missing = {key for key in keys if key not in self._known}
        if missing:
            self._find(table, missing)
            absent = sorted((key for key in missing if key not in self._known), key=repr)
            if absent:
                with transaction.atomic(), connection.cursor() as cursor:
                    insert_values(cursor, table.insert, [row_of(key) for key in absent])
                self._find(table, absent)
        return [self._known[key] for key in keys]

    def _find(self, table: Table, keys: Iterable[Any]) -> None:
        wanted = {_lookup(key): key for key in keys}
        with connection.cursor() as cursor:
            rows = fetch_for_values(cursor, table.find, list(wanted))
        for *found, row_id in rows:
            self._known[wanted[tuple(bytes(part) if isinstance(part, memoryview) else part for part in found)]] = row_id


def _meter_key(meter: Meter) -> tuple[str, ...]:
    return ("meter", meter.name, meter.type, meter.unit)


def _resource_key(resource: Resource) -> tuple[str | None, ...]:
    return ("resource", resource.id, resource.source, resource.project, resource.user)


def _resource_row(key: tuple[str | None, ...]) -> tuple[str | None, ...]:
    return key[1:]


def _lookup(key: tuple[Any, ...]) -> tuple[Any, ...]:
    # The first word of a key names its table, except for series, whose key is the pair of ids.
    return key[1:] if isinstance(key[0], str) else key
