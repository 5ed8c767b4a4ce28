"""A make-believe cloud over time: who lives on which node, what happens to them, and every poll of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import NamedTuple
from uuid import UUID

from metering.messages import Meter, Resource, Sample

from .instances import SOURCE, Instance
from .shop import FLAVORS, HABITS, IMAGES

__all__ = ["CENTRAL", "Fleet", "Plan", "Poll"]

CENTRAL = "sim-central"
_CENTRAL_SECONDS = 3600
_VOLUME = Meter("volume.size", "gauge", "GiB")
_IMAGE = Meter("image.size", "gauge", "B")
_ADDRESS = Meter("ip.floating", "gauge", "ip")
_NETWORK = Meter("network", "gauge", "network")
# How often, per instance and day.
_STOPS, _RESIZES, _MIGRATIONS, _REBOOTS, _DELETIONS = 0.10, 0.02, 0.04, 0.05, 0.02
# How long a stopped instance rests: between one hour and a day.
_REST_SECONDS = (3600, 86_400)
# A node is sometimes not polled: a gap, as in life.
_MISSED_POLLS = 0.002


@dataclass(frozen=True)
class Plan:
    """How large the cloud is and when: ``start`` up to and without ``end``, seconds since 1970 UTC."""

    nodes: int
    instances_per_node: int
    start: int
    end: int
    interval_seconds: int = 300
    seed: int = 1

    @property
    def name(self) -> str:
        """What tells this simulation from any other: equal names, equal samples."""
        return (
            f"seed {self.seed}, {self.nodes} nodes of {self.instances_per_node}, "
            f"{self.start} to {self.end} by {self.interval_seconds} s"
        )


class Poll(NamedTuple):
    """What one agent measured of one source at one due time (seconds since 1970 UTC)."""

    agent: str
    source: str
    due: int
    samples: list[Sample]


class Fleet:
    """The cloud of a plan. Iterate ``polls`` once: the fleet lives through its time by that."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._random = Random(plan.seed)
        self._nodes = [f"sim-node-{number}" for number in range(1, plan.nodes + 1)]
        self._projects = [self._owner() for _ in range(max(3, plan.nodes))]
        self._count = 0
        self.instances: list[Instance] = []
        self._wakes_at: dict[str, int] = {}
        for node in self._nodes:
            for _ in range(plan.instances_per_node):
                self._add_instance(node)
        self._rented = self._rent()

    @property
    def agents(self) -> list[str]:
        """The names of those who sign: every node, and the one who polls what belongs to no node."""
        return [*self._nodes, CENTRAL]

    def polls(self) -> Iterator[Poll]:
        """Every poll of every agent, in the order of time."""
        plan = self.plan
        for due in range(plan.start, plan.end, plan.interval_seconds):
            for instance in list(self.instances):
                self._happen(instance, due)
                instance.run(plan.interval_seconds, until=due)
            by_node: dict[str, list[Instance]] = {node: [] for node in self._nodes}
            for instance in self.instances:
                by_node[instance.node].append(instance)
            for number, (node, instances) in enumerate(by_node.items()):
                if self._random.random() >= _MISSED_POLLS:
                    # A poll takes a moment: its samples lie a little after the due time.
                    timestamp = due * 1_000_000 + 1000 * (number + 1)
                    samples = [sample for instance in instances for sample in instance.poll(timestamp)]
                    yield Poll(node, "compute", due, samples)
            if due % _CENTRAL_SECONDS == 0:
                yield Poll(CENTRAL, "central", due, self._poll_rented(due * 1_000_000))

    def _owner(self) -> tuple[str, str]:
        return (f"{self._random.getrandbits(128):032x}", f"{self._random.getrandbits(128):032x}")

    def _add_instance(self, node: str) -> None:
        self._count += 1
        project, user = self._random.choice(self._projects)
        habit = self._random.choice(HABITS)
        self.instances.append(
            Instance(self._random, node=node, project=project, user=user, habit=habit, number=self._count)
        )

    def _happen(self, instance: Instance, now: int) -> None:
        """What this moment brings to an instance; most of them nothing."""
        if not instance.is_running:
            if now >= self._wakes_at[instance.id]:
                instance.start()
            return
        if instance.habit.stops_at_night and now % 86_400 // 3600 >= 19:
            self._rest(instance, until=now // 86_400 * 86_400 + 86_400 + 6 * 3600)
            return
        chance = self._random.random() * 86_400 / self.plan.interval_seconds
        for rate, event in (
            (_STOPS, self._stop),
            (_RESIZES, self._resize),
            (_MIGRATIONS, self._migrate),
            (_REBOOTS, self._reboot),
            (_DELETIONS, self._replace),
        ):
            if chance < rate:
                event(instance, now)
                return
            chance -= rate

    def _rest(self, instance: Instance, *, until: int) -> None:
        instance.stop()
        self._wakes_at[instance.id] = until

    def _stop(self, instance: Instance, now: int) -> None:
        self._rest(instance, until=now + self._random.randrange(*_REST_SECONDS))

    def _resize(self, instance: Instance, now: int) -> None:
        instance.resize(self._random.choice([flavor for flavor in FLAVORS if flavor != instance.flavor]))

    def _migrate(self, instance: Instance, now: int) -> None:
        instance.migrate(self._random.choice(self._nodes))

    def _reboot(self, instance: Instance, now: int) -> None:
        instance.start()

    def _replace(self, instance: Instance, now: int) -> None:
        """One goes, another comes."""
        self.instances.remove(instance)
        self._add_instance(self._random.choice(self._nodes))

    def _rent(self) -> list[tuple[Meter, Resource, str]]:
        """What projects have beside instances: volumes, addresses, networks; and the images that all may use."""
        rented: list[tuple[Meter, Resource, str]] = []
        for number, (project, user) in enumerate(self._projects, 1):
            for _ in range(self._random.randint(1, 2 + len(self.instances) // len(self._projects))):
                size = self._random.choice((10, 20, 50, 100, 500))
                facts = {"status": "in-use", "volume_type": self._random.choice(("ssd", "hdd")), "size": size}
                rented.append((_VOLUME, self._thing(project, user, name=f"volume-{len(rented)}", **facts), str(size)))
            for _ in range(self._random.randint(1, 3)):
                rented.append((_ADDRESS, self._thing(project, user, status="ACTIVE"), "1"))
            rented.append((_NETWORK, self._thing(project, user, name=f"net-{number}", status="ACTIVE"), "1"))
        for image in IMAGES:
            facts = {"name": image.name, "status": "active", "visibility": "public", "disk_format": "qcow2"}
            rented.append((_IMAGE, self._thing(None, None, **facts), str(image.size_bytes)))
        return rented

    def _thing(self, project: str | None, user: str | None, **facts: object) -> Resource:
        thing_id = str(UUID(int=self._random.getrandbits(128), version=4))
        return Resource(id=thing_id, source=SOURCE, project=project, user=user, metadata=facts)

    def _poll_rented(self, timestamp: int) -> list[Sample]:
        return [Sample(meter, resource, timestamp, volume) for meter, resource, volume in self._rented]
