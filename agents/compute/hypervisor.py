"""One read-only libvirt connection that heals itself and never holds a polling cycle up."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYetAnswered
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from agents.contract import DiscoveryFailed

from .binding import libvirt

if TYPE_CHECKING:
    from libvirt import virConnect

__all__ = ["DEFAULT_URI", "Hypervisor", "is_alive", "is_gone"]

DEFAULT_URI = "qemu:///system"
ANSWER_SECONDS = 15.0

T = TypeVar("T")


class Hypervisor:
    """Answers questions put to the libvirt at ``uri``, each within ``answer_seconds``.

    The connection is opened at the first question, kept, and dropped when it fails. When a kept one turns out lost
    (libvirtd was restarted meanwhile), the question is put once more over a new one, so no cycle is lost to it.
    """

    def __init__(self, uri: str = DEFAULT_URI, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self.uri = uri
        self._answer_seconds = answer_seconds
        self._connection: virConnect | None = None
        self._pending: Future[Any] | None = None

    def ask(self, question: Callable[[virConnect], T]) -> T:
        """Return what ``question`` returns when called with the open connection.

        Raises DiscoveryFailed, naming the URI and the reason, when libvirt-python is missing, libvirt cannot be
        reached, fails, or does not answer in time. While an answer is overdue no further question is put.
        """
        if libvirt is None:
            raise DiscoveryFailed(
                "libvirt-python is not installed: no instance can be metered (pip install -r requirements/compute.txt)"
            )
        if self._pending is not None and not self._pending.done():
            raise DiscoveryFailed(f"libvirt at {self.uri} still owes the answer to an earlier poll")
        # libvirt's calls know no time limit, and a stopped libvirtd answers nothing: ask in a thread that can be left.
        self._pending = answer = Future[T]()
        Thread(target=self._settle, args=(answer, question), name="libvirt-question", daemon=True).start()
        try:
            return answer.result(timeout=self._answer_seconds)
        except NotYetAnswered:
            self._connection = None
            raise DiscoveryFailed(f"libvirt at {self.uri} did not answer within {self._answer_seconds:g} s") from None
        except libvirt.libvirtError as error:
            raise DiscoveryFailed(f"libvirt at {self.uri}: {error.get_error_message() or error}") from error

    def _settle(self, answer: Future[T], question: Callable[[virConnect], T]) -> None:
        try:
            answer.set_result(self._answer(question))
        except BaseException as error:  # handed over whole to the thread that waits
            answer.set_exception(error)

    def _answer(self, question: Callable[[virConnect], T]) -> T:
        known, self._connection = self._connection, None
        if known is not None:
            try:
                answer = question(known)
            except libvirt.libvirtError:
                if is_alive(known):
                    raise
            else:
                self._connection = known
                return answer
        connection = _open(self.uri)
        answer = question(connection)
        self._connection = connection
        return answer


def is_alive(connection: virConnect) -> bool:
    """Say whether the connection can still carry a question."""
    try:
        return bool(connection.isAlive() == 1)
    except libvirt.libvirtError:
        return False


def is_gone(error: Exception) -> bool:
    """Say whether a libvirt error means that the domain asked about no longer exists."""
    return isinstance(error, libvirt.libvirtError) and bool(error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN)


def _open(uri: str) -> virConnect:
    # libvirt prints every error to stderr unless told otherwise; ours travel as exceptions and say where they arose.
    libvirt.registerErrorHandler(_stay_quiet, None)
    return libvirt.openReadOnly(uri)


def _stay_quiet(context: None, error: Any) -> None:
    """Take libvirt's error report and print nothing."""
