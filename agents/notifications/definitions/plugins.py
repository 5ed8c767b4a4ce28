"""What may be done with the values that paths find, beyond taking them as they are: ``plugin`` in meters.yaml and events.yaml.

The four that Ceilometer ships. A plugin is given the matches of all its paths, nulls left out, and gives values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

from metering.messages import to_microseconds

from ..times import BadTime, read_time
from .operations import plain_number
from .path_syntax import BadPath
from .paths import Match, Place, read_place

__all__ = ["BadPlugin", "Plugin", "Tell", "make_plugin"]

Tell: TypeAlias = Callable[[str], None]
Plugin: TypeAlias = Callable[[Sequence[Match], Tell], list[Any]]

_HIGHEST_BIT = 127


class BadPlugin(ValueError):
    """No such plugin, or not with such parameters; the text names the value and what was expected."""


def make_plugin(name: Any, parameters: Any) -> Plugin:
    """The plugin with its parameters checked. Raises BadPlugin."""
    maker = _MAKERS.get(name) if isinstance(name, str) else None
    if maker is None:
        raise BadPlugin(f"plugin {name!r}: expected one of {', '.join(_MAKERS)}")
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, Mapping):
        raise BadPlugin(f"parameters {parameters!r} of the plugin {name}: expected a mapping")
    for parameter in parameters:
        if parameter not in maker.parameters:
            raise BadPlugin(f"unknown parameter {parameter!r} of the plugin {name}{maker.known()}")
    return maker.make(**parameters)


def _make_split(separator: Any = ".", segment: Any = 0, max_split: Any = None) -> Plugin:
    if not isinstance(separator, str) or not separator:
        raise BadPlugin(f"separator {separator!r}: expected text")
    segment = _whole("segment", segment)
    limit = -1 if max_split is None else _whole("max_split", max_split)

    def split(matches: Sequence[Match], tell: Tell) -> list[Any]:
        parts = [value.split(separator, limit) if isinstance(value, str) else [] for _, value in matches]
        return [part[segment] if -len(part) <= segment < len(part) else None for part in parts]

    return split


class _Flag(NamedTuple):
    place: Place
    bit: int
    value: Any


_ANY_VALUE: Any = object()


def _make_bitfield(initial_bitfield: Any = 0, flags: Any = ()) -> Plugin:
    initial_bitfield = _whole("initial_bitfield", initial_bitfield)
    if not isinstance(flags, list | tuple):
        raise BadPlugin(f"flags {flags!r}: expected a list")
    read = [_read_flag(flag) for flag in flags]

    def bitfield(matches: Sequence[Match], tell: Tell) -> list[Any]:
        values = {match.path: match.value for match in matches}
        bits = initial_bitfield
        for place, bit, wanted in read:
            if place in values and (wanted is _ANY_VALUE or str(values[place]) == str(wanted)):
                bits |= 1 << bit
        return [bits]

    return bitfield


def _read_flag(flag: Any) -> _Flag:
    if not isinstance(flag, Mapping) or not {"path", "bit"} <= set(flag) <= {"path", "bit", "value"}:
        raise BadPlugin(f"flag {flag!r}: expected path, bit and perhaps value")
    bit = _whole("bit", flag["bit"])
    if not 0 <= bit <= _HIGHEST_BIT:
        raise BadPlugin(f"bit {bit}: expected 0 to {_HIGHEST_BIT}")
    if not isinstance(flag["path"], str):
        raise BadPlugin(f"path {flag['path']!r}: expected text")
    try:
        return _Flag(read_place(flag["path"]), bit, flag.get("value", _ANY_VALUE))
    except BadPath as error:
        raise BadPlugin(str(error)) from error


def _make_timedelta() -> Plugin:
    return _timedelta


def _timedelta(matches: Sequence[Match], tell: Tell) -> list[Any]:
    texts = [value for _, value in matches if value != ""]
    if len(texts) != 2:
        return []
    try:
        begin, end = (to_microseconds(read_time(text)) for text in texts)
    except BadTime as error:
        tell(str(error))
        return []
    return [plain_number(Decimal(abs(end - begin)) / 1_000_000)]


def _make_map(values: Any = None, default: Any = None, case_sensitive: Any = True) -> Plugin:
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise BadPlugin(f"values {values!r}: expected a mapping")
    if not isinstance(case_sensitive, bool):
        raise BadPlugin(f"case_sensitive {case_sensitive!r}: expected true or false")

    def folded(value: Any) -> Any:
        return value if case_sensitive or not isinstance(value, str) else value.lower()

    table = [(folded(known), mapped) for known, mapped in values.items()]

    def map_values(matches: Sequence[Match], tell: Tell) -> list[Any]:
        mapped = []
        for _, value in matches:
            # One by one: a dictionary would take true for 1, and no list at all.
            found = [
                to
                for known, to in table
                if known == folded(value) and isinstance(known, bool) == isinstance(value, bool)
            ]
            if not found:
                tell(f"{value!r:.80} is not among the values of the plugin map")
            mapped.append(found[0] if found else default)
        return mapped

    return map_values


def _whole(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadPlugin(f"{name} {value!r}: expected a whole number")
    return value


class _Maker(NamedTuple):
    make: Callable[..., Plugin]
    parameters: tuple[str, ...]

    def known(self) -> str:
        return f"; known are {', '.join(self.parameters)}" if self.parameters else ", which has none"


_MAKERS = {
    "split": _Maker(_make_split, ("separator", "segment", "max_split")),
    "bitfield": _Maker(_make_bitfield, ("initial_bitfield", "flags")),
    "timedelta": _Maker(_make_timedelta, ()),
    "map": _Maker(_make_map, ("values", "default", "case_sensitive")),
}
