"""The URLs that are told of a state: checked when they are given (spec §2.2), so that no attempt fails by them alone.

Where they lead is checked at each attempt.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings

from alarms.notifiers.urls import BadUrl, check_url
from alarms.rules.contract import BadRule
from alarms.rules.decision import STATES
from alarms.rules.fields import Fields
from alarms.schemes import OPERATORS_ONLY, known_schemes
from metering.queries.errors import shorten

from .errors import OperatorsAction

__all__ = ["ACTION_FIELDS", "parse_actions"]

# The fields of an alarm, by the state that they belong to.
ACTION_FIELDS: Mapping[str, str] = {state: f"{state.replace(' ', '_')}_actions" for state in STATES}
_MOST_CHARACTERS = 2048
_MOST_ENTRIES = 1000


def parse_actions(fields: Fields, *, is_operator: bool) -> dict[str, list[str]]:
    """The URLs by state, each once, in their order. Raises BadRule, and OperatorsAction where they are not the caller's to have."""
    return {state: _parse_list(fields, name, is_operator=is_operator) for state, name in ACTION_FIELDS.items()}


def _parse_list(fields: Fields, name: str, *, is_operator: bool) -> list[str]:
    urls = list(dict.fromkeys(_text(name, entry) for entry in fields.entries(name, most=_MOST_ENTRIES)))
    for url in urls:
        _check(url, is_operator=is_operator)
    most = settings.CELOMETER_ALARM_MAX_ACTIONS
    if 0 < most < len(urls):
        raise BadRule(f"{name} count exceeds maximum value {most}", value=len(urls))
    return urls


def _text(name: str, entry: object) -> str:
    if not isinstance(entry, str):
        raise BadRule.of_field(name, entry, f"Wrong type. Expected text of a URL, got {type(entry).__name__}.")
    if len(entry) > _MOST_CHARACTERS:
        raise BadRule.of_field(name, entry, f"expected a URL of at most {_MOST_CHARACTERS} characters")
    return entry


def _check(url: str, *, is_operator: bool) -> None:
    if not url.isprintable():
        raise BadRule(f"Unable to parse action {shorten(url)}", value=url)
    scheme = url.partition(":")[0].lower() if ":" in url else ""
    if scheme.startswith("trust+"):
        reason = "there is no Keystone here to give trusts; send a token of the receiver's own, or check the signature"
        raise BadRule(f"Unsupported action {shorten(url)}: {reason}", value=url)
    if scheme not in known_schemes():
        expected = ", ".join(f"{known}:" for known in sorted(known_schemes()))
        raise BadRule(f"Unsupported action {shorten(url)}: expected one of {expected}", value=url)
    if scheme in OPERATORS_ONLY and not is_operator:
        raise OperatorsAction(url)
    try:
        check_url(url)
    except BadUrl as error:
        raise BadRule(f"Unable to parse action {shorten(url)}: {error}", value=url) from error
