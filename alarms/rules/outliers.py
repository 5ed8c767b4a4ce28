"""Buckets that are not like the others: by how many samples they hold, not by their values (spec 6.4)."""

from __future__ import annotations

from collections.abc import Sequence

from .windows import Bucket

__all__ = ["drop_outliers"]


def drop_outliers(buckets: Sequence[Bucket]) -> list[Bucket]:
    """Those whose sample count lies within two population deviations of the mean of all; one that lies on the bound stays."""
    total = len(buckets)
    counts = [bucket.sample_count for bucket in buckets]
    whole = sum(counts)
    # In whole numbers, so that a count on the bound is on it: |count - mean| <= 2 deviations, both sides times the number, squared.
    bound = 4 * (total * sum(count * count for count in counts) - whole * whole)
    return [bucket for bucket in buckets if (total * bucket.sample_count - whole) ** 2 <= bound]
