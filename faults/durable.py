"""Faults of the durable function itself, at the moments that matter: around its checkpoints.

Checkpoints are counted from 1 over a whole execution, whichever invocation makes them.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aws_durable_execution_sdk_python.execution import DurableExecutionInvocationInputWithClient
from aws_durable_execution_sdk_python.lambda_service import (
    CheckpointOutput,
    DurableServiceClient,
    OperationUpdate,
)

from faults.stages import Handler, error_of_type
from localcloud.durable_quotas import LambdaLikeClient

Checkpoint = Callable[[str, Sequence[OperationUpdate]], CheckpointOutput]
"""From checkpoint token and updates to the service's answer."""

CheckpointFault = Callable[[Checkpoint, str, Sequence[OperationUpdate]], CheckpointOutput]
"""Called in the place of one checkpoint, with the call that would make it."""

DurableFault = Callable[[Handler], Handler]
"""From a durable handler to one with the fault."""


def crash_after_checkpoint(number: int) -> DurableFault:
    """The invocation dies when its checkpoint was accepted, before it hears so."""

    def accepted_then_killed(
        checkpoint: Checkpoint, token: str, updates: Sequence[OperationUpdate]
    ) -> CheckpointOutput:
        checkpoint(token, updates)
        raise killed()

    return at_checkpoint(number, accepted_then_killed)


def crash_before_checkpoint(number: int) -> DurableFault:
    """The invocation dies with its checkpoint unsent: what it did is done and on no record."""

    def killed_first(
        _checkpoint: Checkpoint, _token: str, _updates: Sequence[OperationUpdate]
    ) -> CheckpointOutput:
        raise killed()

    return at_checkpoint(number, killed_first)


def stale_checkpoint_token(number: int) -> DurableFault:
    """The invocation goes on with a token that was used up: its checkpoint is refused.

    So it goes when the service has given up an invocation that runs all the same.
    """

    def used_up_then_refused(
        checkpoint: Checkpoint, token: str, updates: Sequence[OperationUpdate]
    ) -> CheckpointOutput:
        checkpoint(token, [])
        return checkpoint(token, updates)

    return at_checkpoint(number, used_up_then_refused)


def lose_answer(number: int) -> DurableFault:
    """The ``number``-th invocation does all that it has to do, and dies before it answers."""

    def fault(handler: Handler) -> Handler:
        numbers = itertools.count(1)

        def invoke(event: Any, context: Any) -> Any:
            current = next(numbers)
            answer = handler(event, context)
            if current == number:
                raise killed()
            return answer

        return invoke

    return fault


def killed() -> Exception:
    """What the durable execution service hears of a worker that was killed."""
    return error_of_type("Runtime.ExitError", "the durable function's worker was killed")


def at_checkpoint(number: int, fault: CheckpointFault) -> DurableFault:
    """``fault`` in the place of an execution's ``number``-th checkpoint."""
    count = CheckpointCount()

    def around(handler: Handler) -> Handler:
        def invoke(event: DurableExecutionInvocationInputWithClient, context: Any) -> Any:
            client = _FaultyClient(event.service_client, number, fault, count)
            return handler(replace(event, service_client=client), context)

        return invoke

    return around


@dataclass
class CheckpointCount:
    """How many checkpoints a durable function has begun to make."""

    begun: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self) -> int:
        """Count one more; its number."""
        with self._lock:
            self.begun += 1
            return self.begun


class _FaultyClient(LambdaLikeClient):
    """The durable execution service as one invocation sees it."""

    def __init__(
        self,
        client: DurableServiceClient,
        number: int,
        fault: CheckpointFault,
        count: CheckpointCount,
    ) -> None:
        super().__init__(client)
        self._number = number
        self._fault = fault
        self._count = count

    def checkpoint(
        self,
        durable_execution_arn: str,
        checkpoint_token: str,
        updates: list[OperationUpdate],
        client_token: str | None,
    ) -> CheckpointOutput:
        """Make the checkpoint, or whatever the fault makes of it.

        The SDK sends no more checkpoints in an invocation in which one has failed.
        """

        def real(token: str, some: Sequence[OperationUpdate]) -> CheckpointOutput:
            return make(durable_execution_arn, token, list(some), client_token)

        make = super().checkpoint
        if self._count.next() == self._number:
            return self._fault(real, checkpoint_token, updates)
        return real(checkpoint_token, updates)
