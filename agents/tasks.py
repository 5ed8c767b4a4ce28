"""The agents' doorway from the broker: ticks of the scheduler, and what the transform role is given."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from celery import shared_task
from celery.exceptions import Reject

from metering.messages import MessageRefused

from .broker import CONVERT_TASK, DERIVE_TASK
from .node import Node
from .notifications.role import TransformRole
from .notifications.transform import WAITING

__all__ = ["POLL_TASK", "convert", "derive", "poll", "refuse", "run_node", "run_transform", "stop_all"]

logger = logging.getLogger(__name__)

POLL_TASK = "agents.poll"
_RETRY_SECONDS = 1.0
_nodes: list[Node] = []
_transforms: list[TransformRole] = []


def run_node() -> None:
    """Start this process's agent; called once, when its worker starts."""
    node = Node()
    node.start()
    _nodes.append(node)


def run_transform() -> None:
    """Start this process's transform role; called once, when its worker starts."""
    role = TransformRole()
    role.start()
    _transforms.append(role)


def stop_all() -> None:
    while _nodes:
        _nodes.pop().stop()
    while _transforms:
        _transforms.pop().stop()


@shared_task(name=POLL_TASK, ignore_result=True)
def poll(source: str, due: int) -> None:
    """``source`` is due (µs UTC). The poller measures in its own thread; a tick that comes twice is done once."""
    for node in _nodes:
        node.poller.tick(source, due)


@shared_task(name=CONVERT_TASK, ignore_result=True)
def convert(bundle: bytes) -> None:
    """Make samples and events of a bundle of notifications; acknowledged once they are in the outbox."""
    _do_or_give_back(bundle, lambda role: role.transform.convert(bundle))


@shared_task(name=DERIVE_TASK, ignore_result=True)
def derive(batch: bytes) -> None:
    """Do with a polled batch what pipelines say; acknowledged once what is derived is in the outbox."""
    _do_or_give_back(batch, lambda role: role.transform.derive(batch))


def _do_or_give_back(message: bytes, work: Callable[[TransformRole], None]) -> None:
    """Do it; where that is not possible now, the broker has the task back. What a fault of ours stops goes to the quarantine."""
    if not _transforms:
        raise Reject("the transform role has stopped", requeue=True)
    for role in _transforms:
        try:
            _do_or_refuse(role, message, work)
        except WAITING as error:
            logger.error("a task of the transform role has to wait: %s: %s", type(error).__name__, error)
            time.sleep(_RETRY_SECONDS)
            raise Reject(str(error), requeue=True) from error


def _do_or_refuse(role: TransformRole, message: bytes, work: Callable[[TransformRole], None]) -> None:
    try:
        work(role)
    except WAITING:
        raise
    except Exception as error:
        logger.exception("a task of the transform role failed")
        refuse(message, "internal_error", f"{type(error).__name__}: {error}")


def refuse(message: bytes, reason: str, detail: str) -> None:
    """Keep a foreign message of the transform queue for the quarantine. Raises what the outbox raises."""
    refusal = MessageRefused(detail)
    refusal.code = reason
    for role in _transforms:
        role.transform.refuse(message, refusal)
