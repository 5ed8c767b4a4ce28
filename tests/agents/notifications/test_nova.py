from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.notifications.nova import origin_of, unwrap

DATA = Path(__file__).parents[2] / "data" / "notifications"
CTXT = {"request_id": "req-6d0c2a1e-93b7-4f7e-8a55-1b2f5c0d9e44"}
INSTANCE = "5b7e2c1a-7d0e-4c55-9a3b-6f1d2e3c4b5a"
VERSIONED = sorted((DATA / "nova-versioned").glob("*.json"))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def legacy(**more: Any) -> dict[str, Any]:
    return {"instance_id": INSTANCE, "host": "cmp-07", **more}


def versioned(**more: Any) -> dict[str, Any]:
    return {"uuid": INSTANCE, "host": "cmp-07", **more}


@pytest.mark.parametrize("path", VERSIONED, ids=lambda path: path.stem)
def test_nothing_of_the_format_is_left_in_nova_s_own_payloads(path: Path) -> None:
    payload = unwrap(json.loads(path.read_text())["payload"])
    assert "nova_object" not in json.dumps(payload)
    assert payload


def test_objects_in_objects_and_in_lists_become_their_data() -> None:
    payload = unwrap(json.loads((DATA / "nova-versioned" / "instance-create-end.json").read_text())["payload"])
    assert payload["flavor"]["memory_mb"] == 512
    assert payload["ip_addresses"][0]["address"] == "192.168.1.3"


@given(json_values)
def test_a_payload_without_objects_comes_back_itself(payload: Any) -> None:
    assert unwrap(payload) is payload


@given(json_values)
def test_an_object_becomes_its_data_wherever_it_lies(inner: Any) -> None:
    wrapped = {"nova_object.name": "X", "nova_object.version": "1.0", "nova_object.data": {"inner": inner}}
    assert unwrap(wrapped) == {"inner": inner}
    assert unwrap({"a": [wrapped, 1]}) == {"a": [{"inner": inner}, 1]}


def test_a_customer_s_metadata_of_the_same_name_stays() -> None:
    payload = {"metadata": {"nova_object.data": "mine", "tier": "gold"}}
    assert unwrap(payload) is payload


def test_a_payload_nested_without_end_does_no_harm() -> None:
    payload: Any = {}
    for _ in range(5000):
        payload = {"a": [payload]}
    assert unwrap(payload) is payload


SAME_NAMES = """
create delete power_on power_off pause unpause suspend resume reboot rebuild rescue unrescue restore soft_delete shelve shelve_offload
unshelve snapshot shutdown evacuate trigger_crash_dump resize
"""


def test_most_actions_have_the_same_name_in_both_formats() -> None:
    for action in SAME_NAMES.split():
        key = origin_of(f"compute.instance.{action}.end", legacy(), CTXT)
        assert key is not None, action
        assert key == origin_of(f"instance.{action}.end", versioned(), CTXT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("create.end", "create.end"),
        ("delete.start", "delete.start"),
        ("finish_resize.end", "resize_finish.end"),
        ("resize.confirm.start", "resize_confirm.start"),
        ("resize.revert.end", "resize_revert.end"),
        ("resize.start", "resize.start"),
        ("rebuild.scheduled", "rebuild_scheduled"),
        ("power_off.end", "power_off.end"),
        ("shelve_offload.end", "shelve_offload.end"),
        ("live_migration.pre.start", "live_migration_pre.start"),
        ("live_migration._post.end", "live_migration_post.end"),
        ("live_migration.post.dest.end", "live_migration_post_dest.end"),
        ("live_migration._rollback.end", "live_migration_rollback.end"),
        ("live_migration.rollback.dest.start", "live_migration_rollback_dest.start"),
        ("live.migration.abort.end", "live_migration_abort.end"),
        ("live.migration.force.complete.end", "live_migration_force_complete.end"),
        ("evacuate", "evacuate"),
    ],
)
def test_both_formats_of_an_action_have_one_key(old: str, new: str) -> None:
    key = origin_of(f"compute.instance.{old}", legacy(), CTXT)
    assert key == origin_of(f"instance.{new}", versioned(), CTXT)
    assert key is not None
    assert key.startswith(f"nova/{INSTANCE}/{new}/")


def test_both_formats_of_exists_have_one_key_for_a_period() -> None:
    old = legacy(audit_period_beginning="2026-03-14 09:00:00", audit_period_ending="2026-03-14 09:26:41.220517")
    period = {"audit_period_beginning": "2026-03-14T09:00:00Z", "audit_period_ending": "2026-03-14T09:26:41Z"}
    key = origin_of("compute.instance.exists", old, CTXT)
    assert key is not None
    assert key == origin_of("instance.exists", versioned(audit_period=period), CTXT)
    later = old | {"audit_period_ending": "2026-03-14 10:00:00"}
    assert origin_of("compute.instance.exists", later, CTXT) != key


def test_volumes_attached_in_one_request_are_told_apart() -> None:
    old, new = (
        [origin_of(event_type, make(volume_id=volume), CTXT) for volume in ("v-1", "v-2")]
        for event_type, make in (
            ("compute.instance.volume.attach", legacy),
            ("instance.volume_attach.end", versioned),
        )
    )
    assert old[0] != old[1]
    assert new[0] != new[1]
    assert None not in old
    assert old == new
    assert origin_of("instance.volume_attach.start", versioned(volume_id="v-1"), CTXT) not in old


@pytest.mark.parametrize(
    "change",
    [{"host": "cmp-08"}, {"instance_id": "77777777-7d0e-4c55-9a3b-6f1d2e3c4b5a"}],
    ids=["another host", "another instance"],
)
def test_another_notification_of_the_same_request_has_another_key(change: dict[str, str]) -> None:
    event_type = "compute.instance.shutdown.end"
    assert origin_of(event_type, legacy(), CTXT) != origin_of(event_type, legacy(**change), CTXT)


def test_start_and_end_and_another_request_have_other_keys() -> None:
    keys = {
        origin_of("compute.instance.reboot.start", legacy(), CTXT),
        origin_of("compute.instance.reboot.end", legacy(), CTXT),
        origin_of("compute.instance.reboot.end", legacy(), {"request_id": "req-2"}),
    }
    assert len(keys) == 3
    assert None not in keys


@pytest.mark.parametrize(
    ("event_type", "payload", "ctxt"),
    [
        ("compute.instance.create.end", legacy(), {}),
        ("compute.instance.create.end", legacy(), {"request_id": None}),
        ("compute.instance.create.end", {}, CTXT),
        ("compute.instance.create.end", "text", CTXT),
        ("compute.instance.create.end", legacy(instance_id=7), CTXT),
        ("compute.instance.resize.prep.start", legacy(), CTXT),
        ("instance.resize_prep.start", versioned(), CTXT),
        ("compute.instance.create.start", legacy(), CTXT),
        ("instance.interface_attach.end", versioned(), CTXT),
        ("compute.instance.create_ip.end", legacy(), CTXT),
        ("compute.instance.create.error", legacy(), CTXT),
        ("compute.instance.exists", legacy(), CTXT),
        ("instance.exists", versioned(audit_period="?"), CTXT),
        ("compute.instance.volume.attach", legacy(), CTXT),
        ("compute.instance.create.end", legacy(host="h" * 255), CTXT),
        ("compute.metrics.update", {"nodename": "n", "metrics": []}, CTXT),
        ("compute.metrics.update", {"nodename": "n", "metrics": "?"}, CTXT),
        ("volume.exists", {"volume_id": "v-1"}, CTXT),
        ("instance", versioned(), CTXT),
    ],
)
def test_where_it_is_not_sure_there_is_no_key(event_type: str, payload: Any, ctxt: dict[str, Any]) -> None:
    assert origin_of(event_type, payload, ctxt) is None


def test_both_formats_of_a_host_s_metrics_have_one_key() -> None:
    reading = {"name": "cpu.percent", "value": 1}
    old = {
        "host": "cmp-07",
        "nodename": "cmp-07.example",
        "metrics": [reading | {"timestamp": "2026-03-14T09:45:30.250000"}],
    }
    new = old | {"metrics": [reading | {"timestamp": "2026-03-14T09:45:30Z"}]}
    later = old | {"metrics": [reading | {"timestamp": "2026-03-14T09:46:30.250000"}]}
    key = origin_of("compute.metrics.update", old, CTXT)
    assert key is not None
    assert key == origin_of("metrics.update", new, CTXT)
    assert key != origin_of("compute.metrics.update", later, CTXT)


def test_both_formats_of_a_volume_s_usage_have_one_key() -> None:
    old = origin_of("volume.usage", {"volume_id": "v-1", "instance_id": INSTANCE}, CTXT)
    assert old is not None
    assert old == origin_of("volume.usage", {"volume_id": "v-1", "instance_uuid": INSTANCE}, CTXT)


def test_nova_s_own_samples_get_keys() -> None:
    for path in VERSIONED:
        message = json.loads(path.read_text())
        key = origin_of(message["event_type"], unwrap(message["payload"]), CTXT)
        has_meters = path.stem not in ("instance-create-error", "instance-update")
        assert (key is not None) is has_meters, path.stem
