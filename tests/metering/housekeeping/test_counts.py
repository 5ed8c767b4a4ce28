"""Counts of requests do not pile up."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from metering.housekeeping.routine import keep_house
from metering.models import RequestCount


def test_counts_of_minutes_long_over_are_forgotten(db):
    now = timezone.now()
    for key, age in {"token:1": timedelta(hours=2), "token:2": timedelta(minutes=5)}.items():
        RequestCount.objects.create(key=key, minute=int((now - age).timestamp()) // 60, granted=1)
    keep_house(now)
    assert [count.key for count in RequestCount.objects.all()] == ["token:2"]
