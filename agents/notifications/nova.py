"""Nova's two formats of one notification: versioned objects become plain data, and both get one key. Pure.

With ``notification_format = both`` Nova sends each action twice, under two message ids. The samples of one key are stored once, so the two
must have one key, and no other notification may have it: where that is not sure, there is none, and the message id is the key. Metered
twice is the lesser evil.
"""

from __future__ import annotations

from typing import Any

__all__ = ["origin_of", "unwrap"]

_DATA = "nova_object.data"
# Nova nests six objects at most; what lies deeper than this is left as it is.
_MAX_DEPTH = 100
_MAX_LENGTH = 255

_SAME_NAME = (
    "create delete exists power_on power_off pause unpause suspend resume reboot rebuild rescue unrescue restore soft_delete shelve "
    "shelve_offload unshelve snapshot shutdown evacuate trigger_crash_dump resize"
)
# Legacy action → versioned action, of those that come at most once in a request for an instance on a host. Left out on purpose:
# update (no meters), resize.prep (again for each host that is tried; the instance still says the old one).
_ACTIONS = {name: name for name in _SAME_NAME.split()} | {
    "finish_resize": "resize_finish",
    "resize.confirm": "resize_confirm",
    "resize.revert": "resize_revert",
    "rebuild.scheduled": "rebuild_scheduled",
    "live_migration.pre": "live_migration_pre",
    "live_migration._post": "live_migration_post",
    "live_migration.post.dest": "live_migration_post_dest",
    "live_migration._rollback": "live_migration_rollback",
    "live_migration.rollback.dest": "live_migration_rollback_dest",
    "live.migration.abort": "live_migration_abort",
    "live.migration.force.complete": "live_migration_force_complete",
    "volume.attach": "volume_attach",
    "volume.detach": "volume_detach",
}
_VERSIONED_ACTIONS = frozenset(_ACTIONS.values())
# Errors make no samples.
_PHASES = frozenset({"start", "end"})


def unwrap(payload: Any, depth: int = 0) -> Any:
    """The payload with each of Nova's versioned objects replaced by its data.

    Versions are not looked at: what a later one no longer has is a gap that definitions report. A payload without such objects comes
    back itself, uncopied.
    """
    if depth > _MAX_DEPTH:
        return payload
    if isinstance(payload, dict):
        data = payload.get(_DATA)
        # A customer's own metadata may have a key of this name, with a text.
        if isinstance(data, dict):
            return unwrap(data, depth + 1)
        changed = {
            key: plain
            for key, value in payload.items()
            if isinstance(value, (dict, list)) and (plain := unwrap(value, depth + 1)) is not value
        }
        return payload | changed if changed else payload
    if isinstance(payload, list):
        values = [unwrap(value, depth + 1) if isinstance(value, (dict, list)) else value for value in payload]
        return values if any(new is not old for new, old in zip(values, payload, strict=True)) else payload
    return payload


def origin_of(event_type: str, payload: Any, ctxt: dict[str, Any]) -> str | None:
    """The key that Nova's legacy and versioned notification of one action share and no other has; at most 255 characters.

    None where that is not sure (see the table of actions), and for all that is not Nova's. ``payload`` is unwrapped.
    """
    request_id = ctxt.get("request_id")
    if not isinstance(payload, dict) or not isinstance(request_id, str) or not request_id:
        return None
    if event_type in ("compute.metrics.update", "metrics.update"):
        parts = _metrics_parts(payload)
    elif event_type == "volume.usage":
        instance = payload.get("instance_uuid") or payload.get("instance_id")
        parts = ["volume.usage", payload.get("volume_id"), instance]
    else:
        parts = _action_parts(event_type, payload)
    if not parts or not all(isinstance(part, str) and part for part in parts):
        return None
    # A request may reach several hosts, in turn.
    key = "/".join(["nova", *parts, request_id, str(payload.get("host") or "")])
    return key if len(key) <= _MAX_LENGTH and "\0" not in key else None


def _action_parts(event_type: str, payload: dict[str, Any]) -> list[Any]:
    """Instance, action with its phase, and what tells apart several of them in one request; empty if unknown."""
    legacy = event_type.startswith("compute.instance.")
    name = event_type.removeprefix("compute.instance." if legacy else "instance.")
    if name == event_type:
        return []
    action, _, phase = name.rpartition(".")
    if phase not in _PHASES:
        action, phase = name, ""
    if legacy:
        action = _ACTIONS.get(action, "")
        if action.startswith("volume_"):
            # Said once, when it is done: "compute.instance.volume.attach".
            phase = phase or "end"
    if action not in _VERSIONED_ACTIONS or (action, phase) == ("create", "start"):
        return []
    parts = [payload.get("instance_id" if legacy else "uuid"), f"{action}.{phase}" if phase else action]
    if action.startswith("volume_"):
        parts.append(payload.get("volume_id"))
    elif action == "exists":
        period = payload if legacy else payload.get("audit_period")
        beginning, ending = (
            _second(period.get(f"audit_period_{edge}")) if isinstance(period, dict) else None
            for edge in ("beginning", "ending")
        )
        parts += [beginning, ending]
    return parts


def _metrics_parts(payload: dict[str, Any]) -> list[Any]:
    metrics = payload.get("metrics")
    if not isinstance(metrics, list):
        return []
    seconds = [_second(metric.get("timestamp")) for metric in metrics if isinstance(metric, dict)]
    return ["metrics.update", payload.get("nodename"), max(filter(None, seconds), default=None)]


def _second(text: Any) -> str | None:
    """A time down to its second, spelled alike for both formats: the versioned one has no fractions."""
    return text[:19].replace(" ", "T") if isinstance(text, str) and len(text) >= len("2026-03-14T09:00:00") else None
