"""The heart as a Django application."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["MeteringConfig"]


class MeteringConfig(AppConfig):
    name = "metering"
    verbose_name = "Metering"
