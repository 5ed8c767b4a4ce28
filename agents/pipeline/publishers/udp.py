"""``udp://HOST:4952``: each sample a datagram, Ceilometer's metering message in msgpack.

Nobody says whether a datagram arrived: sent is what the network took.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from ...contract import Outgoing
from .address import parse_address
from .buffer import Entry, Outcome
from .buffered import BufferedPublisher, limits_of
from .shapes import metering_message

__all__ = ["UdpPublisher"]

_encode = msgspec.msgpack.Encoder().encode
# What IPv4 leaves of 64 KiB.
_MAX_DATAGRAM_BYTES = 65_507


class UdpPublisher(BufferedPublisher):
    """Takes samples only; one too large for a datagram is dropped and counted."""

    schemes: ClassVar[tuple[str, ...]] = ("udp",)

    def __init__(self, url: str) -> None:
        address = parse_address(url)
        self._socket: socket.socket | None = None
        super().__init__(address, limits_of(address))

    def sample_entry(self, outgoing: Outgoing) -> Entry:
        body = _encode(metering_message(outgoing))
        if len(body) > _MAX_DATAGRAM_BYTES:
            raise ValueError(f"{len(body)} bytes do not fit into a datagram")
        return Entry("", body)

    def send(self, batch: Sequence[Entry], timeout_seconds: float) -> Outcome:
        refused, error_text = 0, ""
        for number, entry in enumerate(batch):
            try:
                self._connected(timeout_seconds).send(entry.body)
            except OSError as error:
                error_text = error.strerror or str(error)
                if error.errno != errno.EMSGSIZE:
                    # That nobody listens is known from the datagrams before; they are lost.
                    self.release()
                    return Outcome(refused, batch[number:], error_text)
                refused += 1
        return Outcome(refused, error=error_text)

    def release(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None

    def _connected(self, timeout_seconds: float) -> socket.socket:
        if not self._socket:
            self._socket = _connect(self.address.host, self.address.port)
        self._socket.settimeout(timeout_seconds)
        return self._socket


def _connect(host: str, port: int) -> socket.socket:
    """A socket to the first of the host's addresses that there is a way to."""
    failure: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM):
        made = socket.socket(family, kind, protocol)
        try:
            made.connect(address)
        except OSError as error:
            made.close()
            failure = error
        else:
            return made
    raise failure or OSError(errno.EADDRNOTAVAIL, "the host has no address")
