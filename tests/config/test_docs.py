"""What the documentation lists is what there is."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_every_setting_is_documented():
    sources = [*(REPOSITORY / "config").rglob("*.py"), *(REPOSITORY / "agents").rglob("*.py")]
    read = {
        name
        for path in sources
        for name in re.findall(
            r'(?:text|integer|seconds|day|networks|smtp_url)\(\s*"(CELOMETER_[A-Z_]+)"', path.read_text()
        )
    }
    documented = set(re.findall(r"`(CELOMETER_[A-Z_]+)`", (REPOSITORY / "docs" / "settings.md").read_text()))
    assert read - documented == set()
    assert len(read) >= 12


def test_every_folder_that_the_readme_maps_is_there():
    block = (REPOSITORY / "README.md").read_text().partition("## Where things are")[2].split("```")[1]
    folders = re.findall(r"^([a-z]+)/", block, re.MULTILINE)
    assert len(folders) >= 7
    assert [folder for folder in folders if not (REPOSITORY / folder).is_dir()] == []
