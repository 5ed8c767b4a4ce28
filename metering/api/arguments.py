"""A request's arguments: from the URL, from a JSON body on GET, or from a form; checked before anything else looks at them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from django.conf import settings
from django.http import HttpRequest

from metering.queries.errors import InvalidInput, QueryError, UnknownArgument, shorten
from metering.queries.json_text import load_json
from metering.queries.simple import QueryItem, pair_items
from metering.queries.values import check_text, is_true, parse_integer

from .errors import Unacceptable
from .operations import QUERY_PARTS

__all__ = ["Arguments", "parse_arguments", "read_json"]

_JSON_TYPES = frozenset({"application/json", "text/javascript", "application/javascript"})
_FORM_TYPE = "application/x-www-form-urlencoded"
_AGGREGATE_PARTS = ("func", "param")


@dataclass(frozen=True, slots=True)
class Arguments:
    """Checked for their names and characters; values are read by type when they are needed.

    To read one that is not among the ``known`` is a fault of the view: no request can have it.
    """

    items: Sequence[QueryItem]
    texts: dict[str, list[str]]
    known: frozenset[str]

    def get_all(self, name: str) -> list[str]:
        if name not in self.known:
            raise LookupError(f"argument {name} is not declared")
        return self.texts.get(name, [])

    def integer(self, name: str, default: int) -> int:
        """A whole number given at most once. Raises InvalidInput."""
        given = self.get_all(name)
        if len(given) > 1:
            shown = shorten(given)
            raise InvalidInput(name, shown, f"unable to convert to int. Error: {name} was given {len(given)} times")
        return parse_integer(name, given[0]) if given else default

    def text(self, name: str, default: str | None) -> str | None:
        """A text given at most once. Raises InvalidInput."""
        given = self.get_all(name)
        if len(given) > 1:
            raise InvalidInput(name, shorten(given), f"{name} was given {len(given)} times")
        return given[0] if given else default

    def choice(self, name: str, allowed: Sequence[str]) -> str | None:
        """One of the allowed texts, or None. Raises InvalidInput."""
        text = self.text(name, None)
        if text is not None and text not in allowed:
            raise InvalidInput(name, text, f"expected one of {', '.join(allowed)}")
        return text

    def boolean(self, name: str) -> bool:
        """True for the usual words; false for anything else, and when it is missing."""
        given = self.get_all(name)
        if len(given) > 1:
            raise InvalidInput(name, shorten(given), f"{name} was given {len(given)} times")
        return bool(given) and is_true(given[0])


def parse_arguments(request: HttpRequest, *, known: frozenset[str]) -> Arguments:
    """The request's arguments; ``known`` are the names that may stand in the URL, as in ``q.field``.

    Raises QueryError for unknown names, Unacceptable for what cannot be read.
    """
    url = _url_pairs(request.META.get("QUERY_STRING", ""))
    media_type = (request.content_type or "").lower()
    if media_type == _FORM_TYPE:
        url += _form_pairs(request.body.decode("utf-8", "replace"))
        body = {}
    else:
        body = _json_arguments(request) if request.method in {"GET", "HEAD"} else {}
    _check_names([name for name, _ in url], body, known=known)
    texts: dict[str, list[str]] = {}
    for name, text in url:
        texts.setdefault(name, []).append(text)
    for name in body:
        if any(sent.partition(".")[0] == name for sent in texts):
            raise QueryError(f"Parameter {name} was given several times", value=name)
    items = pair_items((name.removeprefix("q."), text) for name, text in url if name.startswith("q."))
    items += _items_of(body.get("q", []))
    texts.update(_texts_of(body))
    return Arguments(items, texts, known)


def read_json(request: HttpRequest) -> Any:
    """The body as JSON with numbers exact (int and Decimal); None for an empty one. Raises Unacceptable."""
    media_type = (request.content_type or "").lower()
    if not media_type and not request.body.strip():
        return None
    if media_type not in _JSON_TYPES:
        raise Unacceptable(
            f"Unknown mimetype: {shorten(media_type)}", status=415, code="unsupported_media_type", value=media_type
        )
    body = request.body
    if not body.strip():
        return None
    try:
        return load_json(body.decode("utf-8-sig"))
    except ValueError as error:
        raise Unacceptable(f"Request is not in valid JSON format: {shorten(error)}", code="invalid_json") from error


def _url_pairs(query: str) -> list[tuple[str, str]]:
    try:
        # WSGI hands bytes over as Latin-1 text.
        return _form_pairs(query.encode("latin-1").decode())
    except UnicodeDecodeError as error:
        raise QueryError(f"The URL is not UTF-8: {error}", value=ascii(query)) from error


def _form_pairs(text: str) -> list[tuple[str, str]]:
    most = settings.CELOMETER_API_MAX_ARGUMENTS
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=most)
    except UnicodeDecodeError as error:
        raise QueryError(f"Arguments are not UTF-8: {error}", value=text) from error
    except ValueError as error:
        raise QueryError(f"More than {most} arguments", value=text.count("&") + 1) from error
    return [(check_text("argument", name), check_text(name, value)) for name, value in pairs]


def _check_names(names: Iterable[str], body: dict[str, Any], *, known: frozenset[str]) -> None:
    for name in names:
        if name not in known:
            # What curl -d sends without a header.
            as_form = "this looks like JSON sent as a form: send it with Content-Type: application/json"
            raise UnknownArgument(name, as_form if name.lstrip()[:1] in {"[", "{"} else "")
    # In a body parts stand in objects under the name of the whole.
    wholes = {name.partition(".")[0] for name in known}
    for name in body:
        if name not in wholes:
            raise UnknownArgument(name)


def _json_arguments(request: HttpRequest) -> dict[str, Any]:
    """The arguments in a GET's body. A content type without a body is nobody's fault."""
    if not request.body.strip():
        return {}
    body = read_json(request)
    if not isinstance(body, dict):
        raise QueryError("Request must be a JSON dict", value=type(body).__name__)
    return {check_text("argument", name): value for name, value in body.items()}


def _items_of(value: Any) -> list[QueryItem]:
    most = settings.CELOMETER_API_MAX_CONDITIONS
    if not isinstance(value, list) or len(value) > most:
        raise InvalidInput("q", value, f"expected a list of at most {most} objects with field, op, value and type")
    return [_item_of(entry) for entry in value]


def _item_of(entry: Any) -> QueryItem:
    if not isinstance(entry, dict):
        raise InvalidInput("q", entry, "expected an object with field, op, value and type")
    for name, value in entry.items():
        if name not in QUERY_PARTS:
            raise QueryError(f"Unknown attribute for argument q: {shorten(ascii(name))}", value=ascii(name))
        if not isinstance(value, str) and not (value is None and name in {"op", "type"}):
            raise InvalidInput(name, value, "Wrong type. Expected text.")
    for name in ("field", "value"):
        if name not in entry:
            raise InvalidInput(name, None, "Mandatory field missing.")
    texts = {name: check_text(name, value) for name, value in entry.items() if value is not None}
    return QueryItem(texts["field"], texts.get("op") or "eq", texts["value"], texts.get("type"))


def _texts_of(body: dict[str, Any]) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for name, value in body.items():
        if name == "aggregate":
            functions, parameters = _aggregates_of(value)
            texts |= {"aggregate.func": functions, "aggregate.param": parameters}
        elif name != "q":
            given = value if isinstance(value, list) else [value]
            texts[name] = [_scalar_text(name, entry) for entry in given]
    return texts


def _aggregates_of(value: Any) -> tuple[list[str], list[str]]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) and "func" in entry for entry in value):
        raise InvalidInput("aggregate", value, "expected a list of objects with func and param")
    for entry in value:
        for name in entry:
            if name not in _AGGREGATE_PARTS:
                raise QueryError(f"Unknown attribute for argument aggregate: {shorten(ascii(name))}", value=ascii(name))
    functions = [_scalar_text("aggregate.func", entry["func"]) for entry in value]
    return functions, [_scalar_text("aggregate.param", entry.get("param") or "") for entry in value]


def _scalar_text(name: str, value: Any) -> str:
    if isinstance(value, bool | str):
        return check_text(name, str(value))
    if isinstance(value, int) and abs(value) < 10**30:
        return str(value)
    raise InvalidInput(name, value, "Wrong type. Expected text, a whole number, true or false.")
