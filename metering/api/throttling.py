"""How often a caller may ask: one count for all processes of the API, of which each takes blocks.

A process takes a part of a caller's requests of the current minute from the store at once, and grants them from memory. So a busy
caller costs a statement for every two-hundredth part of the bound, a quiet one a statement a minute. All processes together never
grant more than the bound; what one has taken and not granted is lost with the minute, so a caller who is spread over n processes may
be refused n blocks early.
"""

from __future__ import annotations

import ipaddress
import threading
from time import time as read_clock

from django.conf import settings
from django.db import connection
from django.http import HttpRequest
from rest_framework.exceptions import APIException

__all__ = ["TooManyRequests", "address_of", "admit_caller", "count_failure", "forget_blocks"]

_BLOCKS_PER_MINUTE = 200
_MINUTE_SECONDS = 60
_NONE_TO_COME = -1
# Answers with what this process now holds; with nothing when all has been taken. A row of an earlier minute begins anew.
_TAKE = """
INSERT INTO metering_requestcount AS counted (key, minute, granted) VALUES (%(key)s, %(minute)s, %(block)s)
ON CONFLICT (key) DO UPDATE SET
    minute = greatest(counted.minute, excluded.minute),
    granted = CASE WHEN counted.minute < excluded.minute THEN 0 ELSE counted.granted END + excluded.granted
WHERE counted.minute < excluded.minute OR counted.granted + excluded.granted <= %(bound)s
RETURNING granted
"""


class TooManyRequests(APIException):
    """429: ask again after ``Retry-After`` seconds."""

    status_code = 429

    def __init__(self, what: str, *, bound: int, setting: str, seconds: int) -> None:
        super().__init__(
            f"More than {bound} {what} in a minute. Try again in {seconds} s. The bound is the setting {setting}.",
            "too_many_requests",
        )
        self.value = str(bound)
        self.headers = {"Retry-After": str(seconds)}


class _Blocks:
    """What this process has taken of the current minute, by caller."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minute = 0
        self._left: dict[str, int] = {}

    def admit(self, key: str, *, bound: int) -> bool:
        """Whether one more request of this minute may pass."""
        minute = int(read_clock()) // _MINUTE_SECONDS
        with self._lock:
            if minute != self._minute:
                self._minute, self._left = minute, {}
            left = self._left.get(key, 0)
            if left:
                return left != _NONE_TO_COME and self._spend(key)
        # Not under the lock: other callers need not wait for this one's statement.
        taken = _take(key, minute=minute, bound=bound)
        with self._lock:
            if minute != self._minute:
                return taken > 0
            # Another thread of this process may have taken a block meanwhile, or have been refused one.
            self._left[key] = max(self._left.get(key, 0), 0) + taken
            return self._spend(key) if self._left[key] else self._close(key)

    def _spend(self, key: str) -> bool:
        self._left[key] -= 1
        return True

    def _close(self, key: str) -> bool:
        self._left[key] = _NONE_TO_COME
        return False

    def forget(self) -> None:
        with self._lock:
            self._left = {}


_blocks = _Blocks()


def admit_caller(key: str) -> None:
    """Count a request of the caller, such as ``token:7``. Raises TooManyRequests."""
    bound = settings.CELOMETER_API_REQUESTS_PER_MINUTE
    if not _blocks.admit(key, bound=bound):
        raise TooManyRequests(
            "requests of one caller", bound=bound, setting="CELOMETER_API_REQUESTS_PER_MINUTE", seconds=_seconds_left()
        )


def count_failure(request: HttpRequest) -> None:
    """Count a token that was refused, by the address that it came from. Raises TooManyRequests.

    Good tokens from that address go on working: tokens are too long to be guessed, and many callers may share an address.
    """
    bound = settings.CELOMETER_API_FAILURES_PER_MINUTE
    if not _blocks.admit(f"address:{address_of(request) or ''}", bound=bound):
        raise TooManyRequests(
            "refused tokens from one address",
            bound=bound,
            setting="CELOMETER_API_FAILURES_PER_MINUTE",
            seconds=_seconds_left(),
        )


def forget_blocks() -> None:
    """Ask the store anew; only an emptied store calls for it."""
    _blocks.forget()


def address_of(request: HttpRequest) -> str | None:
    """Where a request comes from: behind CELOMETER_PROXIES proxies what they say, else the other end; of IPv6 the network.

    None on a socket without addresses.
    """
    proxies = settings.CELOMETER_PROXIES
    passed = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    sent = passed[-proxies] if 0 < proxies <= len(passed) else request.META.get("REMOTE_ADDR", "")
    try:
        address = ipaddress.ip_address(sent)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        # One customer has a whole network of them.
        return str(address.ipv4_mapped or ipaddress.ip_network((int(address), 64), strict=False).network_address)
    return str(address)


def _take(key: str, *, minute: int, bound: int) -> int:
    """Take a block for this process; 0 when the minute's bound has been reached."""
    block = max(1, bound // _BLOCKS_PER_MINUTE)
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, {"key": key, "minute": minute, "block": block, "bound": bound})
        return block if cursor.fetchone() else 0


def _seconds_left() -> int:
    return _MINUTE_SECONDS - int(read_clock()) % _MINUTE_SECONDS
