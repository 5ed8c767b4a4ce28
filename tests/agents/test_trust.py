"""Whose word is taken: one's own, and that of keys in the directory, as it is now."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from agents.trust import TrustedKeys
from metering.messages import PrivateKey


def touch_later(directory: Path) -> None:
    """A file system keeps times coarsely; an operator is slower than this test."""
    changed_at = directory.stat().st_mtime_ns + 1_000_000_000
    os.utime(directory, ns=(changed_at, changed_at))


def test_ones_own_key_is_trusted_without_any_directory(tmp_path: Path) -> None:
    own = PrivateKey.generate().public
    trusted = TrustedKeys(own, tmp_path / "none")
    assert trusted.find(own.id) == own
    assert trusted.find("0" * 16) is None


def test_a_key_counts_while_its_file_is_there(tmp_path: Path) -> None:
    node = PrivateKey.generate().public
    trusted = TrustedKeys(PrivateKey.generate().public, tmp_path)
    assert trusted.find(node.id) is None
    (tmp_path / "node.pub").write_text(node.pem())
    touch_later(tmp_path)
    found = trusted.find(node.id)
    assert found and found.raw == node.raw
    (tmp_path / "node.pub").unlink()
    touch_later(tmp_path)
    touch_later(tmp_path)
    assert trusted.find(node.id) is None


def test_a_file_that_is_no_key_is_told_and_stops_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    node = PrivateKey.generate().public
    (tmp_path / "a.pub").write_text("not a key")
    (tmp_path / "b.pub").write_text(node.pem())
    with caplog.at_level(logging.ERROR):
        assert TrustedKeys(PrivateKey.generate().public, tmp_path).find(node.id)
    assert "a.pub" in caplog.text


def test_a_key_that_is_written_over_is_trusted_no_longer(tmp_path: Path) -> None:
    """The directory itself does not change then."""
    old, new = PrivateKey.generate().public, PrivateKey.generate().public
    path = tmp_path / "node.pub"
    path.write_text(old.pem())
    trusted = TrustedKeys(PrivateKey.generate().public, tmp_path)
    assert trusted.find(old.id)
    with path.open("r+") as file:
        file.write(new.pem())
    touch_later(path)
    assert trusted.find(old.id) is None
    assert trusted.find(new.id)


def test_a_key_that_is_read_half_written_is_read_again(tmp_path: Path) -> None:
    node = PrivateKey.generate().public
    trusted = TrustedKeys(PrivateKey.generate().public, tmp_path)
    path = tmp_path / "node.pub"
    path.write_text(node.pem()[:20])
    assert trusted.find(node.id) is None
    with path.open("a") as file:
        file.write(node.pem()[20:])
    assert trusted.find(node.id)


def test_a_directory_that_cannot_be_read_is_no_reason_to_trust_nobody(tmp_path: Path) -> None:
    path = tmp_path / "trusted"
    path.write_text("")
    with pytest.raises(NotADirectoryError):
        TrustedKeys(PrivateKey.generate().public, path).find("0" * 16)
