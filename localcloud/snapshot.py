"""Asks ministack to save its state now."""

import time
from pathlib import Path

from localcloud.settings import Settings

_PATIENCE_SECONDS = 10.0


def request_file(settings: Settings) -> Path:
    """Return the file whose existence asks ministack to save; ministack then deletes it."""
    return settings.directory / "ministack" / "save-requested"


def save(settings: Settings) -> bool:
    """Have ministack save its state; return whether it has done so within a few seconds."""
    request = request_file(settings)
    request.touch()
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while request.exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
