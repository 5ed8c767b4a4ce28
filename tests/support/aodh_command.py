"""aodhclient's command, run as a user runs it, and what it prints read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Aodh"]


@dataclass(frozen=True)
class Aodh:
    """The command with an endpoint and a token, without Keystone."""

    url: str
    token: str

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "AODH_"))}
        access = {"OS_AUTH_TYPE": "admin_token", "OS_ENDPOINT": self.url, "OS_TOKEN": self.token}
        return subprocess.run(
            [str(Path(sys.executable).with_name("aodh")), *arguments],
            env={**kept, **access, "PYTHONWARNINGS": "ignore"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def ask(self, *arguments: str) -> Any:
        """What the command prints, as it does for programs. It must succeed, without a word beside."""
        done = self.run(*arguments, "-f", "json")
        assert (done.returncode, done.stderr) == (0, ""), done
        return json.loads(done.stdout)

    def tell(self, *arguments: str) -> None:
        """Run a command that prints nothing."""
        done = self.run(*arguments)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done

    def error(self, *arguments: str) -> str:
        """What the command complains about. It must fail, and print nothing."""
        done = self.run(*arguments)
        assert done.returncode != 0, done
        assert done.stdout == "", done
        return done.stderr.strip()
