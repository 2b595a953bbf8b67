"""Not faster than so many messages a second."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Pace:
    """At most `per_second` messages, or as fast as it goes; `sleep` and `clock` are in seconds."""

    per_second: float | None = None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _free_at: float = field(default=float("-inf"), init=False)

    def batch(self, most: int) -> int:
        """How many messages to send at once: those of about a second, at least 1."""
        return most if self.per_second is None else min(most, max(1, int(self.per_second)))

    def wait(self, count: int) -> None:
        """Wait until `count` messages may be sent."""
        if self.per_second is None:
            return
        now = self.clock()
        if now < self._free_at:
            self.sleep(self._free_at - now)
        self._free_at = max(now, self._free_at) + count / self.per_second
