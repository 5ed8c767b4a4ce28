from __future__ import annotations

from django.apps import AppConfig


class AlarmsConfig(AppConfig):
    name = "alarms"
    verbose_name = "Alarms"

    def ready(self) -> None:
        from metering.collector.signals import events_stored

        from .evaluation.wake import wake

        events_stored.connect(wake)
