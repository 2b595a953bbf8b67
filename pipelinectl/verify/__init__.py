"""Whether a deployed pipeline does what its docs promise: sent, waited for, judged, removed.

Everything is sent at once and waited for together. Each line says of one promise that it holds,
that it differs, or that it cannot be seen; one that has not come by the deadline differs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelinectl.verify import removal
from pipelinectl.verify.facts import Asked
from pipelinectl.verify.judging import Run, Verdict
from pipelinectl.verify.seen import Observations
from pipelinectl.verify.sent import Names, Sent, send

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipelinectl.verify.facts import Fact
    from pipelinectl.verify.judging import Line, Seen
    from pipelinectl.verify.sent import Deployed


@dataclass(frozen=True)
class Report:
    """How a run ended; `left` are things that it could not remove, each in a sentence."""

    prefix: str
    results: Mapping[str, Seen]
    facts: Sequence[Fact]
    left: Sequence[str]
    seconds: float

    @property
    def differing(self) -> list[str]:
        """The lines that differ."""
        return [name for name, seen in self.results.items() if seen.verdict is Verdict.DIFFERS]


_PAUSE_SECONDS = 0.5


def verify(
    deployed: Deployed,
    lines: Sequence[Line],
    prefix: str,
    *,
    seconds: float,
    probe_stack: str | None = None,
    tell: Callable[[Run], None] = lambda _: None,
    tell_left: Callable[[Sequence[str]], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Report:
    """Send what the lines need, wait for all of it at most so many `seconds`, judge and remove.

    `tell` is called with each look. Whatever ends the run, what it sent is removed; where it ends
    without a report, `tell_left` is called with what that would have as `left`.
    """
    began = clock()
    # The names are known before anything is sent, so that all of it can be removed.
    observed = Observations(deployed, Sent(Names(prefix, deployed.stack)))
    run = Run(deployed, lines, observed)
    asked = Asked(run, probe_stack)
    complete = False
    try:
        asked.begin()
        send(deployed, observed.sent, [name for line in lines for name in line.needs])
        while _waits(run, asked) and clock() - began < seconds:
            tell(run)
            sleep(_PAUSE_SECONDS)
        run.judge(last=True)
        found = asked.facts()
        complete = True
    except KeyboardInterrupt:
        msg = f"interrupted: 'pipelinectl verify --clean {prefix}' removes what is still under way"
        raise KeyboardInterrupt(msg) from None
    finally:
        left = removal.remove(run)
        if not complete:
            tell_left(left)
    return Report(prefix, run.results, found, left, clock() - began)


def _waits(run: Run, asked: Asked) -> bool:
    """Look and judge; whether something is still to come."""
    run.observed.look()
    run.judge()
    return bool(run.pending) or asked.pending()
