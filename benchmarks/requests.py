"""How many requests the API answers a second, from one process and from two, and how long each takes meanwhile."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from benchmarks.api_server import ApiClient, ApiServer, serve
from benchmarks.figures import Figure
from benchmarks.gates import expect
from metering.models import Sample

__all__ = ["measure_requests"]

_CLIENTS, _THREADS = 4, 4
_SAMPLES = 100
_POSTED = "posted"

Ask = Callable[[ApiClient, int], object]


def measure_requests(question: str, *, seconds: float) -> list[Figure]:
    """Requests a second over four connections that ask without a pause, median and 99th of 100: ``question``, and POSTs of 100 samples.

    The baseline of two processes is one. Raises WrongAnswer when an answer differs from the first, or a posted sample is not there.
    """
    figures: list[Figure] = []
    alone: dict[str, float] = {}
    for workers in (1, 2):
        with serve(workers=workers, threads=_THREADS) as server:
            for name, ask in (("statistics, month by day", _asks(server, question)), ("POST of 100 samples", _post)):
                before = Sample.objects.filter(meter__name=_POSTED).count()
                times, elapsed = _hammer(server, ask, seconds)
                if ask is _post:
                    stored = Sample.objects.filter(meter__name=_POSTED).count() - before
                    expect("posted samples that are stored", stored, (len(times) + _CLIENTS) * _SAMPLES)
                figures += _figures(name, workers, times, elapsed, alone)
    return figures


def _figures(name: str, workers: int, times: list[float], elapsed: float, alone: dict[str, float]) -> list[Figure]:
    title = f"{name}, {workers} API process{'es' if workers > 1 else ''}"
    speed = len(times) / elapsed
    cuts = statistics.quantiles(times, n=100)
    baseline = alone.setdefault(name, speed) if workers > 1 else None
    alone.setdefault(name, speed)
    return [
        Figure(title, speed, "requests/s", baseline, "one process" if workers > 1 else ""),
        Figure(f"{title}, median", cuts[49] * 1000, "ms"),
        Figure(f"{title}, 99 of 100", cuts[98] * 1000, "ms"),
    ]


def _hammer(server: ApiServer, ask: Ask, seconds: float) -> tuple[list[float], float]:
    """How long each request took, and all of them. The first of each connection is not among them."""
    clients = [server.connect() for _ in range(_CLIENTS)]
    for client in clients:
        ask(client, 0)

    def work(client: ApiClient) -> list[float]:
        times: list[float] = []
        while (started := time.perf_counter()) < ends_at:
            ask(client, len(times))
            times.append(time.perf_counter() - started)
        return times

    begun_at = time.perf_counter()
    ends_at = begun_at + seconds
    with ThreadPoolExecutor(_CLIENTS) as threads:
        times = [spent for found in threads.map(work, clients) for spent in found]
    return times, time.perf_counter() - begun_at


def _asks(server: ApiServer, question: str) -> Ask:
    expected = server.connect().get(question)

    def ask(client: ApiClient, _: int) -> None:
        expect(f"answers to {question} that are not the first one", client.get(question) != expected, False)

    return ask


def _post(client: ApiClient, number: int) -> None:
    samples = [
        {
            "counter_name": _POSTED,
            "counter_type": "gauge",
            "counter_unit": "piece",
            "counter_volume": number + index,
            "resource_id": f"thing-{index}",
            "project_id": "bench",
            "resource_metadata": {"flavor": "small", "index": index},
        }
        for index in range(_SAMPLES)
    ]
    client.post(f"/v2/meters/{_POSTED}", json.dumps(samples).encode())
