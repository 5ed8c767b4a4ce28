"""What the make-believe cloud sells: flavors, images, and the ways in which instances are used."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["FLAVORS", "HABITS", "IMAGES", "Flavor", "Habit", "Image"]


@dataclass(frozen=True)
class Flavor:
    name: str
    vcpus: int
    ram_mib: int
    disk_gib: int


@dataclass(frozen=True)
class Image:
    name: str
    size_bytes: int


@dataclass(frozen=True)
class Habit:
    """How an instance is used: its load at rest and at its peak, the hour (UTC) of the peak, and whether weekends are quiet."""

    name: str
    rest: float
    peak: float
    peak_hour: float
    quiet_weekends: bool
    stops_at_night: bool = False

    def load_at(self, seconds: int) -> float:
        """The share of the vCPUs that is busy at this time (seconds since 1970 UTC)."""
        day, second = divmod(seconds, 86_400)
        # A bell over half a day around the peak.
        nearness = max(0.0, math.cos((second / 3600 - self.peak_hour) * math.pi / 12))
        # 1970 began on a Thursday: days 2 and 3 of its weeks are Saturday and Sunday.
        damping = 0.3 if self.quiet_weekends and day % 7 in (2, 3) else 1.0
        return self.rest + (self.peak - self.rest) * nearness * nearness * damping


FLAVORS = (
    Flavor("m1.tiny", 1, 512, 1),
    Flavor("m1.small", 1, 2048, 20),
    Flavor("m1.medium", 2, 4096, 40),
    Flavor("m1.large", 4, 8192, 80),
    Flavor("m1.xlarge", 8, 16_384, 160),
    Flavor("c1.large", 8, 4096, 40),
)
IMAGES = (
    Image("debian-12", 412_876_800),
    Image("ubuntu-24.04", 618_725_376),
    Image("rocky-9", 1_021_837_312),
    Image("windows-2022", 11_274_289_152),
)
HABITS = (
    Habit("web", 0.08, 0.70, 14.0, quiet_weekends=True),
    Habit("shop", 0.10, 0.80, 19.0, quiet_weekends=False),
    Habit("build", 0.02, 0.95, 10.0, quiet_weekends=True),
    Habit("backup", 0.01, 0.60, 2.0, quiet_weekends=False),
    Habit("desk", 0.03, 0.40, 11.0, quiet_weekends=True, stops_at_night=True),
    Habit("idle", 0.01, 0.03, 12.0, quiet_weekends=False),
)
