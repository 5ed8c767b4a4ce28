"""The agent's key file."""

from __future__ import annotations

import pytest

from agents.keys import BadKeyFile, load_or_create, public_path
from metering.messages import PublicKey


def test_a_key_is_made_once_private_to_its_owner_with_its_public_half_beside_it(tmp_path):
    path = tmp_path / "agent" / "key.pem"
    key = load_or_create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_create(path).public.id == key.public.id
    assert PublicKey.from_pem(public_path(path).read_text()).id == key.public.id
    assert sorted(file.name for file in path.parent.iterdir()) == ["key.pem", "key.pub"]


def test_a_key_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "key.pem"
    load_or_create(path)
    path.chmod(0o640)
    with pytest.raises(BadKeyFile, match="mode 0640: expected 0600"):
        load_or_create(path)


def test_a_file_that_is_no_key_is_refused(tmp_path):
    path = tmp_path / "key.pem"
    path.write_text("hello")
    path.chmod(0o600)
    with pytest.raises(BadKeyFile, match="not a private key in PEM form"):
        load_or_create(path)
