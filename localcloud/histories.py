"""Histories that say when each invocation ran, as AWS's do.

The SDK's executor knows the times, but drops them from the events of version 1.4.0.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from localcloud.recovery import RecoveringExecutor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from aws_durable_execution_sdk_python_testing.model import (
        Event,
        GetDurableExecutionHistoryResponse,
        InvocationCompletedDetails,
    )

_INVOCATION_COMPLETED = "InvocationCompleted"


class TimedExecutor(RecoveringExecutor):
    """The local cloud's executor, with the times of invocations in its histories."""

    def get_execution_history(
        self, execution_arn: str, *page: Any, **options: Any
    ) -> GetDurableExecutionHistoryResponse:
        """Return a page of the history; the parameters are the SDK's."""
        history = super().get_execution_history(execution_arn, *page, **options)
        completions = self.get_execution(execution_arn).invocation_completions
        by_end = {completion.end_timestamp: completion for completion in completions}
        return replace(history, events=[_timed(event, by_end) for event in history.events])


def _timed(event: Event, by_end: Mapping[datetime, InvocationCompletedDetails]) -> Event:
    if event.event_type != _INVOCATION_COMPLETED:
        return event
    # An execution has one invocation at a time, so no two end at once.
    return replace(event, invocation_completed_details=by_end[event.event_timestamp])
