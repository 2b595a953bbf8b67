"""Notes what was done for which message, so that `make bench` can count it; on every side alike."""

from __future__ import annotations

import os
import time
from functools import cache


def note(what: str, message_id: str) -> None:
    """Append what was done, for which message and when, to the file that EFFECTS names, if any."""
    if path := os.environ.get("EFFECTS"):
        # In one piece and at once: nobody writes between, and it stays if this process is killed.
        os.write(_file(path), f"{time.time():.6f} {what} {message_id}\n".encode())


@cache
def _file(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
