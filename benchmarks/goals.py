"""What the pipeline promises against the reference, and whether a run has shown it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.cells import Figures
from benchmarks.clouds import PIPELINE, REFERENCE

SPEED = "messages a second"
OPERATIONS = "fewer operations"

AT_LEAST = {
    (SPEED, 10): 5.0,
    (SPEED, 100): 30.0,
    (OPERATIONS, 10): 7.0,
    (OPERATIONS, 100): 70.0,
}
"""By batch size: how many times the reference's messages a second, and its operations a message."""


@dataclass(frozen=True)
class Goal:
    """A ratio that is promised, and the one that was measured."""

    what: str
    batch: int
    concurrency: int
    at_least: float
    ratio: float

    @property
    def met(self) -> bool:
        """Whether the promise was kept."""
        return self.ratio >= self.at_least

    @property
    def exact(self) -> bool:
        """Whether it is counted, and so the same on every machine; speed is not."""
        return self.what == OPERATIONS


def goals(figures: Sequence[Figures]) -> Iterator[Goal]:
    """The goals that the cells measured on both sides speak of."""
    by_cell = {(f.side, f.batch, f.concurrency): f for f in figures}
    for (what, batch), at_least in AT_LEAST.items():
        for ours in figures:
            reference = by_cell.get((REFERENCE, ours.batch, ours.concurrency))
            if ours.side == PIPELINE and ours.batch == batch and reference:
                yield Goal(what, batch, ours.concurrency, at_least, ratio(what, ours, reference))


def ratio(what: str, ours: Figures, reference: Figures) -> float:
    """How many times better ours is."""
    if what == SPEED:
        return ours.messages_per_second / reference.messages_per_second
    return reference.operations / ours.operations
