"""Kill a stage's worker while it works, and find the durable execution that felt it."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipelinectl.timeline import Timeline, build_timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipelinectl.executions import Executions

STAGES = ("transform", "validate")
_WAIT_SECONDS = 0.1
# A failed invoke is in the history at once, but a little time goes by until a worker is missed.
_EFFECT_SECONDS = 0.3
_LOOKS = 3
_INSPECTED = 20


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Kill:
    """One blow: whose workers, which process ids, how many executions were running.

    `struck` is the ARN of an execution in which an invoke of the stage failed by it.
    """

    stage: str
    pids: tuple[int, ...]
    running: int
    struck: str | None


@dataclass(frozen=True)
class Chaos:
    """Kills workers by `kill` (stage to process ids); `sleep` and `clock` are in seconds.

    `now` is the time of the histories: kills and executions share a machine and so its clock.
    """

    executions: Executions
    kill: Callable[[str], list[int]]
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = _utc_now

    def kills(self, *, at_most: int, deadline_seconds: float) -> Iterator[Kill]:
        """Kill until an execution shows a failed operation; the last kill names it as `struck`."""
        end = self.clock() + deadline_seconds
        done = 0
        for stage in itertools.cycle(STAGES):
            if done == at_most or self.clock() >= end:
                return
            blow = self._strike(stage)
            if blow is None:
                self.sleep(_WAIT_SECONDS)
                continue
            yield blow
            if blow.struck:
                return
            done += 1

    def timeline(self, arn: str) -> Timeline:
        """The timeline of an execution as it is now."""
        return build_timeline(self.executions.history(arn))

    def _strike(self, stage: str) -> Kill | None:
        running = [e.arn for e in self.executions.newest(statuses=["RUNNING"], limit=_INSPECTED)]
        moment = self.now()
        pids = self.kill(stage) if running else []
        if not pids:
            return None
        return Kill(stage, tuple(pids), len(running), self._struck(running, stage, moment))

    def _struck(self, arns: list[str], stage: str, moment: datetime) -> str | None:
        """The first of `arns` in which an invoke of `stage` failed after `moment`."""
        for _ in range(_LOOKS):
            self.sleep(_EFFECT_SECONDS)
            for arn in arns:
                if _felt(self.timeline(arn), stage, moment):
                    return arn
        return None


def _felt(timeline: Timeline, stage: str, moment: datetime) -> bool:
    return any(
        operation.failed
        and operation.name.startswith(stage)
        and operation.ended_at is not None
        and operation.ended_at >= moment
        for _, operation in timeline.walk()
    )
