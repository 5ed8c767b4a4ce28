"""What a poll costs: CPU milliseconds of this process per domain, cold and warm.

    python -m benchmarks.poll                 # 50 domains of libvirt's test driver
    python -m benchmarks.poll --qemu 10       # also ten real, emulated QEMU domains (root, Debian)
    python -m benchmarks.poll --uri qemu:///system

The first poll also connects and reads every domain's XML; the others make one bulk call. The test driver runs inside
this process and is asked domain by domain (its bulk call tells states only), so its figures contain what libvirtd
and QEMU would otherwise do; the figures of ``--qemu`` are those of an agent in production.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from agents.compute import POLLSTERS
from agents.compute.hypervisor import Hypervisor
from agents.compute.instances import LocalInstances
from agents.contract import Cycle, Problem, Sample
from benchmarks.figures import Figure
from benchmarks.gates import expect
from tests.support.libvirt_file import write_crowd
from tests.support.qemu import PrivateLibvirt

GUEST_CACHE = Path(__file__).parents[1] / "var" / "cache" / "guest"


class _Polled(NamedTuple):
    domains: int
    samples: list[Sample]
    problems: list[Problem]


@dataclass(frozen=True)
class Cost:
    """CPU milliseconds of one poll, the whole of it: discovery and every pollster."""

    domains: int
    by_meter: Counter[str]
    first_cpu_ms: float
    warm_cpu_ms: float
    warm_wall_ms: float


def measure_domains(domains: int, *, polls: int) -> list[Figure]:
    """Polls of so many domains of the test driver, beside as many polls that ask for each domain and device anew."""
    # Here, for an agent's machine without libvirt has no figures of it, but has all others.
    from benchmarks.plain_poll import PlainPoll

    with tempfile.TemporaryDirectory() as folder:
        uri = write_crowd(Path(folder) / "node.xml", domains)
        cost = measure_poll(uri, polls=polls)
        expect_same_counters(cost.by_meter, PlainPoll(uri)(), domains=domains)
        plain_ms = _plain_cpu_ms(PlainPoll(uri), polls=polls)
    return [
        Figure(
            f"poll of {domains} domains, CPU",
            cost.warm_cpu_ms / domains,
            "ms/domain",
            plain_ms / domains,
            "as Ceilometer: domain by domain, device by device",
        ),
        Figure(f"poll of {domains} domains, the first, CPU", cost.first_cpu_ms / domains, "ms/domain"),
    ]


def measure_poll(uri: str, *, polls: int = 20) -> Cost:
    """Poll once cold, then ``polls`` times warm, and return the cold figure and the mean of the warm ones.

    Raises WrongAnswer when a warm poll has not as many samples as the first, or one reports a problem.
    """
    local_instances = LocalInstances(Hypervisor(uri))
    pollsters = [pollster for pollster in POLLSTERS if pollster.discovery == local_instances.name]

    def poll() -> _Polled:
        cycle = Cycle(node="bench", timestamp=time.time_ns() // 1000)
        targets = local_instances.discover(cycle)
        samples = [sample for pollster in pollsters for sample in pollster.samples(targets, cycle)]
        return _Polled(len(targets), samples, cycle.problems)

    started = time.process_time()
    cold = poll()
    first = time.process_time() - started
    counts, problems = [], cold.problems
    started, started_wall = time.process_time(), time.perf_counter()
    for _ in range(polls):
        polled = poll()
        counts.append(len(polled.samples))
        problems += polled.problems
    warm, warm_wall = time.process_time() - started, time.perf_counter() - started_wall
    expect("problems of the polls", problems, [])
    expect("samples of the polls", counts, [len(cold.samples)] * polls)
    by_meter = Counter(sample.meter.name for sample in cold.samples)
    return Cost(cold.domains, by_meter, first * 1000, warm * 1000 / polls, warm_wall * 1000 / polls)


def expect_same_counters(ours: Counter[str], plain: Counter[str], *, domains: int) -> None:
    """Raise WrongAnswer unless every domain is there, with each counter as often as reading it one by one finds it."""
    expect("samples of the meter instance", ours["instance"], domains)
    expect("samples by meter", {name: ours[name] for name in plain}, dict(plain))


def _plain_cpu_ms(poll: Callable[[], object], *, polls: int) -> float:
    poll()
    started = time.process_time()
    for _ in range(polls):
        poll()
    return (time.process_time() - started) * 1000 / polls


def print_cost(name: str, cost: Cost) -> None:
    """Print one line: what was polled, and the figures."""
    print(
        f"{name}: {cost.domains} domains, {cost.by_meter.total()} samples a poll; "
        f"CPU per domain {cost.warm_cpu_ms / cost.domains:.3f} ms warm, {cost.first_cpu_ms / cost.domains:.3f} ms cold; "
        f"a warm poll takes {cost.warm_cpu_ms:.1f} ms CPU, {cost.warm_wall_ms:.1f} ms in all"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domains", type=int, default=50, help="domains of the test driver (default 50)")
    parser.add_argument("--qemu", type=int, default=0, help="real QEMU domains to start and poll as well")
    parser.add_argument("--uri", help="poll this libvirt instead")
    options = parser.parse_args()
    if options.uri:
        print_cost(options.uri, measure_poll(options.uri))
        return
    with tempfile.TemporaryDirectory() as folder:
        uri = write_crowd(Path(folder) / "node.xml", options.domains)
        print_cost("test driver", measure_poll(uri))
    if options.qemu:
        with PrivateLibvirt(cache=GUEST_CACHE) as private:
            private.start_crowd(options.qemu)
            print_cost("QEMU", measure_poll(private.uri))


if __name__ == "__main__":
    main()
