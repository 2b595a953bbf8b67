"""Kill the stages' workers while they work, and find a durable execution that felt it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipelinectl.timeline import Timeline, build_timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pipelinectl.executions import Executions

STAGES = ("store", "transform", "validate")
"""The last one first: an execution that is hit there has the most that it need not do again."""

_WAIT_SECONDS = 0.1
# A failed invoke is in the history at once, but a little time goes by until a worker is missed.
_EFFECT_SECONDS = 0.4
_LOOKS = 5
_INSPECTED = 20


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Struck:
    """An execution, by its ARN, in which an invoke of a stage failed."""

    arn: str
    stage: str


@dataclass(frozen=True)
class Kill:
    """One blow: how many workers of which stages, and how many executions were running.

    `struck` is an execution that felt it, None where none did.
    """

    workers: Mapping[str, int]
    running: int
    struck: Struck | None


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
        while done < at_most and self.clock() < end:
            blow = self._strike()
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

    def _strike(self) -> Kill | None:
        running = [e.arn for e in self.executions.newest(statuses=["RUNNING"], limit=_INSPECTED)]
        moment = self.now()
        counts = {stage: len(self.kill(stage)) for stage in STAGES} if running else {}
        killed = {stage: count for stage, count in counts.items() if count}
        if not killed:
            return None
        return Kill(killed, len(running), self._struck(running, killed, moment))

    def _struck(self, arns: list[str], stages: Iterable[str], moment: datetime) -> Struck | None:
        """One of `arns` in which an invoke of the first possible of `stages` failed by now."""
        for _ in range(_LOOKS):
            self.sleep(_EFFECT_SECONDS)
            timelines = {arn: self.timeline(arn) for arn in arns}
            for stage in stages:
                for arn, timeline in timelines.items():
                    if _felt(timeline, stage, moment):
                        return Struck(arn, stage)
        return None


def _felt(timeline: Timeline, stage: str, moment: datetime) -> bool:
    return any(
        operation.failed
        and operation.name.startswith(stage)
        and operation.ended_at is not None
        and operation.ended_at >= moment
        for _, operation in timeline.walk()
    )
