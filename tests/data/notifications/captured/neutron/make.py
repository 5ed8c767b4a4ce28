"""Runs a whole Neutron server, makes and unmakes networks, and writes what it told the bus to files beside this one.

Run it with a Python that has ``neutron``: ``python make.py amqp://guest:guest@127.0.0.1:5672/VHOST``, with a virtual host of its own. Data
lie in a SQLite, networks are of the type local. Who asks is told in the headers that Keystone's middleware would set.
"""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from wsgiref.util import setup_testing_defaults

import kombu

HERE = Path(__file__).parent
USER, PROJECT = "a90d3b6c1e5f4a2b8c7d6e5f40312233", "4c1f7e0f2b7d4f3b9d5f0a6c8e21b7aa"


def configure(url: str, directory: Path) -> None:
    (directory / "neutron.conf").write_text(f"""
[DEFAULT]
transport_url = {url.replace("amqp://", "rabbit://", 1)}
host = ctl-01
core_plugin = ml2
service_plugins = router
api_paste_config = {directory}/api-paste.ini
state_path = {directory}
dhcp_agent_notification = false
[ml2]
type_drivers = local
tenant_network_types = local
mechanism_drivers =
[database]
connection = sqlite:///{directory}/neutron.sqlite
[oslo_concurrency]
lock_path = {directory}
[oslo_messaging_notifications]
driver = messagingv2
[oslo_policy]
policy_file = {directory}/policy.yaml
[quotas]
quota_driver = neutron.db.quota.driver_nolock.DbQuotaNoLockDriver
""")
    (directory / "policy.yaml").write_text("{}")
    (directory / "api-paste.ini").write_text("""
[composite:neutron]
use = egg:Paste#urlmap
/v2.0: api
[pipeline:api]
pipeline = request_id context extensions app
[filter:request_id]
paste.filter_factory = oslo_middleware:RequestId.factory
[filter:context]
paste.filter_factory = neutron.auth:NeutronKeystoneContext.factory
[filter:extensions]
paste.filter_factory = neutron.api.extensions:plugin_aware_extension_middleware_factory
[app:app]
paste.app_factory = neutron.api.v2.router:APIRouter.factory
""")
    os.environ["OS_NEUTRON_CONFIG_FILES"] = str(directory / "neutron.conf")


class Client:
    def __init__(self) -> None:
        # Neutron reads the command line as its own.
        sys.argv = sys.argv[:1]
        from neutron.common import config
        from neutron.db.migration.models import head  # noqa: F401
        from neutron.server import _init_configuration
        from neutron_lib.db import api, model_base

        _init_configuration()
        model_base.BASEV2.metadata.create_all(api.get_writer_session().get_bind())
        self.app = config.load_paste_app("neutron")

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        data = b"" if body is None else json.dumps(body).encode()
        environ = {
            "REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(data), "CONTENT_LENGTH": str(len(data)),
            "CONTENT_TYPE": "application/json", "HTTP_X_USER_ID": USER, "HTTP_X_PROJECT_ID": PROJECT, "HTTP_X_USER_NAME": "lena.okafor",
            "HTTP_X_PROJECT_NAME": "orchard-web", "HTTP_X_ROLES": "admin,member,reader", "SCRIPT_NAME": "",
        }  # fmt: skip
        setup_testing_defaults(environ)
        answered: list[str] = []
        content = b"".join(self.app(environ, lambda status, headers, exc_info=None: answered.append(status)))
        print(method, path, answered[0], content[:200] if not answered[0].startswith("2") else "")
        return json.loads(content) if content.startswith(b"{") else {}


def work(client: Client) -> None:
    network = client.ask("POST", "/v2.0/networks", {"network": {"name": "orchard-net"}})["network"]["id"]
    subnet = {"name": "web", "network_id": network, "cidr": "10.42.7.0/24", "ip_version": 4}
    client.ask("POST", "/v2.0/subnets", {"subnet": subnet})
    port = client.ask("POST", "/v2.0/ports", {"port": {"network_id": network, "name": "eth0"}})["port"]["id"]
    client.ask("PUT", f"/v2.0/ports/{port}", {"port": {"name": "eth1"}})
    client.ask("DELETE", f"/v2.0/ports/{port}")
    router = client.ask("POST", "/v2.0/routers", {"router": {"name": "edge"}})["router"]["id"]
    client.ask("DELETE", f"/v2.0/routers/{router}")
    of_another = {"name": "bulk-2", "project_id": "5d208f103c8e505cae60b7d9f32c8bb0"}
    client.ask("POST", "/v2.0/networks", {"networks": [{"name": "bulk-1"}, of_another]})


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
    collect(bus)
    # Threads of the server go on for ever.
    os._exit(0)
