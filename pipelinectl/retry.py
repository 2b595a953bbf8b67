"""Which executions may be retried: those that failed, whose input nobody works on any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelinectl import redelivery
from pipelinectl.errors import OperationFailedError

if TYPE_CHECKING:
    from pipelinectl.executions import ExecutionInput
    from pipelinectl.redelivery import Read, Redelivery

_FAILED = frozenset({"FAILED", "TIMED_OUT", "STOPPED"})
_SUCCEEDED = "SUCCEEDED"


def messages(
    execution: ExecutionInput,
    environment: str | None,
    *,
    force: bool = False,
    read: Read = redelivery.no_payloads,
) -> list[Redelivery]:
    """The messages of an execution's input, to send again; `force` allows one that succeeded.

    Raises:
        OperationFailedError: it has not ended or did not fail, or its input is no event.
        StackMissingError: an id is one that the pipeline gives, and `environment` is not known.
    """
    _check(execution, force=force)
    if execution.payload is None:
        msg = "the execution's input is not kept any more: there is no message to send again"
        raise OperationFailedError(msg)
    return redelivery.of_event(execution.payload, environment, read=read)


def _check(execution: ExecutionInput, *, force: bool) -> None:
    if execution.status in _FAILED or (force and execution.status == _SUCCEEDED):
        return
    remedy = (
        "use --force to send its records again all the same"
        if execution.status == _SUCCEEDED
        else "wait for its end, or stop it with 'pipelinectl executions stop'"
    )
    msg = f"execution '{execution.arn}' is {execution.status}, not failed: {remedy}"
    raise OperationFailedError(msg)
