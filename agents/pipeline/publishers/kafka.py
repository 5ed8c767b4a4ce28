"""``kafka://HOST:9092?topic=…``: each sample and event a record of JSON. Needs the library confluent-kafka, which is an extra.

Samples of one resource share a key, so they stay in order. Sent is what the brokers acknowledged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ...contract import Event, Outgoing
from .address import parse_address
from .buffer import Entry, Outcome
from .buffered import BufferedPublisher, limits_of
from .shapes import event_json, metering_message_json

try:
    from confluent_kafka import KafkaError, KafkaException, Producer
except ImportError as error:
    raise ImportError("the library confluent-kafka is missing: pip install -r requirements/kafka.txt") from error

__all__ = ["KafkaPublisher"]

# The library tells each attempt to reach a broker: what an operator needs of that is in the publisher's state.
_library_logger = logging.getLogger(f"{__name__}.library")
_library_logger.setLevel(logging.CRITICAL)

_NEVER_TAKEN = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_MSG_SIZE}
_NOT_IN_TIME = {KafkaError._MSG_TIMED_OUT, KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}
# To hear what became of records that were taken back.
_LAST_REPORTS_SECONDS = 1.0


class KafkaPublisher(BufferedPublisher):
    """Takes both. ``policy=drop`` tries each record once; the other policies keep it, in the bounded buffer."""

    schemes: ClassVar[tuple[str, ...]] = ("kafka",)

    def __init__(self, url: str) -> None:
        address = parse_address(url)
        limits = limits_of(address)
        max_retries = 0 if address.values["policy"] == "drop" else address.values["max_retry"]
        self._topic: str = address.values["topic"]
        self._broker_error = ""
        self._producer = Producer(
            {
                "bootstrap.servers": address.host_and_port(),
                "client.id": "celometer",
                "acks": "all",
                # The library's own repetitions shall not overtake one another.
                "max.in.flight.requests.per.connection": 1,
                "message.timeout.ms": max(1, int(limits.timeout_seconds * 1000)),
                "error_cb": self._hear,
            },
            logger=_library_logger,
        )
        super().__init__(address, limits._replace(max_retries=max_retries))

    def sample_entry(self, outgoing: Outgoing) -> Entry:
        return Entry("", metering_message_json(outgoing), outgoing.sample.resource.id.encode())

    def event_entry(self, event: Event) -> Entry:
        return Entry("", event_json(event))

    def send(self, batch: Sequence[Entry], timeout_seconds: float) -> Outcome:
        failures: dict[int, KafkaError | None] = dict.fromkeys(range(len(batch)))
        for number, entry in enumerate(batch):
            try:
                self._producer.produce(
                    self._topic, entry.body, entry.key or None, on_delivery=_report(failures, number)
                )
            except KafkaException as error:
                failures[number] = error.args[0]
        if self._producer.flush(timeout_seconds):
            self._producer.purge()
            self._producer.flush(_LAST_REPORTS_SECONDS)
        refused = [error for error in failures.values() if error and error.code() in _NEVER_TAKEN]
        left = [n for n, error in failures.items() if not error or error.code() not in _NEVER_TAKEN]
        return Outcome(
            len(refused), [batch[number] for number in left], self._why([failures[n] for n in left] or refused)
        )

    def _why(self, errors: Sequence[KafkaError | None]) -> str:
        """What the brokers said of the first; where it was only not taken in time, what keeps us from them."""
        if not errors:
            self._broker_error = ""
            return ""
        if errors[0] is None or errors[0].code() in _NOT_IN_TIME:
            return self._broker_error or "not acknowledged in time"
        return errors[0].str()

    def _hear(self, error: KafkaError) -> None:
        self._broker_error = error.str()


def _report(failures: dict[int, KafkaError | None], number: int) -> Callable[[KafkaError | None, Any], None]:
    """What is called for one record: one that was taken is no failure any more."""

    def hear(error: KafkaError | None, message: Any) -> None:
        if error is None:
            failures.pop(number, None)
        else:
            failures[number] = error

    return hear
