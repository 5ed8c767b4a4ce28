"""In a CI run (CI=true) a skipped test is a failed run: nobody reads the skips of a green run.

What the machine itself cannot do is excepted: such a skip's reason begins with `machine:` and says what is missing,
as in `pytest.skip("machine: no RabbitMQ answers at amqp://127.0.0.1")`.
"""

from __future__ import annotations

import os

import pytest

EXCUSE = "machine:"


class SkipKeeper:
    """Collects the skips that have no excuse, and fails the run for them."""

    def __init__(self) -> None:
        self.unexcused: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        detail = report.longrepr
        reason = str(detail[2] if isinstance(detail, tuple) else detail).removeprefix("Skipped: ")
        if not reason.startswith(EXCUSE):
            self.unexcused.append(f"{report.nodeid}: {reason}")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.unexcused and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.unexcused:
            terminalreporter.section("skipped although this machine could run them", red=True)
            for line in self.unexcused:
                terminalreporter.write_line(line)


def pytest_configure(config: pytest.Config) -> None:
    is_worker = hasattr(config, "workerinput")
    if os.environ.get("CI") == "true" and not is_worker:
        config.pluginmanager.register(SkipKeeper())
