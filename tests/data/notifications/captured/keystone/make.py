"""Runs a whole Keystone over a SQLite, asks it for tokens, users and roles, and writes what it told the bus to files beside this one.

Run it with a Python that has ``keystone``: ``python make.py amqp://guest:guest@127.0.0.1:5672/VHOST``, with a virtual host of its own.
"""

from __future__ import annotations

import getpass
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
OWNER = getpass.getuser()
PASSWORD = "orchard-secret"


def configure(url: str, directory: Path) -> Path:
    path = directory / "keystone.conf"
    path.write_text(f"""
[DEFAULT]
transport_url = {url.replace("amqp://", "rabbit://", 1)}
notification_opt_out =
default_publisher_id = ctl-01
[database]
connection = sqlite:///{directory}/keystone.sqlite
[fernet_tokens]
key_repository = {directory}/fernet
[credential]
key_repository = {directory}/credential
[cache]
enabled = false
[security_compliance]
report_invalid_password_hash = event
invalid_password_hash_secret_key = a-key
[oslo_messaging_notifications]
driver = messagingv2
""")
    for name in ("fernet", "credential"):
        (directory / name).mkdir(mode=0o700)
    for command in (
        ["db_sync"],
        ["fernet_setup", "--keystone-user", OWNER, "--keystone-group", OWNER],
        ["credential_setup", "--keystone-user", OWNER, "--keystone-group", OWNER],
        ["bootstrap", "--bootstrap-password", PASSWORD, "--bootstrap-public-url", "http://identity.example.net/v3"],
    ):
        subprocess.run(
            [BINARIES / "keystone-manage", "--config-file", path, *command],
            check=True,
            capture_output=True,
            timeout=120,
        )
    return path


class Client:
    def __init__(self, config: Path) -> None:
        from keystone.server.wsgi import initialize_public_application

        # Keystone reads the command line as its own.
        sys.argv = sys.argv[:1]
        os.environ["OS_KEYSTONE_CONFIG_FILES"] = str(config)
        self.app = initialize_public_application()
        self.token = ""

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        data = b"" if body is None else json.dumps(body).encode()
        environ = {
            "REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(data), "CONTENT_LENGTH": str(len(data)),
            "CONTENT_TYPE": "application/json", "HTTP_X_AUTH_TOKEN": self.token, "REMOTE_ADDR": "203.0.113.7", "HTTP_USER_AGENT": "curl/8",
        }  # fmt: skip
        setup_testing_defaults(environ)
        answered: list[Any] = []
        content = b"".join(
            self.app(environ, lambda status, headers, exc_info=None: answered.append((status, dict(headers))))
        )
        status, headers = answered[0]
        self.token = headers.get("X-Subject-Token", self.token)
        print(method, path, status)
        return json.loads(content) if content else {}


def login(password: str) -> dict[str, Any]:
    user = {"name": "admin", "domain": {"id": "default"}, "password": password}
    scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
    return {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}


def work(client: Client) -> None:
    client.ask("POST", "/v3/auth/tokens", login("wrong"))
    client.ask("POST", "/v3/auth/tokens", login(PASSWORD))
    project = client.ask("POST", "/v3/projects", {"project": {"name": "orchard"}})["project"]["id"]
    user = client.ask("POST", "/v3/users", {"user": {"name": "lena", "password": "a-password"}})["user"]["id"]
    role = client.ask("POST", "/v3/roles", {"role": {"name": "gardener"}})["role"]["id"]
    client.ask("PUT", f"/v3/projects/{project}/users/{user}/roles/{role}")
    client.ask("DELETE", f"/v3/users/{user}")


def collect(url: str) -> None:
    with kombu.Connection(url) as client:
        channel = client.channel()
        number = 0
        while (message := channel.basic_get("notifications.info", no_ack=True)) is not None:
            body = message.body if isinstance(message.body, str) else message.body.decode()
            event_type = json.loads(json.loads(body)["oslo.message"])["event_type"]
            (HERE / f"{number:02}-{event_type}.wire.json").write_text(body + "\n")
            number += 1


def drain(url: str) -> None:
    """What the set-up told is of no interest."""
    with kombu.Connection(url) as client:
        channel = client.channel()
        while channel.basic_get("notifications.info", no_ack=True) is not None:
            pass


if __name__ == "__main__":
    bus = sys.argv[1]
    with TemporaryDirectory() as directory:
        client = Client(configure(bus, Path(directory)))
        drain(bus)
        work(client)
    collect(bus)
