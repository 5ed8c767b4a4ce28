"""The agents' doorway from the broker: ticks of the scheduler."""

from __future__ import annotations

from celery import shared_task

from .node import Node

__all__ = ["POLL_TASK", "poll", "run_node", "stop_node"]

POLL_TASK = "agents.poll"
_running: list[Node] = []


def run_node() -> None:
    """Start this process's agent; called once, when its worker starts."""
    node = Node()
    node.start()
    _running.append(node)


def stop_node() -> None:
    while _running:
        _running.pop().stop()


@shared_task(name=POLL_TASK, ignore_result=True)
def poll(source: str, due: int) -> None:
    """``source`` is due (µs UTC). The poller measures in its own thread; a tick that comes twice is done once."""
    for node in _running:
        node.poller.tick(source, due)
