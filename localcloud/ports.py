"""The ports that a local cloud was made with: what it keeps has them in it.

Queues are known by URLs and functions by the gateway's address, also after `down`. With other ports
they would still be there, and nothing would reach them.
"""

import json
from pathlib import Path

from localcloud.errors import LocalCloudError
from localcloud.settings import Settings


def require_same(settings: Settings) -> None:
    """Raise LocalCloudError if the directory holds a local cloud that was made with other ports."""
    made_with = _read(_path(settings))
    for variable, port in _ports(settings).items():
        if port != (known := made_with.get(variable, port)):
            raise LocalCloudError(
                f"The local cloud in {settings.directory} was made with {variable}={known}, not "
                f"{port}, and its queues and functions keep that: set {variable}={known}, or "
                f"delete {settings.directory} to begin anew."
            )


def remember(settings: Settings) -> None:
    """Write down which ports the local cloud in the directory is made with."""
    _path(settings).write_text(json.dumps(_ports(settings)))


def _ports(settings: Settings) -> dict[str, int]:
    return {
        "LOCALCLOUD_AWS_PORT": settings.aws_port,
        "LOCALCLOUD_LAMBDA_PORT": settings.lambda_port,
    }


def _read(path: Path) -> dict[str, int]:
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _path(settings: Settings) -> Path:
    return settings.directory / "ports.json"
