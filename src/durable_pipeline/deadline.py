"""Keeps an execution from running into its wall.

An event source mapping gives a durable execution 900 seconds, waits included; one that takes longer
ends as a whole, and its messages come back only when their visibility timeout ends. So no work is
started that may not end in time: the records it was for come back as failed, and soon.

The time costs nothing on the healthy path: each stage's answer carries it, and is checkpointed.
Only where something went wrong, or a chunk had to wait for its turn, it is asked for in a step.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from aws_durable_execution_sdk_python import DurableContext

from durable_pipeline.tally import Tally
from shared.contracts import utc_now

CLOCK = "clock"
"""The name of the steps that read it."""

SETTLE_SECONDS = 45
"""Time to settle in: two invocations that replay, dead letters, visibility changes."""


class Deadline:
    """The time as one chunk knows it, and whether it leaves room for one more invoke.

    A replay learns the times in the same order, from the same checkpoints, and so decides the same.
    """

    def __init__(self, context: DurableContext, execution_timeout: int, stage_timeout: int) -> None:
        operation = context.state.get_execution_operation()
        self._now = operation.start_timestamp if operation else None
        # At least half of the time is for work, however the timeouts are set.
        seconds = max(execution_timeout - SETTLE_SECONDS - stage_timeout, execution_timeout / 2)
        self._last_start = self._now + timedelta(seconds=seconds) if self._now else None

    def learn(self, completed_at: str) -> None:
        """It is at least as late as a stage's answer says."""
        self._later(datetime.fromisoformat(completed_at))

    def ask(self, context: DurableContext, tally: Tally) -> None:
        """Read the clock, in a step: what happened since the last answer may have taken long."""
        tally.operations += 1
        self.learn(context.step(lambda _: utc_now(), name=CLOCK))

    def passed(self) -> bool:
        """Whether an invoke that starts now may end too late."""
        return bool(self._now and self._last_start and self._now > self._last_start)

    def _later(self, moment: datetime) -> None:
        self._now = max(self._now, moment) if self._now else moment
