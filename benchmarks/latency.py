"""How long a measurement takes from the start of its poll until the API gives it out, through real processes.

A node with its poller and outbox, the scheduler, a broker, one collector and the API's server run as in production, but poll every second.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from django.core.management import call_command

from agents.compute.binding import libvirt
from agents.keys import load_or_create
from benchmarks.echo import measure_round_trips
from benchmarks.figures import Figure
from benchmarks.gates import WrongAnswer, expect
from metering.messages import SealedBatch, parse_batch
from metering.models import Agent, AgentKey, Batch, Quarantine, Sample
from tests.support.libvirt_file import write_crowd
from tests.support.roles import Stage, wait_until

__all__ = ["Seen", "measure_latency", "trace_polls"]

_INTERVAL_SECONDS = 1
_METER = "hardware.cpu.load.1min"
_NODE = "bench-node"
# The API is asked this often: a sample is seen up to so much later than it could be, and by half of that on the average.
_PAUSE_SECONDS = 0.005
_COLD_POLLS = 3
_ROUND_TRIP = "round trip of an empty Celery task"


class _Api(NamedTuple):
    """Where the API listens, and an operator's token."""

    port: int
    token: str


class Seen(NamedTuple):
    """A poll that the API showed: when it began and when it was seen, both in seconds since 1970."""

    began_at: float
    seen_at: float


class _Passage(NamedTuple):
    """What a poll's way took, in milliseconds, by stretch."""

    poll: float
    broker: float
    commit: float
    whole: float


def measure_latency(*, polls: int, domains: int) -> list[Figure]:
    """Milliseconds from a poll's start until the API shows it. Raises WrongAnswer when the store is not what the node measured."""
    with tempfile.TemporaryDirectory(prefix="celometer-bench-roles-", ignore_cleanup_errors=True) as folder:
        stage = Stage(Path(folder))
        try:
            echo = _round_trips(stage, polls)
            seen = _watch(_start_roles(stage, domains=domains), polls=polls)
            for role in stage.roles[-2:]:
                role.end()
            passages = trace_polls(_read_outbox(stage.directory / "home" / "agent" / "outbox.sqlite3"), seen)
        except Exception:
            for title, end in stage.report():
                print(f"--- {title}\n{end}")
            raise
        finally:
            stage.end()
    whole = [passage.whole for passage in passages]
    return [
        Figure("poll to queryable, median", median(whole), "ms", median(echo), _ROUND_TRIP),
        Figure("poll to queryable, 95 of 100", _p95(whole), "ms", _p95(echo), _ROUND_TRIP),
        Figure("of it, polling and sealing", median(passage.poll for passage in passages), "ms"),
        Figure("of it, outbox and broker", median(passage.broker for passage in passages), "ms"),
        Figure("of it, collecting and asking", median(passage.commit for passage in passages), "ms"),
    ]


def _p95(values: Sequence[float]) -> float:
    return quantiles(values, n=20, method="inclusive")[-1]


def _round_trips(stage: Stage, count: int) -> list[float]:
    """Milliseconds of each."""
    environment = stage.environment(CELOMETER_BROKER_URL=os.environ["CELOMETER_BROKER_URL"])
    worker = stage.role(
        "echo", "celery", "-A", "benchmarks.echo", "worker", "--loglevel", "INFO", environment=environment
    ).start()
    worker.await_ready()
    answered = measure_round_trips(count)
    worker.end()
    return [seconds * 1000 for seconds in answered]


def _start_roles(stage: Stage, *, domains: int) -> _Api:
    """Start the server's roles, then the node's two; return where to ask."""
    environment = stage.environment(
        **{name: os.environ[name] for name in ("CELOMETER_DATABASE_URL", "CELOMETER_BROKER_URL")},
        # It is asked again and again.
        CELOMETER_API_REQUESTS_PER_MINUTE="1000000",
        CELOMETER_SETTINGS="server",
        CELOMETER_NODE=_NODE,
        CELOMETER_POLL_INTERVAL=str(_INTERVAL_SECONDS),
        CELOMETER_LIBVIRT_URI=write_crowd(stage.directory / "node.xml", domains) if libvirt else "",
    )
    key = load_or_create(stage.directory / "home" / "agent" / "key.pem")
    agent = Agent.objects.create(name=_NODE)
    AgentKey.objects.create(agent=agent, key_id=key.public.id, public_key=key.public.raw)
    api = _Api(_free_port(), _make_token())
    server = ("gunicorn", "config.wsgi", "--bind", f"127.0.0.1:{api.port}", "--threads", "4", "--no-control-socket")
    stage.role("api", *server, environment=environment).start()
    stage.worker("collector", environment=environment).start().await_ready()
    wait_until(lambda: _newest_begin(api) is not None, what="the API answers")
    stage.worker("compute", environment={**environment, "CELOMETER_SETTINGS": "agent"}).start().await_ready()
    stage.beat(environment={**environment, "CELOMETER_SETTINGS": "agent"}).start()
    return api


def _make_token() -> str:
    printed = StringIO()
    call_command("token", "bench", operator=True, stdout=printed)
    return printed.getvalue().strip()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _newest_begin(api: _Api) -> float | None:
    """When the newest poll that the API shows began; 0 when it shows none, None when it does not answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", api.port, timeout=10)) as client:
        try:
            client.request("GET", f"/v2/meters/{_METER}?limit=1", headers={"X-Auth-Token": api.token})
            response = client.getresponse()
            rows = json.loads(response.read())
        except OSError:
            return None
    expect("the API's status", response.status, 200)
    if not rows:
        return 0.0
    return datetime.fromisoformat(rows[0]["timestamp"]).replace(tzinfo=UTC).timestamp()


def _watch(api: _Api, *, polls: int) -> list[Seen]:
    """Ask again and again, and note when each poll is first shown. Those in which everything is still cold are left out."""
    newest, seen = 0.0, []
    give_up_at = time.monotonic() + 30 + 3 * _INTERVAL_SECONDS * polls
    while len(seen) < _COLD_POLLS + polls:
        if time.monotonic() > give_up_at:
            raise WrongAnswer(f"{len(seen)} polls were seen in time, expected {_COLD_POLLS + polls}")
        began_at = _newest_begin(api) or 0.0
        if began_at > newest:
            newest = began_at
            seen.append(Seen(began_at, time.time()))
        time.sleep(_PAUSE_SECONDS)
    return seen[_COLD_POLLS:]


def _read_outbox(path: Path) -> list[SealedBatch]:
    """Every batch that the node has made, sent or not."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return [parse_batch(message) for (message,) in db.execute("SELECT message FROM batch ORDER BY number")]


def trace_polls(made: Sequence[SealedBatch], seen: Sequence[Seen]) -> list[_Passage]:
    """The stretches of each poll that was seen; the whole store must be what the node made."""
    wait_until(lambda: Batch.objects.count() >= len(made), what="all that was made is stored")
    expect("batches in quarantine", Quarantine.objects.count(), 0)
    expect("batches stored", set(Batch.objects.values_list("id", flat=True)), {batch.header.id for batch in made})
    expect("samples stored", Sample.objects.count(), sum(batch.header.count for batch in made))
    rows = Batch.objects.values_list("first_sample_at", "made_at", "recorded_at")
    times = {began.timestamp(): (made_at.timestamp(), recorded.timestamp()) for began, made_at, recorded in rows}
    passages = []
    for began_at, seen_at in seen:
        made_at, recorded_at = times[began_at]
        stretches = (made_at - began_at, recorded_at - made_at, seen_at - recorded_at, seen_at - began_at)
        passages.append(_Passage(*(1000 * seconds for seconds in stretches)))
    return passages
