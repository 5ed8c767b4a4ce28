"""The work of one task of the transform role: bytes off our broker in, signed batches in the outbox and publishers' deliveries out.

A task that is done again makes the same: samples are stored once by the origin keys of what they were made from, events by their ids.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import TypeVar

from agents.forwarding import MADE_OF_INPUTS
from agents.notifications.rules import Rules
from agents.outbox import Outbox, OutboxFull
from agents.pipeline.publishers.registry import Publishers
from agents.pipeline.run import Delivery, EventDelivery, Unit, flush, route_events, run_samples, settle
from agents.pipeline.state import StateAway, TransformState
from agents.problems import ProblemLog
from agents.reloading import Reloaded
from agents.trust import TrustedKeys
from metering.messages import (
    BadBundle,
    Body,
    Bundle,
    Event,
    Letter,
    MessageRefused,
    PrivateKey,
    Refusal,
    Sample,
    open_body,
    open_bundle,
    parse_batch,
    seal_bundle,
)

from .neutron import each_of
from .notification import Notification
from .unpacking import unpack, without_secrets

__all__ = ["WAITING", "Transform"]

logger = logging.getLogger(__name__)


_WEEK = 7 * 86_400 * 1_000_000
# 1970 began on a Thursday, weeks begin on Mondays.
_WEEK_OFFSET = 3 * 86_400 * 1_000_000
_AHEAD = 60 * 1_000_000
_SAMPLES_PER_BATCH = 10_000
# Each may be MAX_LETTER_BYTES when it is unpacked.
_COMPRESSED_TOGETHER = 25
# What these say is that the work can be done later, all of it.
WAITING = (OutboxFull, StateAway, OSError, sqlite3.Error)
Thing = TypeVar("Thing")


class Transform:
    """One transform worker. ``wake`` is called when there is something to send."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        key: PrivateKey,
        trusted: TrustedKeys,
        rules: Reloaded[Rules],
        state: TransformState | None,
        publishers: Publishers,
        wake: Callable[[], None],
    ) -> None:
        self._outbox = outbox
        self._key = key
        self._trusted = trusted
        self._rules = rules
        self._state = state
        self._publishers = publishers
        self._wake = wake
        self._problems = ProblemLog()
        # Tasks come one at a time; a flush comes from a thread of its own.
        self._working = threading.Lock()
        self._published_by = rules.current()

    def convert(self, data: bytes) -> None:
        """A bundle of notifications. What cannot be understood in it goes to the quarantine alone.

        Raises OutboxFull, StateAway or an error of the file system: then nothing is done yet, and the task shall be done again.
        """
        try:
            bundle = open_bundle(data, find_key=self._trusted.find, remedy=self._trusted.remedy)
        except BadBundle as refusal:
            self.refuse(data, refusal)
            return
        with self._working:
            try:
                for number, letters in enumerate(_parts(bundle.letters)):
                    self._convert(bundle, letters, unit=f"{bundle.id}/{number}" if number else bundle.id)
            except WAITING:
                raise
            except Exception:
                # A fault of ours, or more samples than can travel: whose it is shows when each goes by itself.
                logger.exception("a bundle could not be converted at once, its notifications go one by one")
                self._convert_each(bundle)

    def _convert_each(self, bundle: Bundle) -> None:
        for number, letter in enumerate(bundle.letters):
            unit = f"{bundle.id}/alone/{number}"
            try:
                self._convert(bundle, [letter], unit=unit)
            except WAITING:
                raise
            except Exception as error:
                refusal = self._refusal(bundle, letter, "internal_error", f"{type(error).__name__}: {error}")
                self._keep(Delivery([], {}, []), EventDelivery([], {}), due=_due(bundle), unit=unit, refusals=[refusal])

    def _convert(self, bundle: Bundle, letters: Sequence[Letter], *, unit: str) -> None:
        rules = self._current_rules()
        units, events, refusals = [], [], []
        for letter in letters:
            try:
                made = [(each.origin, *self._make(rules, each)) for each in each_of(unpack(letter))]
            except MessageRefused as refusal:
                refusals.append(self._refusal(bundle, letter, refusal.code, refusal.detail))
                continue
            except Exception as error:  # a fault of ours must not keep the others from going on
                logger.exception("a notification could not be converted")
                refusals.append(self._refusal(bundle, letter, "internal_error", f"{type(error).__name__}: {error}"))
                continue
            units += [Unit(origin, samples) for origin, samples, _ in made if samples]
            events += [event for _, _, event in made if event]
        delivery = run_samples(rules.pipelines, units, state=self._state, polled=False, report=self._problems.report)
        routed = route_events(rules.pipelines, events)
        self._keep(delivery, routed, due=_due(bundle), unit=unit, refusals=refusals)

    def derive(self, data: bytes) -> None:
        """A batch that a node has polled and sent to the collector as well: what pipelines derive from it, and send elsewhere."""
        try:
            sealed = parse_batch(data)
            key = self._trusted.find(sealed.header.key)
            if key is None:
                raise BadBundle(
                    f"a batch under the key {sealed.header.key!r} of {sealed.header.agent!r}, which is not trusted here"
                    f"{self._trusted.remedy}"
                )
            key.verify(sealed.signature, sealed.header_bytes)
            body = open_body(sealed)
            if sealed.header.source == MADE_OF_INPUTS or not isinstance(body, Body):
                raise BadBundle(
                    f"a batch of {sealed.header.kind} made by {sealed.header.agent!r}: expected a polled one"
                )
        except MessageRefused as refusal:
            self.refuse(data, refusal)
            return
        unit = Unit(str(sealed.header.id), body.samples())
        with self._working:
            pipelines = self._current_rules().pipelines
            delivery = run_samples(pipelines, [unit], state=self._state, polled=True, report=self._problems.report)
            self._keep(delivery, EventDelivery([], {}), due=sealed.header.due, unit=f"pipelines/{unit.key}")

    def take(self, unit: Unit) -> Delivery:
        """Samples that somebody made by hand, through the pipelines; returns where they went."""
        with self._working:
            rules = self._current_rules()
            delivery = run_samples(
                rules.pipelines, [unit], state=self._state, polled=False, report=self._problems.report
            )
            self._keep(delivery, EventDelivery([], {}), due=_now(), unit=unit.key)
        return delivery

    def flush(self, now: int) -> None:
        """Let go of what pipelines have held long enough; ``now`` in µs UTC. Says what went wrong in the last minutes, too."""
        with self._working:
            pipelines = self._current_rules().pipelines
            if self._state and pipelines.needs_state:
                delivery = flush(pipelines, now=now, state=self._state, report=self._problems.report)
                self._keep(delivery, EventDelivery([], {}), due=now, unit=f"flush/{now}")
                settle(delivery, state=self._state)
        for line in (*self._problems.summary(), *self._publishers.report()):
            logger.warning("%s", line)

    def refuse(self, data: bytes, refusal: MessageRefused) -> None:
        """Keep what is no task of this role for the quarantine."""
        logger.warning("refused a message: %s: %s", refusal.code, refusal.detail)
        now = _now()
        kept = Refusal(self._outbox.agent, refusal.code, refusal.detail, data)
        self._outbox.keep(source=MADE_OF_INPUTS, due=now, unit=f"refused/{now}", refusals=[kept])
        self._wake()

    def close(self) -> None:
        self._publishers.close(5.0)

    def _current_rules(self) -> Rules:
        rules = self._rules.current()
        if rules is not self._published_by:
            self._publishers.keep_only(rules.pipelines.publishers())
            self._published_by = rules
        return rules

    def _make(self, rules: Rules, notification: Notification) -> tuple[list[Sample], Event | None]:
        report = self._problems.report
        samples = rules.meters.samples(notification, report=report, note=self._problems.note)
        return samples, rules.events.event(notification, report=report)

    def _refusal(self, bundle: Bundle, letter: Letter, reason: str, detail: str) -> Refusal:
        """A letter that is kept in a bundle of its own, so that it can be sent again as it is once its fault is mended."""
        # No id or time of this try: the same letter again is the same entry of the quarantine.
        alone = Bundle(
            id=f"alone-{sha256(letter.body).hexdigest()[:32]}",
            taken=0,
            bus=bundle.bus,
            letters=[without_secrets(letter)],
        )
        message = seal_bundle(alone, self._key, compress=False)
        return Refusal(
            self._outbox.agent, reason, f"{bundle.bus} {letter.exchange} {letter.routing_key}: {detail}", message
        )

    def _keep(
        self, delivery: Delivery, routed: EventDelivery, *, due: int, unit: str, refusals: Sequence[Refusal] = ()
    ) -> None:
        """The collector's part first: when this returns or is done again, publishers may be given something twice, the collector never."""
        self._outbox.keep(
            source=MADE_OF_INPUTS,
            due=due,
            unit=unit,
            units=list(_unit_parts(delivery.collector)),
            events=list(_event_parts(routed.collector)),
            refusals=refusals,
        )
        self._wake()
        self._publishers.send_samples(delivery.outgoing)
        self._publishers.send_events(routed.outgoing)


def _parts(letters: Sequence[Letter]) -> Iterator[Sequence[Letter]]:
    """The letters in parts that fit into memory when they are unpacked; those that are not compressed in one."""
    compressed = [letter for letter in letters if letter.compression]
    if len(compressed) < len(letters):
        yield [letter for letter in letters if not letter.compression]
    for first in range(0, len(compressed), _COMPRESSED_TOGETHER):
        yield compressed[first : first + _COMPRESSED_TOGETHER]


def _due(bundle: Bundle) -> int:
    """A letter that the quarantine released has no time of its own."""
    return bundle.taken or _now()


def _now() -> int:
    return time.time_ns() // 1000


def _unit_parts(units: Sequence[Unit]) -> Iterator[list[Unit]]:
    """Units that may share a batch: a time that the collector does not take (yet, or any more) must not keep the others out."""
    for together in _by_time(units, lambda unit: [sample.timestamp for sample in unit.samples]):
        part: list[Unit] = []
        count = 0
        for unit in together:
            if part and count + len(unit.samples) > _SAMPLES_PER_BATCH:
                yield part
                part, count = [], 0
            part.append(unit)
            count += len(unit.samples)
        yield part


def _event_parts(events: Sequence[Event]) -> Iterator[list[Event]]:
    yield from _by_time(events, lambda event: [event.generated])


def _by_time(things: Sequence[Thing], times_of: Callable[[Thing], list[int]]) -> list[list[Thing]]:
    """The weeks of their times tell them apart; those of a time to come go together if it is the same."""
    latest = _now() + _AHEAD
    groups: dict[tuple[int, int], list[Thing]] = {}
    for thing in things:
        times = times_of(thing)
        first, last = min(times), max(times)
        key = (_week(first), _week(last)) if last <= latest else (first, last)
        groups.setdefault(key, []).append(thing)
    return list(groups.values())


def _week(timestamp: int) -> int:
    return (timestamp + _WEEK_OFFSET) // _WEEK
