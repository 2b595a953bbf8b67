"""Looks at this machine: what building, deploying and running the local cloud need."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipelinectl.diagnosis.facts import Machine, Port

if TYPE_CHECKING:
    from localcloud.settings import Settings

_ASK_VERSION = "import sys; print(list(sys.version_info[:3]))"
_SECONDS = 20


def look_at_machine(settings: Settings) -> Machine:
    """The state of this machine for a local cloud with these settings."""
    return Machine(
        python=_python_version(),
        commands={"make": shutil.which("make"), "uv": _uv()},
        tools={
            str(command): command.is_file()
            for command in (settings.ministack_command, settings.sam_command)
        },
        ports=_ports(settings),
    )


def _python_version() -> tuple[int, ...] | None:
    """Of the python3 that make takes, which need not be the one that runs this."""
    python = shutil.which("python3")
    if python is None:
        return None
    ask = [python, "-c", _ASK_VERSION]
    try:
        answer = subprocess.check_output(ask, stderr=subprocess.DEVNULL, timeout=_SECONDS)  # noqa: S603 - what make would run
        return tuple(json.loads(answer))
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _uv() -> str | None:
    """Deploying to the local cloud finds it beside this interpreter too."""
    return shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))


def _ports(settings: Settings) -> tuple[Port, ...]:
    from localcloud import supervisor
    from localcloud.supervisor import all_services

    holders = supervisor.busy_ports(settings)
    return tuple(
        Port(service.port, service.name, service.port_variable, holders.get(service.name))
        for service in all_services(settings, {})
    )
