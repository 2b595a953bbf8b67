"""The most memory that a process has had so far."""

from __future__ import annotations

import re
import resource
from pathlib import Path

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def peak_bytes() -> int:
    """That of this process."""
    # getrusage counts what the parent had when it forked, too.
    return peak_bytes_of("self") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def peak_bytes_of(pid: int | str) -> int:
    """That of the process ``pid``, as Linux counts it; 0 if it has ended, or this is not Linux."""
    try:
        found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(found[1]) * 1024 if found else 0
