"""A clock that a fault can put forward, so that nothing has to sleep."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta


class FakeClock:
    """Real time, plus the seconds by which it was advanced. Threads may share it."""

    def __init__(self) -> None:
        self._ahead = timedelta()
        self._lock = threading.Lock()

    def advance(self, seconds: float) -> None:
        """Put the clock forward."""
        with self._lock:
            self._ahead += timedelta(seconds=seconds)

    def now(self) -> datetime:
        """The time, in UTC."""
        with self._lock:
            return datetime.now(UTC) + self._ahead

    def iso(self) -> str:
        """The time as ISO-8601 text in UTC, with microseconds and a ``Z``."""
        return self.now().isoformat(timespec="microseconds").replace("+00:00", "Z")
