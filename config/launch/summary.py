"""What a person sees when Celometer is up: where to look, what to type, and the first samples it took."""

from __future__ import annotations

import itertools
import json
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from agents.notifications.addresses import BadAddress, read_addresses
from config import env
from config.launch.home import Home, LaunchRecord, RoleRecord
from config.launch.identity import is_same_process

# The host's own answer is asked for: a proxy of the environment has no business in between.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
REQUEST_SECONDS = 10.0
SAMPLES_SHOWN = 12
SAMPLES_READ = 500
# A role that was started again so short a time ago may well end again.
STEADY_SECONDS = 60.0


def base_url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def is_ready(port: int) -> bool:
    """Whether the API says that it can answer questions."""
    try:
        with OPENER.open(f"{base_url(port)}/readyz", timeout=REQUEST_SECONDS) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def read_samples(port: int, *, token: str) -> list[dict[str, Any]]:
    """The newest samples as the API gives them; none when it cannot answer."""
    request = urllib.request.Request(
        f"{base_url(port)}/v2/samples?limit={SAMPLES_READ}", headers={"X-Auth-Token": token}
    )
    try:
        with OPENER.open(request, timeout=REQUEST_SECONDS) as response:
            samples: list[dict[str, Any]] = json.load(response)
    except (urllib.error.URLError, OSError, ValueError):
        return []
    return samples


def print_summary(console: Console, *, home: Home, port: int, samples: list[dict[str, Any]], started_at: float) -> None:
    """The addresses, the ways in, and a table of what was measured."""
    token = home.token_file.read_text().strip()
    if samples:
        console.print()
        console.print(_sample_table(samples, title="First" if are_new(samples, started_at) else "Newest"))
    else:
        console.print("\n[yellow]No samples yet: the agent has not polled, see log/compute.log.[/yellow]")
    console.print(_ways_in(home, port=port, token=token))
    meter = samples[0].get("meter", "hardware.cpu.util") if samples else "hardware.cpu.util"
    console.print("\nTry:")
    console.print(
        f"  curl -H 'X-Auth-Token: {token}' '{base_url(port)}/v2/meters/{meter}/statistics?period=3600'",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )


def _ways_in(home: Home, *, port: int, token: str) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    grid.add_row("API", f"{base_url(port)}/")
    grid.add_row("meters", f"{base_url(port)}/v2/meters")
    grid.add_row("admin", f"{base_url(port)}/admin/{_admin_login(home)}")
    grid.add_row("token", f"{token}  (operator: sees everything)")
    grid.add_row("data", str(home.root))
    grid.add_row("logs", f"{home.logs}/ROLE.log")
    for bus in _buses():
        grid.add_row("bus", bus)
    return grid


def _buses() -> list[str]:
    """Those that are listened to, without their passwords; none where the setting is wrong, which the listener tells."""
    try:
        return [bus.name for bus in read_addresses(env.text("CELOMETER_NOTIFICATION_URLS"))]
    except BadAddress:
        return []


def _admin_login(home: Home) -> str:
    try:
        return f"  user admin, password {home.admin_password_file.read_text().strip()}"
    except FileNotFoundError:
        return ""


def are_new(samples: list[dict[str, Any]], started_at: float) -> bool:
    """Whether any was measured since then; those of an earlier start are in the store at once."""
    since = datetime.fromtimestamp(started_at, UTC).replace(tzinfo=None).isoformat()
    return any(str(sample.get("timestamp", "")) >= since for sample in samples)


def _sample_table(samples: list[dict[str, Any]], *, title: str) -> Table:
    """One sample of each meter, those with most to tell first: not forty lines of disk partitions."""
    shown = _one_per_meter(samples)
    table = Table(title=f"{title} samples ({len(shown)} of {_count(samples)})", title_justify="left")
    for heading in ("meter", "resource", "type", "volume", "unit", "time (UTC)"):
        table.add_column(heading, justify="right" if heading == "volume" else "left", overflow="fold")
    for sample in shown:
        table.add_row(
            str(sample.get("meter", "")),
            str(sample.get("resource_id", "")),
            str(sample.get("type", "")),
            _volume_text(sample.get("volume")),
            str(sample.get("unit", "")),
            _short_time(str(sample.get("timestamp", ""))),
        )
    return table


def _count(samples: list[dict[str, Any]]) -> str:
    return f"{len(samples)} and more" if len(samples) == SAMPLES_READ else str(len(samples))


def _one_per_meter(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One sample of a meter, from as many families of meters as there are."""
    by_meter: dict[str, dict[str, Any]] = {}
    for sample in samples:
        by_meter.setdefault(str(sample.get("meter")), sample)
    families: dict[str, list[str]] = {}
    for meter in sorted(by_meter):
        words = meter.split(".")
        families.setdefault(".".join(words[:2]) if words[0] == "hardware" else words[0], []).append(meter)
    turns = itertools.chain.from_iterable(itertools.zip_longest(*families.values()))
    chosen = itertools.islice(filter(None, turns), SAMPLES_SHOWN)
    return [by_meter[meter] for meter in sorted(chosen)]


def _volume_text(volume: object) -> str:
    """`12,345` and `0.25`: long fractions are for machines."""
    if isinstance(volume, float):
        return f"{volume:,.3f}".rstrip("0").rstrip(".")
    return f"{volume:,}" if isinstance(volume, int) else str(volume)


def _short_time(text: str) -> str:
    try:
        return datetime.fromisoformat(text).strftime("%H:%M:%S")
    except ValueError:
        return text


def describe_duration(seconds: float) -> str:
    """`3 d 4 h`, `12 min`, `5 s`: the two largest parts at most."""
    parts = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")]
    words = []
    rest = int(seconds)
    for size, unit in parts:
        if rest >= size:
            words.append(f"{rest // size} {unit}")
            rest %= size
    return " ".join(words[:2]) or "0 s"


def print_status(console: Console, *, record: LaunchRecord, servers: dict[str, int | None]) -> None:
    """A table of the supervisor, its roles and the embedded servers."""
    table = Table()
    for heading in ("process", "pid", "up", "restarts"):
        table.add_column(heading, justify="left" if heading == "process" else "right")
    now = time.time()
    supervisor = RoleRecord(name="supervisor", identity=record.supervisor, started_at=record.started_at)
    for role in [supervisor, *record.roles]:
        is_up = is_same_process(role.identity)
        pid = role.identity.partition(" ")[0] if is_up else ""
        up = describe_duration(now - role.started_at) if is_up else "down"
        table.add_row(role.name, pid, up, str(role.restarts))
    for name, server_pid in servers.items():
        table.add_row(name, str(server_pid or ""), _uptime(server_pid), "")
    console.print(table)
    for line in _troubles(record.roles, now=now):
        console.print(line, style="red", markup=False, soft_wrap=True)


def describe_down(role: RoleRecord) -> str:
    """One that said nothing, or was never there, has no reason to tell."""
    return f"✗ {role.name} is down" + (f": {role.last_words}" if role.last_words else "")


def _troubles(roles: list[RoleRecord], *, now: float) -> list[str]:
    """The last words of what is down, or was a moment ago."""
    lines = []
    for role in roles:
        if not is_same_process(role.identity):
            lines.append(describe_down(role))
        elif role.last_words and now - role.started_at < STEADY_SECONDS:
            lines.append(f"✗ {role.name} was just started again; before, it ended: {role.last_words}")
    return lines


def _uptime(pid: int | None) -> str:
    try:
        return describe_duration(time.time() - psutil.Process(pid).create_time()) if pid else "down"
    except psutil.Error:
        return "down"
