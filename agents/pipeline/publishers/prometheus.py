"""``prometheus://0.0.0.0:9464``: an endpoint that Prometheus scrapes, with the newest value of every series.

A gauge is a gauge, a cumulative meter a counter, a delta a counter that adds up what came since this process started.
"""

from __future__ import annotations

import math
import re
import socket
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, ClassVar
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ...contract import Event, Meter, Outgoing, PublisherState
from .address import parse_address
from .drops import Drops

__all__ = ["PrometheusPublisher"]

_LABELS = ("resource_id", "project_id", "user_id", "source")
# A delta that comes a second time (its task was done again) must not be added twice.
_REMEMBERED_DELTAS = 50_000
_LOOK_FOR_EXPIRED_SECONDS = 5.0

# A scraper that says nothing for so long is hung up on.
_SILENCE_SECONDS = 30.0

_Labels = tuple[str, str, str, str]


@dataclass
class _Series:
    value: Decimal
    timestamp: int
    updated_at: float


class _Families(Collector):
    """The series by meter. Its lock is the publisher's."""

    def __init__(self, *, max_series: int, expire_seconds: float) -> None:
        self.lock = threading.Lock()
        self._max_series = max_series
        self._expire_seconds = expire_seconds
        self._series: dict[Meter, dict[_Labels, _Series]] = {}
        self._names: dict[Meter, str] = {}
        self._count = 0
        self._expired_at = -math.inf
        self._deltas: OrderedDict[str, None] = OrderedDict()

    def take(self, outgoing: Outgoing) -> str:
        """Why the sample is not shown; "" when it is, or when a newer one is already."""
        meter, resource, timestamp, volume = outgoing.sample
        value = Decimal(volume)
        if meter.type == "delta" and value < 0:
            return f"a counter cannot go down, and {meter.name} came with the delta {volume}"
        labels = (resource.id, resource.project or "", resource.user or "", resource.source)
        series = self._series.get(meter, {}).get(labels)
        if series is None:
            if not self._has_room():
                return f"there are {self._max_series} series already (max_series)"
            self._add(meter, labels, _Series(value, timestamp, time.monotonic()))
            self._is_new_delta(outgoing)
        elif meter.type == "delta":
            if self._is_new_delta(outgoing):
                series.value += value
                series.updated_at = time.monotonic()
        elif timestamp >= series.timestamp:
            series.value, series.timestamp, series.updated_at = value, timestamp, time.monotonic()
        return ""

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """What one scrape sees."""
        with self.lock:
            self._expire()
            shown = [
                (self._names[meter], meter, [(labels, float(one.value)) for labels, one in series.items()])
                for meter, series in self._series.items()
            ]
        for name, meter, values in sorted(shown, key=lambda family: family[0]):
            family_class = GaugeMetricFamily if meter.type == "gauge" else CounterMetricFamily
            family = family_class(name, f"{meter.name} in {meter.unit}" if meter.unit else meter.name, labels=_LABELS)
            for labels, value in values:
                family.add_metric(labels, value)
            yield family

    def _has_room(self) -> bool:
        # Looking through all of them for each sample too many would be the end of a busy worker.
        if self._count >= self._max_series and time.monotonic() - self._expired_at >= _LOOK_FOR_EXPIRED_SECONDS:
            self._expire()
        return self._count < self._max_series

    def _add(self, meter: Meter, labels: _Labels, series: _Series) -> None:
        # One text that is no UTF-8 would spoil the whole answer: this raises for it.
        "".join((meter.name, meter.unit, *labels)).encode()
        if meter not in self._series:
            self._names[meter] = self._free_name(meter)
        self._series.setdefault(meter, {})[labels] = series
        self._count += 1

    def _is_new_delta(self, outgoing: Outgoing) -> bool:
        if outgoing.sample.meter.type != "delta":
            return True
        if outgoing.id in self._deltas:
            return False
        self._deltas[outgoing.id] = None
        if len(self._deltas) > _REMEMBERED_DELTAS:
            self._deltas.popitem(last=False)
        return True

    def _expire(self) -> None:
        self._expired_at = time.monotonic()
        limit = self._expired_at - self._expire_seconds
        for meter, series in list(self._series.items()):
            for labels in [labels for labels, one in series.items() if one.updated_at < limit]:
                del series[labels]
                self._count -= 1
            if not series:
                del self._series[meter], self._names[meter]

    def _free_name(self, meter: Meter) -> str:
        """A name that no other meter shows: two that look alike when sanitised would make the whole answer invalid."""
        taken = {name for other, shown in self._names.items() for name in _lines_of(shown, other.type)}
        plain = _sanitised(meter.name)
        digest = zlib.crc32(repr(meter).encode(errors="replace"))
        candidates = (
            plain,
            f"{plain}_{meter.type}",
            *(f"{plain}_{digest + number:x}" for number in range(len(taken) + 1)),
        )
        return next(name for name in candidates if not taken & _lines_of(name, meter.type))


def _sanitised(name: str) -> str:
    name = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    # The format itself gives counters this end.
    name = re.sub(r"(_total)+$", "", name)
    return name if name and not name[0].isdigit() else f"_{name}"


def _lines_of(name: str, type: str) -> set[str]:
    """All names that a family of this name may stand for in either format of the answer."""
    return {name} if type == "gauge" else {name, f"{name}_total", f"{name}_created"}


class PrometheusPublisher:
    """Shows samples; takes no events. Closed, it frees its port."""

    schemes: ClassVar[tuple[str, ...]] = ("prometheus",)

    def __init__(self, url: str) -> None:
        address = parse_address(url)
        self._families = _Families(
            max_series=address.values["max_series"], expire_seconds=60.0 * address.values["expire_minutes"]
        )
        self._drops = Drops(address.shown)
        self._sent = 0
        self._error = ""
        self._is_closed = False
        registry = CollectorRegistry()
        registry.register(self._families)
        self._server = _listen(address.host, address.port, registry)
        self._thread = threading.Thread(
            target=self._server.serve_forever, name=f"publisher {address.shown}", daemon=True
        )
        self._thread.start()

    def publish_samples(self, samples: Sequence[Outgoing]) -> None:
        with self._families.lock:
            problem = ""
            for outgoing in samples:
                problem = self._take(outgoing) or problem
            self._error = problem
            self._drops.tell()

    def _take(self, outgoing: Outgoing) -> str:
        try:
            problem = "it is closed" if self._is_closed else self._families.take(outgoing)
        except Exception as error:  # one that is no sample must not keep the others
            problem = f"not a sample: {type(error).__name__}"
        if problem:
            self._drops.add(1, problem)
        else:
            self._sent += 1
        return problem

    def publish_events(self, events: Sequence[Event]) -> None:
        with self._families.lock:
            self._drops.add(len(events), "prometheus:// takes samples only")
            self._drops.tell()

    def state(self) -> PublisherState:
        with self._families.lock:
            return PublisherState(self._sent, 0, self._drops.count, self._error)

    def close(self, timeout_seconds: float) -> None:
        with self._families.lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._drops.tell_at_close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout_seconds)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        # The standard one asks the DNS for our name, for as long as that takes.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scraper that hangs up is no news."""


class _Handler(WSGIRequestHandler):
    def setup(self) -> None:
        self.timeout = _SILENCE_SECONDS
        super().setup()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nor is one that scrapes."""


def _listen(host: str, port: int, registry: CollectorRegistry) -> WSGIServer:
    """Raises OSError where the address cannot be had."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    server_class = type("Server", (_Server,), {"address_family": family})
    return make_server(str(address[0]), port, make_wsgi_app(registry), server_class, _Handler)
