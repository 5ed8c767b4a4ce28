"""Readers of the environment, and the settings that they choose."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from config import env
from config.databases import parse_database_url
from config.secrets import read_or_create


@pytest.mark.parametrize(("raw", "value"), [("", 7), ("1", 1), ("300", 300)])
def test_a_whole_number_is_read(monkeypatch, raw, value):
    monkeypatch.setenv("CELOMETER_POLL_INTERVAL", raw)
    assert env.integer("CELOMETER_POLL_INTERVAL", 7) == value


@pytest.mark.parametrize("raw", ["0", "-1", "1.5", "soon"])
def test_a_bad_number_is_named_with_what_was_expected(monkeypatch, raw):
    monkeypatch.setenv("CELOMETER_POLL_INTERVAL", raw)
    with pytest.raises(env.BadSetting, match=f"CELOMETER_POLL_INTERVAL='{raw}': expected a whole number of at least 1"):
        env.integer("CELOMETER_POLL_INTERVAL", None)


@pytest.mark.parametrize(("raw", "value"), [("", 3600), ("0", 0), ("86400", 86400)])
def test_seconds_are_read(monkeypatch, raw, value):
    monkeypatch.setenv("CELOMETER_FUTURE_BOUND_SECONDS", raw)
    found = env.seconds("CELOMETER_FUTURE_BOUND_SECONDS", timedelta(hours=1), most=timedelta(days=1))
    assert found == timedelta(seconds=value)


@pytest.mark.parametrize("raw", ["-1", "1.5", "soon", "86401", "9" * 40, "\u0661"])
def test_bad_seconds_are_named_with_what_was_expected(monkeypatch, raw):
    monkeypatch.setenv("CELOMETER_FUTURE_BOUND_SECONDS", raw)
    with pytest.raises(env.BadSetting, match=f"='{raw}': expected a whole number of seconds, at most 86400"):
        env.seconds("CELOMETER_FUTURE_BOUND_SECONDS", timedelta(hours=1), most=timedelta(days=1))


@pytest.mark.parametrize(("raw", "value"), [("", date(2010, 1, 1)), ("1999-12-31", date(1999, 12, 31))])
def test_a_day_is_read_as_its_beginning_in_utc(monkeypatch, raw, value):
    monkeypatch.setenv("CELOMETER_FLOOR_DATE", raw)
    found = env.day("CELOMETER_FLOOR_DATE", date(2010, 1, 1), earliest=date(1970, 1, 1))
    assert found == datetime(value.year, value.month, value.day, tzinfo=UTC)


@pytest.mark.parametrize("raw", ["2010-13-01", "yesterday", "1969-12-31", "2010-01-01T00:00:00"])
def test_a_bad_day_is_named_with_what_was_expected(monkeypatch, raw):
    monkeypatch.setenv("CELOMETER_FLOOR_DATE", raw)
    with pytest.raises(env.BadSetting, match=f"='{raw}': expected a day such as 2010-01-01, not before 1970-01-01"):
        env.day("CELOMETER_FLOOR_DATE", date(2010, 1, 1), earliest=date(1970, 1, 1))


def test_networks_are_read(monkeypatch):
    monkeypatch.setenv("CELOMETER_WEBHOOK_ALLOW", "10.20.0.0/16, fd00:1::/48,,203.0.113.7")
    assert [str(network) for network in env.networks("CELOMETER_WEBHOOK_ALLOW")] == [
        *("10.20.0.0/16", "fd00:1::/48", "203.0.113.7/32")
    ]
    monkeypatch.setenv("CELOMETER_WEBHOOK_ALLOW", "")
    assert env.networks("CELOMETER_WEBHOOK_ALLOW") == []


@pytest.mark.parametrize("raw", ["10.20.0.1/16", "inside.example", "10.20.0.0/33", "10.20.0.0/16;10.21.0.0/16"])
def test_a_bad_network_is_named_with_what_was_expected(monkeypatch, raw):
    monkeypatch.setenv("CELOMETER_WEBHOOK_ALLOW", f"10.0.0.0/8,{raw}")
    with pytest.raises(env.BadSetting, match=f"CELOMETER_WEBHOOK_ALLOW: '{raw}': expected networks such as"):
        env.networks("CELOMETER_WEBHOOK_ALLOW")


@pytest.mark.parametrize("raw", ["relay.example:25", "http://lena:secret@relay.example", "smtp://"])
def test_a_bad_relay_is_named_without_its_password(monkeypatch, raw):
    monkeypatch.setenv("CELOMETER_SMTP_URL", raw)
    with pytest.raises(env.BadSetting, match=r"CELOMETER_SMTP_URL=.*: expected smtp://") as refused:
        env.smtp_url("CELOMETER_SMTP_URL")
    assert "secret" not in str(refused.value)


def test_an_unknown_side_is_refused(monkeypatch):
    monkeypatch.setenv("CELOMETER_SETTINGS", "both")
    with pytest.raises(env.BadSetting, match="expected agent or server"):
        env.side()


@pytest.mark.parametrize(
    ("command", "side"), [("poll", "agent"), ("outbox", "agent"), ("token", "server"), ("", "server")]
)
def test_a_command_chooses_its_side_when_nobody_else_does(monkeypatch, command, side):
    monkeypatch.setenv("CELOMETER_SETTINGS", "")
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "config.settings.server")
    env.select_settings(command)
    assert env.side() == side


def test_embedded_servers_are_found_where_the_launcher_left_them(monkeypatch, tmp_path):
    for name in ("CELOMETER_DATABASE_URL", "CELOMETER_BROKER_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CELOMETER_HOME", str(tmp_path))
    assert env.database_url() == ""
    (tmp_path / "run").mkdir()
    env.servers_file().write_text(json.dumps({"database_url": "postgresql:///a", "broker_url": "redis://b"}))
    assert (env.database_url(), env.broker_url(), env.server_broker_url()) == (
        "postgresql:///a",
        "redis://b",
        "redis://b",
    )


def test_a_database_url_is_read_with_socket_directory_and_options():
    settings = parse_database_url("postgresql://me:se%2Fcret@/metering?host=/run/pg&sslmode=require")
    assert (settings["NAME"], settings["USER"], settings["PASSWORD"]) == ("metering", "me", "se/cret")
    assert (settings["HOST"], settings["OPTIONS"]) == ("/run/pg", {"sslmode": "require"})


@pytest.mark.parametrize("url", ["mysql://u:hunter2@h/db", "postgresql://u:hunter2@h/"])
def test_a_wrong_database_url_is_refused_without_its_password(url):
    with pytest.raises(env.BadSetting, match="expected postgresql://") as error:
        parse_database_url(url)
    assert "hunter2" not in str(error.value)


def test_a_secret_is_made_once_for_its_owner_alone(tmp_path):
    path = tmp_path / "run" / "secret.key"
    secret = read_or_create(path)
    assert len(secret) >= 43
    assert read_or_create(path) == secret
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["secret.key"]
