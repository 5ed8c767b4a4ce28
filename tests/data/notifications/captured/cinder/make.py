"""Has Cinder's own code send notifications, and writes the bodies from the bus to files beside this one.

Run it with a Python that has ``cinder``: ``python make.py amqp://guest:guest@127.0.0.1:5672/VHOST``, with a virtual host of its own. The
volumes are rows of a SQLite that is made and thrown away here; no service of Cinder runs.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import kombu
from cinder import context, objects, rpc
from cinder.common import config  # noqa: F401
from cinder.db import api as db
from cinder.db import migration
from cinder.volume import volume_utils
from oslo_config import cfg

HERE = Path(__file__).parent
CONF = cfg.CONF
PROJECT, USER = "4c1f7e0f2b7d4f3b9d5f0a6c8e21b7aa", "a90d3b6c1e5f4a2b8c7d6e5f40312233"
VOLUME, INSTANCE = "e2a4c6d8-1b3d-4f5a-8c7e-90a1b2c3d4e5", "5b7e2c1a-7d0e-4c55-9a3b-6f1d2e3c4b5a"
IMAGE, SNAPSHOT = "c0ffee11-22aa-4bbb-8ccc-1234567890ab", "7a1c9e5b-0d2f-4e6a-9b8c-3f4d5e6a7b8c"
BACKUP, TYPE = "9c8b7a69-5847-4362-8514-039281706f5e", "3d9a5b71-8c3e-4b1e-8e6b-55f1a0c7d2b4"
WHEN = datetime(2026, 3, 14, 8, 2, 15)
BACKEND = "stor-02@ceph-ssd#pool-a"


def configure(url: str, directory: str) -> None:
    path = Path(directory, "cinder.conf")
    path.write_text(f"""
[DEFAULT]
transport_url = {url.replace("amqp://", "rabbit://", 1)}
host = stor-02
[database]
connection = sqlite:///{directory}/cinder.sqlite
[oslo_messaging_notifications]
driver = messagingv2
""")
    CONF([], project="cinder", default_config_files=[str(path)], default_config_dirs=[])
    objects.register_all()
    rpc.init(CONF)
    migration.db_sync()


def make_volume(ctxt: context.RequestContext) -> None:
    types = db.volume_type_get_all(ctxt)
    type_id = next(iter(types.values()))["id"]
    db.volume_create(
        ctxt,
        {"id": VOLUME, "project_id": PROJECT, "user_id": USER, "host": BACKEND, "availability_zone": "az-north", "size": 120,
         "display_name": "orchard-db-data", "status": "in-use", "volume_type_id": type_id, "launched_at": WHEN, "created_at": WHEN,
         "metadata": {"tier": "gold"}, "attach_status": "attached", "use_quota": True},
    )  # fmt: skip
    attachment = db.volume_attach(
        ctxt, {"volume_id": VOLUME, "attached_host": "cmp-07", "mountpoint": "/dev/vdb", "instance_uuid": INSTANCE}
    )
    db.volume_attached(ctxt, attachment["id"], INSTANCE, "cmp-07", "/dev/vdb", "rw")
    db.volume_glance_metadata_bulk_create(ctxt, VOLUME, {"image_id": IMAGE, "image_name": "debian-12"})
    db.snapshot_create(
        ctxt, {"id": SNAPSHOT, "volume_id": VOLUME, "project_id": PROJECT, "user_id": USER, "volume_size": 120, "status": "available",
               "display_name": "nightly", "created_at": WHEN, "volume_type_id": type_id, "use_quota": True},
    )  # fmt: skip
    db.backup_create(
        ctxt,
        {"id": BACKUP, "volume_id": VOLUME, "project_id": PROJECT, "user_id": USER, "size": 120, "status": "available", "host": "stor-03",
         "availability_zone": "az-north", "display_name": "weekly", "created_at": WHEN, "service": "cinder.backup.drivers.ceph"},
    )  # fmt: skip


def send_everything() -> None:
    ctxt = context.RequestContext(user_id=USER, project_id=PROJECT, is_admin=True)
    make_volume(ctxt)
    volume = db.volume_get(ctxt, VOLUME)
    for suffix, extra in [
        ("create.end", None),
        ("attach.end", None),
        ("exists", {"audit_period_beginning": "2026-03-14 08:00:00", "audit_period_ending": "2026-03-14 09:00:00"}),
    ]:
        volume_utils.notify_about_volume_usage(ctxt, volume, suffix, extra_usage_info=extra, host=BACKEND)
    snapshot = objects.Snapshot.get_by_id(ctxt, SNAPSHOT)
    volume_utils.notify_about_snapshot_usage(ctxt, snapshot, "create.end")
    volume_utils.notify_about_backup_usage(ctxt, objects.Backup.get_by_id(ctxt, BACKUP), "create.end")
    capacity = {"name_to_id": BACKEND, "total": 1000, "free": 400.5, "allocated": 600, "provisioned": 1200, "virtual_free": 800,
                "reported_at": "2026-03-14T08:02:15.000000"}  # fmt: skip
    volume_utils.notify_about_capacity_usage(ctxt, {**capacity, "type": "pool"}, "pool")
    volume_utils.notify_about_capacity_usage(
        ctxt, {**capacity, "type": "backend", "name_to_id": "stor-02@ceph-ssd"}, "backend"
    )


def collect(url: str) -> None:
    with kombu.Connection(url) as client:
        channel = client.channel()
        while (message := channel.basic_get("notifications.info", no_ack=True)) is not None:
            body = message.body if isinstance(message.body, str) else message.body.decode()
            event_type = json.loads(json.loads(body)["oslo.message"])["event_type"]
            (HERE / f"{event_type}.wire.json").write_text(body + "\n")


if __name__ == "__main__":
    with TemporaryDirectory() as directory:
        configure(sys.argv[1], directory)
        send_everything()
    collect(sys.argv[1])
