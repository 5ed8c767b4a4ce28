"""One domain's CPU time, counted in one way for as long as it runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["CpuClock"]


class CpuClock:
    """Reads the CPU time of one domain from bulk statistics, in nanoseconds.

    The time is the sum over vCPUs of running and waiting for a core, as OpenStack bills it; where the hypervisor does
    not tell this of each vCPU, it is the process's own ``cpu.time``. The two differ, so a domain that is read in one
    way is not read in the other before it is started anew: a change of way would look like a jump of the counter.
    """

    def __init__(self) -> None:
        self._run_id: int | None = None
        self._sums_vcpus: bool | None = None

    def read(self, stats: Mapping[str, Any], *, run_id: int) -> int | None:
        """Return the counter of this run of the domain, or None when these statistics do not tell."""
        if run_id != self._run_id:
            self._run_id, self._sums_vcpus = run_id, None
        of_vcpus, of_process = _sum_vcpus(stats), stats.get("cpu.time")
        if self._sums_vcpus is None and (of_vcpus is not None or of_process is not None):
            self._sums_vcpus = of_vcpus is not None
        return of_vcpus if self._sums_vcpus else of_process


def _sum_vcpus(stats: Mapping[str, Any]) -> int | None:
    """The sum over all current vCPUs, or None when one of them is untold. Their numbers have holes after an unplug."""
    total = found = 0
    for number in range(stats.get("vcpu.maximum", 0)):
        running, waiting = stats.get(f"vcpu.{number}.time"), stats.get(f"vcpu.{number}.wait")
        if running is not None and waiting is not None:
            total += running + waiting
            found += 1
    return total if found and found == stats.get("vcpu.current") else None
