"""Runs a whole Glance, gives it an image and takes it away, and writes what it told the bus to files beside this one.

Run it with a Python that has ``glance``: ``python make.py amqp://guest:guest@127.0.0.1:5672/VHOST``, with a virtual host of its own. Data
lie in a SQLite and a directory. Who asks is told in the headers that Keystone's middleware would set.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from wsgiref.util import setup_testing_defaults

import kombu

HERE = Path(__file__).parent
BINARIES = Path(sys.executable).parent
OWNER = ("a90d3b6c1e5f4a2b8c7d6e5f40312233", "4c1f7e0f2b7d4f3b9d5f0a6c8e21b7aa")
OTHER = ("b81e4c7d2f604b3c9d8e7f6051423344", "5d208f103c8e505cae60b7d9f32c8bb0")


def configure(url: str, directory: Path) -> None:
    (directory / "glance-api.conf").write_text(f"""
[DEFAULT]
transport_url = {url.replace("amqp://", "rabbit://", 1)}
default_publisher_id = image.ctl-02
enabled_import_methods = []
node_staging_uri = file://{directory}/staging
[database]
connection = sqlite:///{directory}/glance.sqlite
[glance_store]
stores = file
default_store = file
filesystem_store_datadir = {directory}/images
[oslo_messaging_notifications]
driver = messagingv2
""")
    (directory / "glance-api-paste.ini").write_text("""
[pipeline:glance-api]
pipeline = context rootapp
[composite:rootapp]
paste.composite_factory = glance.api:root_app_factory
/: apiversions
/v2: apiv2app
[app:apiversions]
paste.app_factory = glance.api.versions:create_resource
[app:apiv2app]
paste.app_factory = glance.api.v2.router:API.factory
[filter:context]
paste.filter_factory = glance.api.middleware.context:ContextMiddleware.factory
""")
    (directory / "images").mkdir()
    command = [BINARIES / "glance-manage", "--config-file", directory / "glance-api.conf", "db", "sync"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    os.environ["OS_GLANCE_CONFIG_DIR"] = str(directory)
    os.chdir(directory)


class Client:
    def __init__(self) -> None:
        # Glance reads the command line as its own.
        sys.argv = sys.argv[:1]
        from glance.common.wsgi_app import init_app

        self.app = init_app()

    def ask(
        self, method: str, path: str, body: bytes = b"", *, who: tuple[str, str] = OWNER, type: str = "application/json"
    ) -> dict[str, Any]:
        user, project = who
        environ = {
            "REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": type, "HTTP_X_IDENTITY_STATUS": "Confirmed", "HTTP_X_USER_ID": user, "HTTP_X_PROJECT_ID": project,
            "HTTP_X_ROLES": "admin,member,reader", "REMOTE_ADDR": "203.0.113.7", "SCRIPT_NAME": "",
        }  # fmt: skip
        setup_testing_defaults(environ)
        answered: list[str] = []
        answer = self.app(environ, lambda status, headers, exc_info=None: answered.append(status))
        content = b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
        print(method, path, answered[0])
        return json.loads(content) if content.startswith(b"{") else {}


def work(client: Client) -> None:
    about = {
        "name": "orchard-golden",
        "disk_format": "raw",
        "container_format": "bare",
        "os_distro": "debian",
        "visibility": "shared",
    }
    image = client.ask("POST", "/v2/images", json.dumps(about).encode())["id"]
    client.ask("PUT", f"/v2/images/{image}/file", b"bits" * 1000, type="application/octet-stream")
    patch = [{"op": "replace", "path": "/name", "value": "orchard-golden-2"}]
    client.ask(
        "PATCH", f"/v2/images/{image}", json.dumps(patch).encode(), type="application/openstack-images-v2.1-json-patch"
    )
    client.ask("POST", f"/v2/images/{image}/members", json.dumps({"member": OTHER[1]}).encode())
    client.ask("GET", f"/v2/images/{image}/file", who=OTHER)
    client.ask("DELETE", f"/v2/images/{image}")


def collect(url: str) -> None:
    with kombu.Connection(url) as client:
        channel = client.channel()
        number = 0
        while (message := channel.basic_get("notifications.info", no_ack=True)) is not None:
            body = message.body if isinstance(message.body, str) else message.body.decode()
            event_type = json.loads(json.loads(body)["oslo.message"])["event_type"]
            (HERE / f"{number:02}-{event_type}.wire.json").write_text(body + "\n")
            number += 1


if __name__ == "__main__":
    bus = sys.argv[1]
    with TemporaryDirectory() as directory:
        configure(bus, Path(directory))
        work(Client())
        os.chdir("/")
    collect(bus)
