"""``tcp://HOST:4952``: a stream of frames, each a length (eight bytes, little-endian) and Ceilometer's metering message in msgpack.

The receiver answers nothing. Sent is what its system acknowledged; what it had not yet read when it died is lost.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
import time
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from ...contract import Outgoing
from .address import parse_address
from .buffer import Entry, Outcome
from .buffered import BufferedPublisher, limits_of
from .shapes import metering_message

__all__ = ["TcpPublisher"]

_encode = msgspec.msgpack.Encoder().encode
_LOOK_FOR_ACKNOWLEDGEMENT_SECONDS = 0.001


class TcpPublisher(BufferedPublisher):
    """Takes samples only. After a failure a batch is sent again as a whole, over a new connection."""

    schemes: ClassVar[tuple[str, ...]] = ("tcp",)

    def __init__(self, url: str) -> None:
        address = parse_address(url)
        self._socket: socket.socket | None = None
        self._host_name = socket.gethostname()
        super().__init__(address, limits_of(address))

    def sample_entry(self, outgoing: Outgoing) -> Entry:
        body = _encode(metering_message(outgoing) | {"publisher_id": self._host_name})
        return Entry("", struct.pack("<Q", len(body)) + body)

    def send(self, batch: Sequence[Entry], timeout_seconds: float) -> Outcome:
        give_up_at = time.monotonic() + timeout_seconds
        try:
            connection = self._connected(timeout_seconds)
            connection.settimeout(timeout_seconds)
            connection.sendall(b"".join(entry.body for entry in batch))
            _wait_for_acknowledgement(connection, give_up_at)
        except OSError as error:
            # Half a frame may be on its way: nothing can follow it on this connection.
            self.release()
            return Outcome(left=batch, error=error.strerror or str(error) or type(error).__name__)
        return Outcome()

    def release(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None

    def _connected(self, timeout_seconds: float) -> socket.socket:
        if self._socket and _has_ended(self._socket):
            self.release()
        if not self._socket:
            self._socket = socket.create_connection((self.address.host, self.address.port), timeout_seconds)
        return self._socket


def _has_ended(connection: socket.socket) -> bool:
    """Whether the other side closed it; raises OSError when it was broken. What the other side says is thrown away."""
    connection.setblocking(False)
    try:
        while connection.recv(4096):
            pass
    except BlockingIOError:
        return False
    return True


def _wait_for_acknowledgement(connection: socket.socket, give_up_at: float) -> None:
    """Until the other side's system has every byte. Raises OSError when the connection breaks first, or in time it has not."""
    while int.from_bytes(fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)), "little"):
        if time.monotonic() >= give_up_at:
            raise TimeoutError(0, "not acknowledged in time")
        time.sleep(_LOOK_FOR_ACKNOWLEDGEMENT_SECONDS)
    # A connection that was reset has nothing outstanding either: this raises then.
    _has_ended(connection)
