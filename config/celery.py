"""The one Celery app of all roles: ``celery -A config worker -Q QUEUE`` and ``celery -A config beat``."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery, signals
from celery.beat import Service

from . import amqp_transport, env, redis_transport
from .clock import housekeeping_schedule, polling_schedule
from .queues import check_queues, queue_declarations, read_url, routes, transport_options
from .serialization import BATCH_SERIALIZER, register_batches

env.select_settings()
register_batches()
redis_transport.install()
amqp_transport.install()

SIDE = env.side()
# The server's roles speak to each other on a broker that agents may not know; agents know only the shared one.
_BROKER_URL = env.server_broker_url() if SIDE == "server" else env.broker_url()

app = Celery("celometer")
# Also in threads that did not import this module: the sender's, the API's.
app.set_default()
app.conf.update(
    broker_url=_BROKER_URL,
    broker_transport_options=transport_options(_BROKER_URL, env.broker_url()),
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    include=["agents.tasks", "alarms.notifiers.tasks"]
    if SIDE == "agent"
    else [
        "metering.collector.tasks",
        "metering.housekeeping.tasks",
        "alarms.evaluation.tasks",
        "alarms.deliveries.tasks",
    ],
    task_queues=queue_declarations(),
    task_routes=routes(),
    task_create_missing_queues=False,
    task_default_queue="central" if SIDE == "agent" else "store",
    # JSON or our own bytes, never pickle.
    accept_content=["json", BATCH_SERIALIZER],
    task_serializer="json",
    task_ignore_result=True,
    task_store_errors_even_if_ignored=False,
    # Acknowledged after the work is done; what fails or dies goes back to the broker.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_acks_on_failure_or_timeout=False,
    # One process per role: libvirt cannot be forked, one outbox has one sender, and more work is more workers.
    worker_pool="solo",
    worker_prefetch_multiplier=1,
    # Celery would close the database connection before every task.
    CELERY_DB_REUSE_MAX=1_000_000_000,
    worker_consumer="config.worker:Consumer",
    # Nobody who merely has a login on the broker may command a worker.
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    worker_redirect_stdouts=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    timezone="UTC",
    beat_scheduler="celery.beat:Scheduler",
)


@contextmanager
def _or_exit() -> Iterator[None]:
    """End the process with one line: Celery would only log an error of a signal's handler, and go on without what it was to do."""
    try:
        yield
    except Exception as error:
        # Our own errors are plain text for people; of others the type tells most.
        is_ours = type(error).__module__.partition(".")[0] in ("agents", "config", "metering")
        raise SystemExit(f"{'celometer' if is_ours else type(error).__name__}: {error}") from error


@signals.setup_logging.connect
def _keep_logging(**_: object) -> None:
    """Log as Django's settings say; with a receiver here Celery leaves the loggers alone."""


@signals.beat_init.connect
def _schedule_ticks(sender: Service, **_: object) -> None:
    """Read polling.yaml only where ticks are made from it. The scheduler has read the configuration by now, so it is told itself."""
    with _or_exit():
        sender.scheduler.update_from_dict(
            housekeeping_schedule()
            if SIDE == "server"
            else polling_schedule(importlib.import_module("agents.node").read_sources())
        )


@signals.celeryd_after_setup.connect
def _take_side(sender: str, instance: object, **_: object) -> None:
    """Refuse queues of the other side, and read from the broker where this worker's queues lie."""
    with _or_exit():
        names = {queue.alias or name for name, queue in app.amqp.queues.consume_from.items()}
        check_queues(names, side=SIDE)
        app.conf.broker_read_url = read_url(names)
        if "compute" in names:
            importlib.import_module("agents.tasks").run_node()
        if "transform" in names:
            importlib.import_module("agents.tasks").run_transform()


@signals.worker_shutdown.connect
def _stop_agent(**_: object) -> None:
    if SIDE == "agent":
        importlib.import_module("agents.tasks").stop_all()
        importlib.import_module("alarms.notifiers.tasks").finish()
