"""`make install`: the virtual environment and the system packages, from nothing but Python and, for root, apt-get.

Runs under the system's own Python, so it uses the standard library alone. A stamp in the environment makes the
next call a matter of milliseconds.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
REQUIREMENTS = REPOSITORY / "requirements"
ENVIRONMENT = REPOSITORY / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
OLDEST_PYTHON = (3, 11)
# A machine that was just started often upgrades itself first.
APT_GET = ["apt-get", "-o", "DPkg::Lock::Timeout=120"]
APT_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive"}
# Built from source against the system's headers: installed for itself, so that its failure costs nothing else.
COMPILED_PACKAGE = "libvirt-python"


class InstallError(Exception):
    """Something that a person can put right."""


def install(*, dev: bool, check_system: bool) -> None:
    """Make the environment fit the requirements; without `check_system` a fitting stamp is believed."""
    stamp = ENVIRONMENT / f"celometer-{'dev' if dev else 'run'}.stamp"
    # What tests need includes what a run needs.
    fitting = [stamp, ENVIRONMENT / "celometer-dev.stamp"]
    if not check_system and _fingerprint() in map(_read, fitting) and _works(PYTHON):
        return
    lists = [REQUIREMENTS / "system.txt"] + ([REQUIREMENTS / "system-tests.txt"] if dev else [])
    _install_system_packages([name for path in lists for name in _read_names(path)])
    _make_environment()
    builder = _start_libvirt_build()
    _install_python_packages(REQUIREMENTS / ("dev.txt" if dev else "embedded.txt"))
    if builder is not None:
        _finish_libvirt_build(builder)
    stamp.write_text(_fingerprint())


def _fingerprint() -> str:
    digest = hashlib.sha256(f"{sys.version}\n{_has_libvirt_headers()}\n".encode())
    for path in sorted(REQUIREMENTS.glob("*.txt")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


# --- system packages -----------------------------------------------------------------------------------------


def _install_system_packages(wanted: Sequence[str]) -> None:
    """Through apt-get when root; otherwise, or when that fails, say what is missing and go on without it."""
    if shutil.which("dpkg-query") is None or shutil.which("apt-get") is None:
        return
    missing = [name for name in wanted if not _is_package_installed(name)]
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        missing.append("python3-dev")
    if not _can_make_environments():
        missing.append("python3-venv")
    if not missing:
        return
    if os.geteuid() != 0:
        _say(f"Missing system packages: {' '.join(missing)} (apt-get install them as root for all there is)")
        return
    begun = time.monotonic()
    _say(f"Installing system packages: {' '.join(missing)}")
    # A mirror that is half broken may still have what we need: the install decides.
    _run([*APT_GET, "update", "-qq"], env=os.environ | APT_ENVIRONMENT)
    command = [*APT_GET, "install", "-qq", "-y", "--no-install-recommends", *missing]
    result = _run(command, env=os.environ | APT_ENVIRONMENT)
    if result.returncode != 0:
        _say(f"  apt-get failed, going on without: {_last_lines(result.stdout)}")
        return
    _say(f"  done ({time.monotonic() - begun:.0f} s)")


def _is_package_installed(name: str) -> bool:
    result = _run(["dpkg-query", "-W", "-f", "${Status}", name])
    return result.returncode == 0 and result.stdout.endswith("ok installed")


def _read_names(path: Path) -> list[str]:
    """One name a line; what follows a # is said to the reader."""
    lines = path.read_text().splitlines() if path.exists() else []
    names = (line.partition("#")[0].strip() for line in lines)
    return [name for name in names if name]


# --- Python packages -----------------------------------------------------------------------------------------


def _can_make_environments() -> bool:
    """Debian's Python comes without ensurepip, which is in python3-venv."""
    return _run([sys.executable, "-c", "import ensurepip, venv"]).returncode == 0


def _make_environment() -> None:
    if _works(PYTHON) and _works(PYTHON, "-m", "pip"):
        return
    if not _can_make_environments():
        raise InstallError("Python has no venv module: apt-get install python3-venv, then try again.")
    result = _run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)])
    if result.returncode != 0:
        raise InstallError(f"{ENVIRONMENT} could not be made: {_last_lines(result.stdout)}")


def _works(python: Path, *arguments: str) -> bool:
    try:
        return _run([str(python), *arguments, "--version"]).returncode == 0
    except OSError:
        return False


def _install_python_packages(requirements: Path) -> None:
    begun = time.monotonic()
    _say(f"Installing Python packages of requirements/{requirements.name}")
    lines = requirements.read_text().splitlines()
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(line for line in lines if not line.startswith(COMPILED_PACKAGE)))
        file.flush()
        result = _run(_pip("install", "-r", file.name))
    if result.returncode != 0:
        raise InstallError(f"pip could not install requirements/{requirements.name}:\n{_last_lines(result.stdout)}")
    _say(f"  done ({time.monotonic() - begun:.0f} s)")


def _pip(*arguments: str) -> list[str]:
    return [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]


def _has_libvirt_headers() -> bool:
    if shutil.which("pkg-config") is None or (shutil.which("gcc") or shutil.which("cc")) is None:
        return False
    return _run(["pkg-config", "--exists", "libvirt"]).returncode == 0


def _start_libvirt_build() -> subprocess.Popen[str] | None:
    """In the background: it compiles for half a minute, while the others are unpacked."""
    if not _has_libvirt_headers():
        _say("libvirt's headers are missing (libvirt-dev, pkg-config, gcc): this host can be metered, domains cannot.")
        return None
    command = _pip("wheel", "--no-deps", "-w", str(ENVIRONMENT / "wheels"), "-r", str(REQUIREMENTS / "compute.txt"))
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _finish_libvirt_build(builder: subprocess.Popen[str]) -> None:
    begun = time.monotonic()
    output, _ = builder.communicate()
    if builder.returncode == 0:
        found = ["--find-links", str(ENVIRONMENT / "wheels"), "-r", str(REQUIREMENTS / "compute.txt")]
        result = _run(_pip("install", "--no-deps", *found))
        output = result.stdout
        if result.returncode == 0:
            _say(f"libvirt-python is built  ({time.monotonic() - begun:.0f} s more)")
            return
    _say(f"libvirt-python could not be built; this host can be metered, domains cannot:\n{_last_lines(output)}")


# --- small things --------------------------------------------------------------------------------------------


def _run(command: Sequence[str], *, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run to the end with all output in one text; nothing may ask a question."""
    return subprocess.run(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _last_lines(text: str, count: int = 8) -> str:
    return "\n".join(text.strip().splitlines()[-count:])


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Set up .venv and what it needs.")
    parser.add_argument("--dev", action="store_true", help="also what tests and linters need")
    parser.add_argument("--check-system", action="store_true", help="look for system packages even if all seems done")
    options = parser.parse_args()
    try:
        if sys.version_info[:2] < OLDEST_PYTHON:
            raise InstallError(f"Python {sys.version.split()[0]} is too old: 3.11 or later is needed.")
        install(dev=options.dev, check_system=options.check_system)
    except InstallError as error:
        text = str(error)
    except OSError as error:
        text = f"{error.filename or ENVIRONMENT}: {error.strerror or error}"
    else:
        return 0
    print(f"celometer: {text}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
