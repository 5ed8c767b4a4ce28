"""``manage.py enroll``."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from metering.messages import PrivateKey
from metering.models import AgentKey

pytestmark = pytest.mark.django_db


@pytest.fixture
def key_file(tmp_path):
    key = PrivateKey.generate()
    path = tmp_path / "key.pub"
    path.write_text(key.public.pem())
    return key, str(path)


def enroll(*arguments):
    out, err = StringIO(), StringIO()
    call_command("enroll", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_a_public_key_is_enrolled_under_the_agents_name(key_file):
    key, path = key_file
    out, err = enroll("node-1", "--public-key", path, "--source", "openstack", "--project", "p1")
    row = AgentKey.objects.get()
    assert (row.agent.name, row.key_id, bytes(row.public_key)) == ("node-1", key.public.id, key.public.raw)
    assert (row.allowed_sources, row.allowed_projects) == (["openstack"], ["p1"])
    assert out == "" and key.public.id in err


def test_enrolling_again_changes_nothing(key_file):
    _, path = key_file
    enroll("node-1", "--public-key", path, "--source", "openstack")
    _, err = enroll("node-1", "--public-key", path)
    assert "was enrolled already" in err
    assert AgentKey.objects.get().allowed_sources == ["openstack"]


def test_without_a_public_key_a_pair_is_made_and_its_private_half_printed():
    out, _ = enroll("node-1")
    assert PrivateKey.from_pem(out).public.id == AgentKey.objects.get().key_id


def test_asking_for_a_known_agent_makes_no_second_key(key_file):
    _, path = key_file
    enroll("node-1", "--public-key", path)
    with pytest.raises(CommandError, match="enrolled already, with key"):
        enroll("node-1")
    enroll("node-1", "--new-key")
    assert AgentKey.objects.count() == 2


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 256])
def test_a_name_that_no_agent_can_have_is_refused(name):
    with pytest.raises(CommandError, match="expected 1 to 255 printable characters"):
        enroll(name)


def test_a_key_belongs_to_one_agent(key_file):
    _, path = key_file
    enroll("node-1", "--public-key", path)
    with pytest.raises(CommandError, match="enrolled already, for agent 'node-1'"):
        enroll("node-2", "--public-key", path)


def test_a_revoked_key_does_not_come_back(key_file):
    _, path = key_file
    enroll("node-1", "--public-key", path)
    AgentKey.objects.update(revoked_at=timezone.now())
    with pytest.raises(CommandError, match="was revoked"):
        enroll("node-1", "--public-key", path)


@pytest.mark.parametrize("content", ["", "hello", "-----BEGIN PUBLIC KEY-----\nxx\n-----END PUBLIC KEY-----"])
def test_a_file_that_is_no_public_key_is_refused(tmp_path, content):
    path = tmp_path / "key.pub"
    path.write_text(content)
    with pytest.raises(CommandError, match="not a public key in PEM form"):
        enroll("node-1", "--public-key", str(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CommandError, match=r"nowhere\.pub: No such file"):
        enroll("node-1", "--public-key", str(tmp_path / "nowhere.pub"))
