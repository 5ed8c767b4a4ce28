"""A bare Celery app with a task that does nothing: what a broker and a worker take at least. ``celery -A benchmarks.echo worker``."""

from __future__ import annotations

import os
import time

from celery import Celery

__all__ = ["app", "measure_round_trips"]

app = Celery(
    "echo",
    broker=os.environ.get("CELOMETER_BROKER_URL"),
    backend=os.environ.get("CELOMETER_BROKER_URL"),
    set_as_current=False,
)
app.conf.update(
    task_default_queue="bench-echo",
    worker_pool="solo",
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
)


@app.task(name="echo")
def echo(number: int) -> int:
    return number


def measure_round_trips(count: int) -> list[float]:
    """Seconds of each round trip, from sending a task to having its result. Its worker must run."""
    app.send_task("echo", args=(0,)).get(timeout=30)
    seconds = []
    for number in range(count):
        started = time.perf_counter()
        answer = app.send_task("echo", args=(number,)).get(timeout=30)
        seconds.append(time.perf_counter() - started)
        if answer != number:
            raise AssertionError(f"the task answered {answer}, expected {number}")
    return seconds
