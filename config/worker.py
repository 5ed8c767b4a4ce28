"""The consumer of all workers: what stock Celery would discard before a task runs is kept here, and what would end it is not run.

Celery logs and drops a body that it cannot decode, a task that it does not know, an expired one; it obeys headers such as ``eta`` from
whoever wrote them. On the collector's queue every message is somebody's measurement or an attack: both are worth keeping.
"""

from __future__ import annotations

import importlib
import json
import logging
import time
from collections.abc import Callable, Collection
from typing import Any
from uuid import uuid4

from celery import Celery
from celery.worker import consumer
from kombu.transport.base import Message

from . import env
from .serialization import BATCH_CONTENT_TYPE

__all__ = ["Consumer", "refusal_of"]

logger = logging.getLogger(__name__)
_COLLECT_TASK = "metering.collect"
_TRANSFORM_TASKS = ("agents.convert", "agents.derive")
_REPORT_TASK = "alarms.report"
_MAX_TASK_BYTES = 1024 * 1024
_LOOK_FOR_STORE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_RETRY_SECONDS = 0.5
# A collector opens one message while it writes another. The last of a run waits this long for a next one.
_PREFETCH = 2
_NOTHING_MORE_SECONDS = 0.005


class Consumer(consumer.Consumer):
    """Celery's consumer without its side channels, and with a gate in front of the collector's queue."""

    class Blueprint(consumer.Consumer.Blueprint):
        # For messages that are to run later, of which there are none here, it would make 28 queues on the broker.
        default_steps = [step for step in consumer.Consumer.Blueprint.default_steps if "delayed_delivery" not in step]

    def __init__(self, *args: Any, **options: Any) -> None:
        self._pause_seconds = _LOOK_FOR_STORE_SECONDS
        # The message whose turn is next, and what runs it.
        self._next: tuple[Callable[[Message], None], Message] | None = None
        if _collects(options["app"]):
            options |= {"prefetch_multiplier": _PREFETCH, "initial_prefetch_count": _PREFETCH}
        # Mingle and gossip let any client of the broker tell a worker which tasks are revoked.
        super().__init__(*args, **{**options, "without_mingle": True, "without_gossip": True})

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Message], None]:
        handle = super().create_task_handler(*args, **options)
        if not _collects(self.app):
            return self._bytes_only(handle) if _transforms(self.app) else self._own_tasks_only(handle)
        # After a loss of the broker it delivers what was not acknowledged again.
        self._next = None
        opener = importlib.import_module("metering.collector.ingestion").opener

        def admit(message: Message) -> None:
            """Run the message before this one; while the store writes that, this one is opened."""
            refusal = refusal_of(message)
            if refusal:
                _keep(message, *refusal)
                self._watch_store()
                return
            opener.announce(message.body)
            before, self._next = self._next, (handle, message)
            if before:
                self._run(*before)
                self._watch_store()
            self.timer.call_after(_NOTHING_MORE_SECONDS, self._run_last, (message,))

        return admit

    def _run_last(self, message: Message) -> None:
        """No other message came: run the one that waits, if it is still this one."""
        if self._next and self._next[1] is message:
            last, self._next = self._next, None
            self._run(*last)
            self._watch_store()

    def _watch_store(self) -> None:
        store = importlib.import_module("metering.collector.availability")
        if store.is_away():
            self._pause()
        else:
            self._pause_seconds = _LOOK_FOR_STORE_SECONDS

    def _own_tasks_only(self, handle: Callable[[Message], None]) -> Callable[[Message], None]:
        """The gate of all other queues: ticks and wake-ups, of which a foreign one is worth a line in the log and no more."""

        def admit(message: Message) -> None:
            try:
                _strip_task(message, known=_tasks_of(self.app))
                handle(message)
            except self.connection_errors:
                raise
            except Exception as error:
                logger.warning("dropped a foreign message: %s: %.300s", type(error).__name__, error)
                if not message.acknowledged:
                    message.ack()

        return admit

    def _bytes_only(self, handle: Callable[[Message], None]) -> Callable[[Message], None]:
        """The gate of the transform role: its tasks carry signed bytes; anything else goes to the quarantine."""

        def admit(message: Message) -> None:
            task = (message.headers or {}).get("task")
            if task in _TRANSFORM_TASKS and message.content_type == BATCH_CONTENT_TYPE:
                _strip(message, task)
                handle(message)
                return
            detail = f"task {task!r:.200}, content type {message.content_type!r:.200}: expected a task of this role"
            try:
                importlib.import_module("agents.tasks").refuse(_raw(message), "unknown_task", detail)
            except Exception as error:
                # A full outbox, a full disk: raised here it would end the worker, and the next one, and the next.
                logger.error("a foreign message could not be kept, it goes back to the broker: %s", error)
                time.sleep(_RETRY_SECONDS)
                message.requeue()
                return
            message.ack()

        return admit

    def _run(self, handle: Callable[[Message], None], message: Message) -> None:
        received = message.headers
        _strip(message, _COLLECT_TASK)
        try:
            handle(message)
        except self.connection_errors:
            raise
        except Exception as error:
            # What Celery itself stumbles over would end the worker, and with the message delivered again the next one, too.
            logger.exception("Celery could not run the task of a message")
            if not message.acknowledged:
                message.headers = received
                _keep(message, "internal_error", f"{type(error).__name__}: {error}")

    def _pause(self) -> None:
        """Consume nothing until the store answers: each message that is fetched and given back costs the broker a delivery."""
        logger.warning("the store is away: consuming nothing until it answers")
        self.task_consumer.cancel()
        if self._next:
            (_, message), self._next = self._next, None
            message.requeue()
        self.timer.call_after(self._pause_seconds, self._resume)
        # A store that answers but takes nothing (a full disk) is asked less and less often.
        self._pause_seconds = min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)

    def _resume(self) -> None:
        if not importlib.import_module("metering.collector.availability").look():
            self.timer.call_after(_LOOK_FOR_STORE_SECONDS, self._resume)
        elif self.task_consumer is not None:
            # A consumer that was made meanwhile, after a loss of the broker, consumes already; then this changes nothing.
            self.task_consumer.consume()
            logger.info("the store answers again")


def _collects(app: Celery) -> bool:
    return env.side() == "server" and "collector" in app.amqp.queues.consume_from


def _transforms(app: Celery) -> bool:
    return env.side() == "agent" and "transform" in app.amqp.queues.consume_from


def _tasks_of(app: Celery) -> Collection[str]:
    """What may be asked for on this worker's queues. On the reports' queue agents can write: there it is reports and nothing else."""
    return {_REPORT_TASK} if "reports" in app.amqp.queues.consume_from else app.tasks.keys() - {_REPORT_TASK}


def refusal_of(message: Message) -> tuple[str, str] | None:
    """Why a message on the collector's queue is no batch: (reason, detail); None when it may be one."""
    task = (message.headers or {}).get("task")
    if task != _COLLECT_TASK:
        return "unknown_task", f"task {task!r:.200}: expected {_COLLECT_TASK!r}"
    if message.content_type != BATCH_CONTENT_TYPE:
        return "content_type", f"content type {message.content_type!r:.200}: expected {BATCH_CONTENT_TYPE!r}"
    if not message.body:
        return "malformed", "the message is empty"
    return None


def _strip(message: Message, task: str) -> None:
    """Leave what Celery needs to run the task and nothing that a sender could steer it with (eta, expires, retries, time limits)."""
    message.headers = _headers(task)
    message.properties = {}
    message.content_encoding = "binary"


def _strip_task(message: Message, *, known: Collection[str]) -> None:
    """Leave a task's name, its arguments and when it expires. Raises ValueError for what is no task of ours."""
    task, expires = message.headers.get("task"), message.headers.get("expires")
    if not isinstance(task, str) or task.startswith("celery.") or task not in known:
        raise ValueError(f"task {task!r:.100} is none of this worker's")
    if message.content_type != "application/json":
        raise ValueError(f"content type {message.content_type!r:.100}: expected 'application/json'")
    body = message.body
    if len(body) > _MAX_TASK_BYTES:
        raise ValueError(f"{len(body)} bytes: expected at most {_MAX_TASK_BYTES}")
    arguments, options, _ = json.loads(body if isinstance(body, str) else bytes(body))
    if not isinstance(arguments, list) or not isinstance(options, dict):
        raise ValueError("expected a list of arguments and an object of named ones")
    # The third part would hold callbacks: tasks that a stranger wants us to send.
    message.body = json.dumps([arguments, options, {}]).encode()
    message.headers = _headers(task) | ({"expires": expires} if isinstance(expires, str) else {})
    message.properties = {}
    message.content_encoding = "utf-8"


def _headers(task: str) -> dict[str, Any]:
    return {"lang": "py", "task": task, "id": str(uuid4()), "root_id": None, "parent_id": None, "argsrepr": "…"}


def _raw(message: Message) -> bytes:
    body = message.body
    return body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body or b"")


def _keep(message: Message, reason: str, detail: str) -> None:
    """Quarantine, then acknowledge. While the store is away the message goes back and is looked at again."""
    quarantine = importlib.import_module("metering.collector.quarantine")
    availability = importlib.import_module("metering.collector.availability")
    origin = {"queue": "collector", "content_type": str(message.content_type)[:500], "headers": _shown(message.headers)}
    try:
        with availability.waiting_for_store():
            quarantine.put_in_quarantine(_raw(message), reason=reason, detail=detail, origin=origin)
    except Exception as error:
        logger.log(
            logging.WARNING if availability.is_away() else logging.ERROR,
            "a foreign message could not be quarantined, it goes back to the broker: %s",
            error,
        )
        time.sleep(_RETRY_SECONDS)
        message.requeue()
        return
    logger.warning("quarantined a foreign message: %s: %s", reason, detail)
    message.ack()


def _shown(headers: Any) -> dict[str, str]:
    """Headers as text of bounded length: they are evidence, not data."""
    items = headers.items() if isinstance(headers, dict) else [("headers", headers)]
    return {str(name)[:100]: _text(value) for name, value in list(items)[:50]}


def _text(value: Any) -> str:
    try:
        return repr(value)[:500]
    except RecursionError:
        return f"a {type(value).__name__}, nested too deep to show"
