"""The meters of instances: one row each, saying where the value stands. Pure.

A value that libvirt did not tell gives no sample, never a zero. A stopped instance still has what is marked
``when_stopped``; its counters are gaps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from agents.contract import Cycle, Meter, Pollster, Sample, volume_text

from .instances import Device, Instance

__all__ = ["INSTANCE_POLLSTERS"]

Value = int | Decimal | None


@dataclass(frozen=True)
class InstancePollster:
    """Reads a meter that an instance has one value of."""

    discovery: ClassVar[str] = "local_instances"
    meter: Meter
    read: Callable[[Instance], Value]
    when_stopped: bool = False

    @property
    def name(self) -> str:
        return self.meter.name

    def samples(self, targets: Sequence[Instance], cycle: Cycle) -> Iterator[Sample]:
        for instance in targets:
            if instance.is_stopped and not self.when_stopped:
                continue
            value = self.read(instance)
            if value is not None:
                yield Sample(self.meter, instance.resources.instance, cycle.timestamp, volume_text(value))


@dataclass(frozen=True)
class DevicePollster:
    """Reads a meter that each disk or each vnic of an instance has a value of."""

    discovery: ClassVar[str] = "local_instances"
    meter: Meter
    devices: Callable[[Instance], Sequence[Device]]
    read: Callable[[Device], int | None]
    when_stopped: bool = False

    @property
    def name(self) -> str:
        return self.meter.name

    def samples(self, targets: Sequence[Instance], cycle: Cycle) -> Iterator[Sample]:
        for instance in targets:
            if instance.is_stopped and not self.when_stopped:
                continue
            for device in self.devices(instance):
                value = self.read(device)
                if value is not None:
                    yield Sample(self.meter, device.resource, cycle.timestamp, volume_text(value))


@dataclass(frozen=True)
class TotalPollster:
    """Reads a meter that is the sum over an instance's disks; a total of which a part is unknown is unknown."""

    discovery: ClassVar[str] = "local_instances"
    meter: Meter
    read: Callable[[Device], int | None]
    when_stopped: bool = False

    @property
    def name(self) -> str:
        return self.meter.name

    def samples(self, targets: Sequence[Instance], cycle: Cycle) -> Iterator[Sample]:
        for instance in targets:
            if instance.is_stopped and not self.when_stopped:
                continue
            values = [value for value in map(self.read, instance.disks) if value is not None]
            if values and len(values) == len(instance.description.disks):
                yield Sample(self.meter, instance.resources.all_disks, cycle.timestamp, volume_text(sum(values)))


def _stat(key: str) -> Callable[[Instance], Value]:
    return lambda instance: instance.stats.get(key)


def _mebibytes(key: str) -> Callable[[Instance], Value]:
    def read(instance: Instance) -> Value:
        kibibytes = instance.stats.get(key)
        return None if kibibytes is None else _exact_mebibytes(kibibytes)

    return read


def _exact_mebibytes(kibibytes: int) -> Value:
    whole, rest = divmod(kibibytes, 1024)
    return whole if rest == 0 else Decimal(kibibytes) / 1024


def _guest_mebibytes(key: str) -> Callable[[Instance], Value]:
    """A value that only the guest's balloon driver can tell."""
    read = _mebibytes(key)
    return lambda instance: read(instance) if instance.balloon_reports else None


def _memory_usage(instance: Instance) -> Value:
    """Available minus what the guest could use without swapping; a guest that does not tell counts its cache as used."""
    available = instance.stats.get("balloon.available")
    spare = instance.stats.get("balloon.usable", instance.stats.get("balloon.unused"))
    if not instance.balloon_reports or available is None or spare is None:
        return None
    return _exact_mebibytes(available - spare)


def _swap(key: str) -> Callable[[Instance], Value]:
    """Swap traffic, told only by a guest that tells both directions."""
    read = _guest_mebibytes(key)

    def read_if_both(instance: Instance) -> Value:
        both = "balloon.swap_in" in instance.stats and "balloon.swap_out" in instance.stats
        return read(instance) if both else None

    return read_if_both


def _root_size(instance: Instance) -> Value:
    flavor = instance.description.nova and instance.description.nova.flavor
    return flavor.disk_gib if flavor else None


def _ephemeral_size(instance: Instance) -> Value:
    flavor = instance.description.nova and instance.description.nova.flavor
    return flavor.ephemeral_gib if flavor else None


def _value(key: str) -> Callable[[Device], int | None]:
    return lambda device: device.get(key)


def _capacity(device: Device) -> int | None:
    """An ISO image's capacity may be told smaller than the file that holds it."""
    told = [size for size in (device.get("capacity"), device.get("physical")) if size is not None]
    return max(told, default=None)


def _disks(instance: Instance) -> Sequence[Device]:
    return instance.disks


def _nics(instance: Instance) -> Sequence[Device]:
    return instance.nics


_INSTANCE_METERS = [
    InstancePollster(Meter("instance", "gauge", "instance"), lambda instance: 1, when_stopped=True),
    InstancePollster(Meter("power.state", "gauge", ""), _stat("state.state"), when_stopped=True),
    InstancePollster(Meter("cpu", "cumulative", "ns"), lambda instance: instance.cpu_ns),
    InstancePollster(Meter("vcpus", "gauge", "vcpu"), _stat("vcpu.current"), when_stopped=True),
    InstancePollster(Meter("memory", "gauge", "MiB"), _mebibytes("balloon.current"), when_stopped=True),
    InstancePollster(Meter("memory.available", "gauge", "MiB"), _guest_mebibytes("balloon.available")),
    InstancePollster(Meter("memory.usage", "gauge", "MiB"), _memory_usage),
    InstancePollster(Meter("memory.resident", "gauge", "MiB"), _mebibytes("balloon.rss")),
    InstancePollster(Meter("memory.swap.in", "cumulative", "MiB"), _swap("balloon.swap_in")),
    InstancePollster(Meter("memory.swap.out", "cumulative", "MiB"), _swap("balloon.swap_out")),
    InstancePollster(Meter("disk.root.size", "gauge", "GiB"), _root_size, when_stopped=True),
    InstancePollster(Meter("disk.ephemeral.size", "gauge", "GiB"), _ephemeral_size, when_stopped=True),
    # libvirt counts these up; OpenStack has them as gauges, and a meter keeps its type for ever.
    InstancePollster(Meter("perf.cpu.cycles", "gauge", ""), _stat("perf.cpu_cycles")),
    InstancePollster(Meter("perf.instructions", "gauge", ""), _stat("perf.instructions")),
    InstancePollster(Meter("perf.cache.references", "gauge", ""), _stat("perf.cache_references")),
    InstancePollster(Meter("perf.cache.misses", "gauge", ""), _stat("perf.cache_misses")),
    InstancePollster(Meter("memory.bandwidth.total", "gauge", "B/s"), _stat("perf.mbmt")),
    InstancePollster(Meter("memory.bandwidth.local", "gauge", "B/s"), _stat("perf.mbml")),
    InstancePollster(Meter("cpu_l3_cache", "gauge", "B"), _stat("perf.cmt")),
]

# The part after ``disk.device.`` and ``disk.``, type, unit, libvirt's key.
_DISK_COUNTERS = [
    ("read.requests", "request", "rd.reqs"),
    ("read.bytes", "B", "rd.bytes"),
    ("write.requests", "request", "wr.reqs"),
    ("write.bytes", "B", "wr.bytes"),
]
_DISK_SIZES = [
    ("capacity", _capacity, True),
    ("allocation", _value("allocation"), False),
    ("usage", _value("physical"), True),
]
_DISK_METERS: list[Pollster] = [
    *(
        DevicePollster(Meter(f"disk.device.{name}", "cumulative", unit), _disks, _value(key))
        for name, unit, key in _DISK_COUNTERS
    ),
    DevicePollster(Meter("disk.device.read.latency", "cumulative", "ns"), _disks, _value("rd.times")),
    DevicePollster(Meter("disk.device.write.latency", "cumulative", "ns"), _disks, _value("wr.times")),
    *(
        DevicePollster(Meter(f"disk.device.{name}", "gauge", "B"), _disks, read, when_stopped)
        for name, read, when_stopped in _DISK_SIZES
    ),
    *(TotalPollster(Meter(f"disk.{name}", "cumulative", unit), _value(key)) for name, unit, key in _DISK_COUNTERS),
    *(
        TotalPollster(Meter(f"disk.{name}", "gauge", "B"), read, when_stopped)
        for name, read, when_stopped in _DISK_SIZES
    ),
]

# Seen from the guest: what libvirt receives on the tap is what the guest takes in.
_NIC_METERS = [
    DevicePollster(Meter(f"network.{direction}.{name}", "cumulative", unit), _nics, _value(f"{side}.{key}"))
    for direction, side in (("incoming", "rx"), ("outgoing", "tx"))
    for name, unit, key in (
        ("bytes", "B", "bytes"),
        ("packets", "packet", "pkts"),
        ("packets.error", "packet", "errs"),
        ("packets.drop", "packet", "drop"),
    )
]

INSTANCE_POLLSTERS: list[Pollster] = [*_INSTANCE_METERS, *_DISK_METERS, *_NIC_METERS]
