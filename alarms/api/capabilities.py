"""What alarms add to ``/v2/capabilities``, in the names that Aodh's clients know."""

from __future__ import annotations

__all__ = ["describe"]


def describe() -> dict[str, dict[str, bool]]:
    queries = [f"{name}:query:{way}" for name in ("alarms", "alarms:history") for way in ("simple", "complex")]
    return {"api": dict.fromkeys(queries, True), "alarm_storage": {"storage:production_ready": True}}
