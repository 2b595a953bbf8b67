"""Faults of the durable function itself, at the moments that matter: around its checkpoints.

Checkpoints are counted from 1 over a whole execution, whichever invocation makes them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aws_durable_execution_sdk_python.execution import DurableExecutionInvocationInputWithClient
from aws_durable_execution_sdk_python.lambda_service import (
    CheckpointOutput,
    DurableServiceClient,
    OperationUpdate,
    StateOutput,
)

from faults.stages import Handler, error_of_type

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
    numbers = itertools.count(1)

    def nth(
        checkpoint: Checkpoint, token: str, updates: Sequence[OperationUpdate]
    ) -> CheckpointOutput:
        # The SDK sends no more checkpoints in an invocation in which one has failed.
        if next(numbers) == number:
            return fault(checkpoint, token, updates)
        return checkpoint(token, updates)

    def around(handler: Handler) -> Handler:
        def invoke(event: DurableExecutionInvocationInputWithClient, context: Any) -> Any:
            client = InterceptedClient(event.service_client, nth)
            return handler(replace(event, service_client=client), context)

        return invoke

    return around


@dataclass(frozen=True)
class InterceptedClient(DurableServiceClient):
    """The durable execution service with ``instead`` in the place of each checkpoint."""

    client: DurableServiceClient
    instead: CheckpointFault

    def checkpoint(
        self,
        durable_execution_arn: str,
        checkpoint_token: str,
        updates: list[OperationUpdate],
        client_token: str | None,
    ) -> CheckpointOutput:
        """Make the checkpoint, or whatever ``instead`` makes of it."""

        def real(token: str, some: Sequence[OperationUpdate]) -> CheckpointOutput:
            return self.client.checkpoint(durable_execution_arn, token, list(some), client_token)

        return self.instead(real, checkpoint_token, updates)

    def get_execution_state(
        self,
        durable_execution_arn: str,
        checkpoint_token: str,
        next_marker: str,
        max_items: int = 1000,
    ) -> StateOutput:
        """Pass on what the service answers."""
        return self.client.get_execution_state(
            durable_execution_arn, checkpoint_token, next_marker, max_items
        )
