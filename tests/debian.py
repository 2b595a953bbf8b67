"""Debian's packages, unpacked below .tools for the tests that need what they hold.

Nothing is installed, and nobody needs to be root: packages are fetched by apt-get and unpacked by
dpkg.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / ".tools"

_INSTALLED = re.compile(r"^Inst (?P<name>\S+) ", re.MULTILINE)


def unpack(folder: Path, packages: Sequence[str]) -> None:
    """Fetch the packages and what they need that is not installed, and unpack them.

    Raises:
        OSError, subprocess.CalledProcessError: that is not to be had here.
    """
    shutil.rmtree(folder, ignore_errors=True)
    archives = folder / "archives"
    (folder / "lists" / "partial").mkdir(parents=True)
    archives.mkdir()
    options = [
        *("-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache"),
        *("-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1", "-q"),
    ]
    (folder / "cache" / "archives" / "partial").mkdir(parents=True)
    _run("apt-get", *options, "update")
    plan = _run("apt-get", *options, "install", "--simulate", "--no-install-recommends", *packages)
    needed = _INSTALLED.findall(plan)
    _run("apt-get", *options, "download", *needed, cwd=archives)
    for archive in sorted(archives.glob("*.deb")):
        _run("dpkg", "-x", str(archive), str(folder))
    for done_with in ("archives", "lists", "cache"):
        shutil.rmtree(folder / done_with)


def libraries(folder: Path) -> str:
    """Where the shared libraries of what was unpacked are, for LD_LIBRARY_PATH."""
    return ":".join(sorted({str(found.parent) for found in (folder / "usr/lib").rglob("*.so*")}))


def _run(*command: str, cwd: Path | None = None) -> str:
    run = subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)
    return run.stdout


def main(find: Callable[[], object], unpack: Callable[[], None], folder: Path, remedy: str) -> int:
    """Find it, or unpack it; only where CI counts on it is it a failure that there is none."""
    if find():
        return 0
    sys.stderr.write(f"Setting up {folder.relative_to(ROOT)}\n")
    try:
        unpack()
    except subprocess.CalledProcessError as error:
        said = (error.stderr or "").strip().splitlines()[-1:]
        sys.stderr.write(f"{' '.join(error.cmd[:1])}: {''.join(said)}\n{remedy}\n")
    except OSError as error:
        sys.stderr.write(f"{error}\n{remedy}\n")
    return 0 if find() or not os.environ.get("CI") else 1
