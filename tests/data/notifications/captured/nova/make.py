"""Has Nova's own code send notifications of an instance in both formats, and writes the bodies from the bus to files beside this one.

Run it with a Python that has ``nova`` and ``kombu``: ``python make.py amqp://guest:guest@127.0.0.1:5672/VHOST``, with a virtual host of its
own. It needs no service of Nova: the instance is made up here.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile

os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"

import kombu
import nova.conf
from nova import context, objects, rpc
from nova.compute import utils
from nova.objects import fields

HERE = Path(__file__).parent
CONF = nova.conf.CONF
HOST = "cmp-07"
VOLUME = "e2a4c6d8-1b3d-4f5a-8c7e-90a1b2c3d4e5"
WHEN = datetime(2026, 3, 14, 9, 26, 12, 345678, tzinfo=UTC)
QUEUES = {"legacy": "notifications.info", "versioned": "versioned_notifications.info"}


def configure(url: str) -> None:
    text = f"""
[DEFAULT]
transport_url = {url.replace("amqp://", "rabbit://", 1)}
control_exchange = nova
host = {HOST}
my_ip = 10.0.0.107
[glance]
endpoint_override = https://image.example.net
[notifications]
notification_format = both
[oslo_messaging_notifications]
driver = messagingv2
"""
    with NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(text)
        file.flush()
        CONF([], project="nova", default_config_files=[file.name], default_config_dirs=[])
    rpc.init(CONF)
    objects.register_all()


def make_context() -> context.RequestContext:
    return context.RequestContext(
        user_id="a90d3b6c1e5f4a2b8c7d6e5f40312233",
        project_id="4c1f7e0f2b7d4f3b9d5f0a6c8e21b7aa",
        user_name="lena.okafor",
        project_name="orchard-web",
        roles=["member"],
        auth_token="not-to-be-stored",
    )


def make_instance(ctxt: context.RequestContext) -> objects.Instance:
    flavor = objects.Flavor(
        id=17, flavorid="7f0f6c9c-54c1-4f0b-a4a4-2b41c6bb0f21", name="g2.medium", memory_mb=4096, vcpus=2, root_gb=40, ephemeral_gb=10,
        swap=0, rxtx_factor=1.0, vcpu_weight=0, disabled=False, is_public=True, extra_specs={"hw:cpu_policy": "shared"}, projects=[],
        description=None,
    )  # fmt: skip
    image = "c0ffee11-22aa-4bbb-8ccc-1234567890ab"
    return objects.Instance(
        ctxt, id=1, uuid="5b7e2c1a-7d0e-4c55-9a3b-6f1d2e3c4b5a", project_id=ctxt.project_id, user_id=ctxt.user_id,
        display_name="orchard-web-03", display_description="", hostname="orchard-web-03", reservation_id="r-k2m7p9qx", host=HOST,
        node="cmp-07.dc1.example.net", availability_zone="az-north", cell_name=None, architecture="x86_64", os_type="linux",
        kernel_id="", ramdisk_id="", key_name=None, image_ref=image, vm_state="active", task_state=None, power_state=1, progress=0,
        locked=False, locked_by=None, auto_disk_config=False, access_ip_v4=None, access_ip_v6=None, created_at=WHEN,
        launched_at=WHEN.replace(second=40), terminated_at=None, deleted_at=None, updated_at=WHEN, deleted=False,
        instance_type_id=17, memory_mb=4096, vcpus=2, root_gb=40, ephemeral_gb=10, flavor=flavor, old_flavor=None, new_flavor=None,
        metadata={"metering.stack": "orchard-prod", "owner_note": "mine"}, tags=objects.TagList(objects=[]), fault=None,
        system_metadata={"image_base_image_ref": image, "image_os_distro": "debian", "image_min_ram": "0"},
        info_cache=objects.InstanceInfoCache(network_info=None, instance_uuid="5b7e2c1a-7d0e-4c55-9a3b-6f1d2e3c4b5a"),
        keypairs=objects.KeyPairList(objects=[]), trusted_certs=None,
    )  # fmt: skip


def send_everything() -> None:
    """Each pair as nova.compute sends it: the same lines of code, one after the other."""
    notifier = rpc.get_notifier("compute", HOST)
    bdms = objects.BlockDeviceMappingList(objects=[])
    names = {
        "RESIZE_FINISH": "finish_resize", "RESIZE_CONFIRM": "resize.confirm", "LIVE_MIGRATION_POST": "live_migration._post",
        "LIVE_MIGRATION_POST_DEST": "live_migration.post.dest", "POWER_OFF": "power_off", "DELETE": "delete",
    }  # fmt: skip
    for name, legacy in names.items():
        ctxt = make_context()
        instance = make_instance(ctxt)
        utils.notify_about_instance_usage(notifier, ctxt, instance, f"{legacy}.end", network_info=None)
        action = getattr(fields.NotificationAction, name)
        utils.notify_about_instance_action(ctxt, instance, HOST, action=action, phase="end", bdms=bdms)

    ctxt = make_context()
    instance = make_instance(ctxt)
    utils.notify_about_instance_usage(notifier, ctxt, instance, "create.end", extra_usage_info={"message": "Success"})
    utils.notify_about_instance_create(ctxt, instance, HOST, phase="end", bdms=bdms)

    ctxt = make_context()
    instance = make_instance(ctxt)
    utils.notify_about_instance_usage(notifier, ctxt, instance, "volume.attach", extra_usage_info={"volume_id": VOLUME})
    utils.notify_about_volume_attach_detach(
        ctxt, instance, HOST, action=fields.NotificationAction.VOLUME_ATTACH, phase="end", volume_id=VOLUME
    )

    ctxt = context.get_admin_context()
    utils.notify_usage_exists(notifier, ctxt, make_instance(make_context()), HOST, current_period=False)
    ctxt = context.get_admin_context()
    utils.notify_usage_exists(notifier, ctxt, make_instance(make_context()), HOST, current_period=True)

    usage = objects.VolumeUsage(
        context.get_admin_context(), id=1, volume_id=VOLUME, instance_uuid="5b7e2c1a-7d0e-4c55-9a3b-6f1d2e3c4b5a",
        project_id=make_context().project_id, user_id=make_context().user_id, availability_zone="az-north", tot_last_refreshed=None,
        tot_reads=1, tot_read_bytes=10, tot_writes=2, tot_write_bytes=20, curr_last_refreshed=WHEN, curr_reads=3, curr_read_bytes=30,
        curr_writes=4, curr_write_bytes=40,
    )  # fmt: skip
    ctxt = usage._context
    notifier.info(ctxt, "volume.usage", usage.to_dict())
    utils.notify_about_volume_usage(ctxt, usage, HOST)

    ctxt = context.get_admin_context()
    metrics = objects.MonitorMetricList(
        objects=[
            objects.MonitorMetric(
                name=name, value=value, timestamp=WHEN.replace(tzinfo=None), source="libvirt.LibvirtDriver"
            )
            for name, value in [
                ("cpu.frequency", 2600),
                ("cpu.user.time", 184422310000000),
                ("cpu.percent", 38),
                ("cpu.iowait.percent", 1),
            ]
        ]
    )
    node = "cmp-07.dc1.example.net"
    info = {"nodename": node, "metrics": metrics.to_list(), "host": HOST, "host_ip": "10.0.0.107"}
    rpc.get_notifier(service="compute", host=node).info(ctxt, "compute.metrics.update", info)
    utils.notify_about_metrics_update(ctxt, HOST, "10.0.0.107", node, metrics)


def collect(url: str) -> None:
    for format, queue in QUEUES.items():
        with kombu.Connection(url) as client:
            channel = client.channel()
            number = 0
            while (message := channel.basic_get(queue, no_ack=True)) is not None:
                body = message.body if isinstance(message.body, str) else message.body.decode()
                event_type = json.loads(json.loads(body)["oslo.message"])["event_type"]
                (HERE / f"{number:02}-{event_type}.{format}.wire.json").write_text(body + "\n")
                number += 1


if __name__ == "__main__":
    configure(sys.argv[1])
    send_everything()
    collect(sys.argv[1])
