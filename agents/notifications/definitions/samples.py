"""How samples are made of one notification, as one definition of meters.yaml says.

What cannot be made, because a value is missing or is not what it should be, is left out and told: a gap, never a zero.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, get_args

import msgspec

from metering.messages import BadVolume, Meter, MeterType, Resource, Sample, SampleCheck, volume_text

from ..notification import Notification
from ..times import BadTime, microseconds_of
from .operations import text_number_of
from .plugins import Tell
from .values import Constant, Value

__all__ = [
    "Description",
    "LeftOut",
    "Making",
    "MeterDefinition",
    "checked_name",
    "checked_type",
    "checked_unit",
    "checked_volume",
]

_TYPES = get_args(MeterType)

# Of a customer's own metadata, what is meant for metering: keys with this prefix, texts cut to this length.
_RESERVED_PREFIX = "metering."
_RESERVED_LENGTH = 256
# What ids leave of MAX_ENTRY_BYTES, whatever is in them.
_METADATA_BYTES = 56 * 1024
_encode = msgspec.json.Encoder().encode


class LeftOut(Exception):
    """No sample can be made; the text says why."""


class Gap(LeftOut):
    """There is nothing where a definition looks."""


class Description:
    """The metadata of a definition's samples. ``key`` is the same for definitions that describe alike."""

    def __init__(self, key: str, metadata: Sequence[tuple[str, Value]] | None, user_metadata: Value | None) -> None:
        self.key, self.metadata, self.user_metadata = key, metadata, user_metadata

    def describe(self, document: Any, tell: Tell) -> dict[str, Any]:
        """Values that say nothing (null, "", 0, false, empty) are left out, as Ceilometer does."""
        if self.metadata is None:
            payload = document["payload"]
            described = dict(payload) if isinstance(payload, dict) else {}
            described |= {"event_type": document["event_type"], "host": document["publisher_id"]}
        else:
            found = ((key, value.first(document, tell)) for key, value in self.metadata)
            described = {key: value for key, value in found if value}
        if self.user_metadata is not None:
            reserved = _reserved(self.user_metadata.first(document, tell), described)
            if reserved:
                described["user_metadata"] = reserved
        return described


class MeterDefinition:
    """One entry of a file. ``name`` is as it stands there: a meter's name, or a path to names.

    ``lookup`` names the values of which there are as many as the name has; None: there is one sample.
    """

    def __init__(
        self,
        name: str,
        patterns: Sequence[re.Pattern[str]],
        values: dict[str, Value],
        description: Description,
        lookup: Sequence[str] | None,
    ) -> None:
        self.name, self.patterns, self.values = name, patterns, values
        self.description, self.lookup = description, lookup
        meter = [values[key] for key in ("name", "type", "unit")]
        constants = [value.value for value in meter if isinstance(value, Constant)]
        self.meter = Meter(*constants) if len(constants) == len(meter) else None
        # A filter chooses: where it finds nothing, nothing was meant.
        self.chooses = any("[?" in path for value in values.values() for path in value.paths)

    def matches(self, event_type: str) -> bool:
        return any(pattern.match(event_type) for pattern in self.patterns)

    def samples(self, making: Making, tell: Tell, note: Tell) -> list[Sample]:
        """All that can be made; ``tell`` is told of the others, ``note`` of gaps where the definition has a filter."""
        samples = []
        for row in self._rows(making.document, tell):
            try:
                samples.append(making.sample(self, row, tell))
            except LeftOut as error:
                (note if self.chooses and isinstance(error, Gap) else tell)(str(error))
        return samples

    def _rows(self, document: Any, tell: Tell) -> list[dict[str, Any]]:
        """What each sample is to be made of."""
        values = self.values
        if self.lookup is None:
            return [{key: value.first(document, tell) for key, value in values.items()}]
        names = values["name"].all(document, tell)
        columns = {"name": names}
        for key in self.lookup:
            columns[key] = values[key].all(document, tell)
            if len(columns[key]) != len(names):
                tell(f"lookup: {key} has {len(columns[key])} values where name has {len(names)}")
                return []
        alike = {key: value.first(document, tell) for key, value in values.items() if key not in columns}
        return [alike | {key: column[number] for key, column in columns.items()} for number in range(len(names))]


class Making:
    """What the samples of one notification have in common: equal resources are one object."""

    def __init__(self, notification: Notification, source: str) -> None:
        self.document, self.timestamp, self.source = notification.document(), notification.timestamp, source
        self.metadata: dict[str, dict[str, Any]] = {}
        self.resources: dict[tuple[str, str | None, str | None, str], Resource] = {}
        self.check = SampleCheck()

    def sample(self, definition: MeterDefinition, row: dict[str, Any], tell: Tell) -> Sample:
        """Raises LeftOut."""
        for key in ("volume", "resource_id"):
            if row[key] is None:
                raise Gap(f"{key}: no value at {' or '.join(definition.values[key].paths):.200}")
        sample = Sample(
            definition.meter or Meter(checked_name(row["name"]), checked_type(row["type"]), checked_unit(row["unit"])),
            self._resource(row, definition.description, tell),
            self._timestamp(row.get("timestamp")),
            checked_volume(row["volume"]),
        )
        problem = self.check.problem_with(sample)
        if problem:
            raise LeftOut(problem)
        return sample

    def _resource(self, row: dict[str, Any], description: Description, tell: Tell) -> Resource:
        resource_id = _id("resource_id", row["resource_id"])
        if resource_id is None:
            raise LeftOut("resource_id: no value")
        project, user = _id("project_id", row["project_id"]), _id("user_id", row["user_id"])
        metadata = row.get("metadata")
        if not isinstance(metadata, dict | None):
            raise LeftOut(f"metadata {metadata!r:.80}: expected an object")
        key = (resource_id, project, user, description.key if metadata is None else repr(metadata))
        resource = self.resources.get(key)
        if resource is None:
            if metadata is None:
                metadata = self.metadata.get(description.key)
            if metadata is None:
                metadata = self.metadata[description.key] = description.describe(self.document, tell)
            resource = Resource(id=resource_id, source=self.source, project=project, user=user, metadata=metadata)
            problem = self.check.problem_of(resource)
            if problem:
                resource = msgspec.structs.replace(resource, metadata=_storable(metadata))
                if not self.check.problem_of(resource):
                    tell(f"metadata are kept as far as possible: {problem}")
            self.resources[key] = resource
        return resource

    def _timestamp(self, value: Any) -> int:
        if value is None or value == "":
            return self.timestamp
        try:
            return microseconds_of(value)
        except BadTime as error:
            raise LeftOut(f"timestamp: {error}") from error


def _reserved(source: Any, described: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(source, dict):
        return {}
    found = {}
    for key, value in source.items():
        if key.startswith(_RESERVED_PREFIX):
            name = key.removeprefix(_RESERVED_PREFIX).replace(".", "_")
            if name not in described:
                found[name] = value[:_RESERVED_LENGTH] if isinstance(value, str) else value
    return found


def _storable(metadata: dict[str, Any]) -> dict[str, Any]:
    """Without NUL, and of its entries as many, the smallest first, as there is room for.

    Much of it is a customer's own text: that must not make what they use free.
    """
    plain = _without_nul(metadata)
    sizes = {key: len(_encode(key)) + len(_encode(value)) + 2 for key, value in plain.items()}
    room, kept = _METADATA_BYTES, set()
    for key in sorted(sizes, key=lambda key: sizes[key]):
        room -= sizes[key]
        if room < 0:
            break
        kept.add(key)
    return {key: value for key, value in plain.items() if key in kept}


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(item) for key, item in value.items()}
    return [_without_nul(item) for item in value] if isinstance(value, list) else value


def _id(what: str, value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise LeftOut(f"{what} {value!r:.80}: expected text")


def checked_name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise LeftOut("name: no value" if value is None else f"name {value!r:.80}: expected text")
    return value


def checked_type(value: Any) -> Any:
    if value not in _TYPES:
        raise LeftOut("type: no value" if value is None else f"type {value!r:.80}: expected one of {', '.join(_TYPES)}")
    return value


def checked_unit(value: Any) -> str:
    if not isinstance(value, str):
        raise LeftOut("unit: no value" if value is None else f"unit {value!r:.80}: expected text")
    return value


def checked_volume(value: Any) -> str:
    if value is None:
        raise LeftOut("volume: no value")
    number = text_number_of(value)
    if number is None:
        raise LeftOut(f"volume {value!r:.80}: expected a number")
    try:
        return volume_text(value.strip() if isinstance(value, str) else value)
    except BadVolume as error:
        raise LeftOut(str(error)) from error
