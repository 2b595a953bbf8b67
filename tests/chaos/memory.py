"""The most memory that workers of a function ever had."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.memory import peak_bytes_of
from localcloud import processes
from localcloud.settings import Settings

_EVERY_SECONDS = 0.2


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
                    self.bytes = max(self.bytes, peak_bytes_of(worker.identity.pid))
