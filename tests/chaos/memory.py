"""The most memory that workers of a function ever had."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from localcloud import processes
from localcloud.settings import Settings

_EVERY_SECONDS = 0.2
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


@dataclass
class Peak:
    """The peak so far: of the resident memory of any one worker, in bytes, as Linux counts it."""

    settings: Settings
    function_name: str
    bytes: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look again and again for as long as the block lasts."""
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_EVERY_SECONDS):
            for worker in processes.find_workers(self.settings):
                if worker.function_name == self.function_name:
                    self.bytes = max(self.bytes, _peak_of(worker.identity.pid))


def _peak_of(pid: int) -> int:
    try:
        found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(found[1]) * 1024 if found else 0
