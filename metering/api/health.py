"""For load balancers and supervisors: is the process alive, and can it answer."""

from __future__ import annotations

from functools import cache

from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

__all__ = ["alive", "ready"]


@require_safe
def alive(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers at all; the store is not asked."""
    return JsonResponse({"status": "alive"})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """200 when the store answers and has every migration; else 503 with the reason."""
    try:
        applied = set(MigrationRecorder(connection).applied_migrations())
    except Error as error:
        return _not_ready(f"the store does not answer: {str(error).strip().splitlines()[0]}")
    missing = sorted(_known_migrations() - applied)
    if missing:
        names = ", ".join(f"{app}.{name}" for app, name in missing[:5])
        return _not_ready(f"{len(missing)} migrations are missing, first {names}: run manage.py migrate")
    return JsonResponse({"status": "ready"})


def _not_ready(reason: str) -> JsonResponse:
    return JsonResponse({"status": "not ready", "reason": reason}, status=503, headers={"Retry-After": "5"})


@cache
def _known_migrations() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None).disk_migrations)
