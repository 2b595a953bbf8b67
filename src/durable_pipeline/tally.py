"""Counts what a batch took, without a clock and without an operation of its own.

Each replay counts again, from the same checkpoints, and comes to the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass
class Tally:
    """Chained invokes, those of them that repeated one that had failed, and bisections.

    ``operations`` are the invokes with the waits before them and the looks at the clock. ``until``
    is the latest time that an answer told; None as long as there was no answer.
    """

    invokes: int = 0
    retries: int = 0
    bisects: int = 0
    operations: int = 0
    until: datetime | None = None

    def invoked(self, attempt: int) -> None:
        """Count a chained invoke, which is the ``attempt``-th of its kind, from 1."""
        retried = attempt > 1
        self.invokes += 1
        self.retries += retried
        self.operations += 1 + retried

    def learn(self, completed_at: str) -> None:
        """It is at least as late as an answer says."""
        self._later(datetime.fromisoformat(completed_at))

    def add(self, other: Tally) -> None:
        """Add what a part of the batch took."""
        self.invokes += other.invokes
        self.retries += other.retries
        self.bisects += other.bisects
        self.operations += other.operations
        if other.until:
            self._later(other.until)

    def _later(self, moment: datetime) -> None:
        self.until = max(self.until, moment) if self.until else moment
