"""The parts of a run and their sizes: each finds an empty store, and returns figures only of what was right."""

from __future__ import annotations

from collections.abc import Callable

from agents.compute.binding import libvirt
from benchmarks.alarms import measure_alarms
from benchmarks.figures import Figure
from benchmarks.flow import measure_flow
from benchmarks.history import load_history
from benchmarks.ingest import measure_growth, measure_ingest, measure_scaling
from benchmarks.latency import measure_latency
from benchmarks.poll import measure_domains
from benchmarks.queries import measure_queries, month_by_day
from benchmarks.requests import measure_requests
from benchmarks.signatures import measure_messages
from benchmarks.storage import measure_storage

__all__ = ["measure_part"]


def measure_part(name: str, *, quick: bool) -> list[Figure]:
    """Measure one part; ``quick`` makes it small. Raises AssertionError where an answer was wrong."""
    return _PARTS[name](quick)


def _ingest(quick: bool) -> list[Figure]:
    if quick:
        return measure_ingest(batches=100, samples_per_batch=1000)
    return [
        *measure_ingest(batches=200, samples_per_batch=1000),
        *measure_ingest(batches=400, samples_per_batch=200),
        *measure_scaling(batches=200),
    ]


def _growth(quick: bool) -> list[Figure]:
    if quick:
        return []
    return measure_growth(samples=1_000_000, more_samples=20_000_000, batches=200)


def _queries(quick: bool) -> list[Figure]:
    if quick:
        return measure_queries(load_history(100, 7))
    history = load_history(1000, 30)
    return [*measure_queries(history), *measure_requests(month_by_day(history), seconds=10)]


def _storage(quick: bool) -> list[Figure]:
    if quick:
        return measure_storage(nodes=1, instances_per_node=40, days=1)
    return measure_storage(nodes=1, instances_per_node=80, days=7)


def _messages(quick: bool) -> list[Figure]:
    return measure_messages(batches=10 if quick else 40)


def _poll(quick: bool) -> list[Figure]:
    if libvirt is None:
        return []
    return [*measure_domains(50, polls=10 if quick else 40), *measure_domains(500, polls=2 if quick else 10)]


def _latency(quick: bool) -> list[Figure]:
    return measure_latency(polls=6 if quick else 40, domains=20)


def _flow(quick: bool) -> list[Figure]:
    return measure_flow(notifications=1_000 if quick else 30_000, singly=100 if quick else 3_000)


def _alarms(quick: bool) -> list[Figure]:
    return measure_alarms(resources=100, alone=100) if quick else measure_alarms(resources=1000, alone=500)


_PARTS: dict[str, Callable[[bool], list[Figure]]] = {
    "ingest": _ingest,
    "growth": _growth,
    "queries": _queries,
    "storage": _storage,
    "messages": _messages,
    "poll": _poll,
    "latency": _latency,
    "flow": _flow,
    "alarms": _alarms,
}
