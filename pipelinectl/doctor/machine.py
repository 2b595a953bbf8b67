"""Checks of this machine: what building, deploying and running the local cloud need.

Where a stack is up all the same, what they find stands in nobody's way yet: a warning.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipelinectl.doctor.stack import Level, verdict

if TYPE_CHECKING:
    from pipelinectl.doctor.stack import Deployed, Findings

_OLDEST_PYTHON = (3, 11)
_ASK_VERSION = "import sys; print(list(sys.version_info[:3]))"
_SECONDS = 20


def _bad(stack: Deployed) -> Level:
    return Level.PROBLEM if stack.absence else Level.WARNING


def here(stack: Deployed) -> list[str]:
    """One thing to judge, in a project's folder alone."""
    return ["machine"] if stack.machine else []


def python(stack: Deployed, _: str) -> Findings:
    """Of the python3 that make takes, which need not be the one that runs this."""
    remedy = "install Python 3.11 or newer, and name it: make PYTHON=python3.12"
    try:
        ask = [shutil.which("python3") or "python3", "-c", _ASK_VERSION]
        answer = subprocess.check_output(ask, stderr=subprocess.DEVNULL, timeout=_SECONDS)  # noqa: S603 - what make would run
        version = tuple(json.loads(answer))
    except (OSError, subprocess.SubprocessError, ValueError):
        found = "not on the PATH, or it does not run"
        yield verdict("python3", found, remedy, bad=_bad(stack))
        return
    bad = _bad(stack) if version < _OLDEST_PYTHON else None
    yield verdict("python3", ".".join(map(str, version)), remedy, bad=bad)


def commands(stack: Deployed, _: str) -> Findings:
    """Functions are built by a Makefile, their dependencies installed by uv."""
    beside = str(Path(sys.executable).parent)
    uv = shutil.which("uv") or shutil.which("uv", path=beside)
    for name, path, remedy in (
        ("make", shutil.which("make"), "install make with your system's package manager"),
        ("uv", uv, "run 'make setup', then '. .venv/bin/activate'"),
    ):
        yield verdict(name, path or "not found", remedy, bad=None if path else _bad(stack))


def tools(stack: Deployed, _: str) -> Findings:
    """Each has an environment of its own, below .tools/."""
    if stack.machine:
        for path in (stack.machine.ministack_command, stack.machine.sam_command):
            found, bad = ("there", None) if path.is_file() else ("not there", _bad(stack))
            yield verdict(str(path), found, "run 'make setup'", bad=bad)


def ports(stack: Deployed, _: str) -> Findings:
    """It does not start next to another one on the same ports."""
    from localcloud import supervisor

    if stack.machine:
        holders = supervisor.busy_ports(stack.machine)
        for service in supervisor.all_services(stack.machine, {}):
            holder = holders.get(service.name)
            found = f"{service.port} is held by {holder}" if holder else str(service.port)
            remedy = f"stop that process, or set {service.port_variable} to a free port"
            yield verdict(service.name, found, remedy, bad=_bad(stack) if holder else None)
