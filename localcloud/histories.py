"""The history of an execution, as GetDurableExecutionHistory documents it.

AWS's runner makes histories too, without the timeouts of callbacks, the versions of functions that
were invoked, the attempts of steps that succeeded, the results of polls, and errors of invocations;
and with inputs and errors where data was not asked for.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aws_durable_execution_sdk_python.lambda_service import (
    OperationAction,
    OperationStatus,
    OperationType,
)

from localcloud.functions import LATEST, parse_reference, version_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from aws_durable_execution_sdk_python.lambda_service import (
        ChainedInvokeOptions,
        ErrorObject,
        Operation,
        OperationUpdate,
    )
    from aws_durable_execution_sdk_python_testing.execution import Execution

    from localcloud.journal import Pause

Document = dict[str, Any]

_KINDS = {
    OperationType.EXECUTION: "Execution",
    OperationType.CONTEXT: "Context",
    OperationType.STEP: "Step",
    OperationType.WAIT: "Wait",
    OperationType.CALLBACK: "Callback",
    OperationType.CHAINED_INVOKE: "ChainedInvoke",
}
_ENDS = {
    OperationStatus.SUCCEEDED: "Succeeded",
    OperationStatus.FAILED: "Failed",
    OperationStatus.TIMED_OUT: "TimedOut",
    OperationStatus.STOPPED: "Stopped",
    OperationStatus.CANCELLED: "Cancelled",
}
_TOLD_BY_UPDATE = {OperationAction.SUCCEED, OperationAction.FAIL}
_CUTS_OFF = {"ExecutionStopped", "ExecutionTimedOut"}
# Errors of invokes that never reached a function.
_NOT_STARTED = {
    "AccessDeniedException",
    "InvalidParameterValueException",
    "ResourceNotFoundException",
}
# Which of the events of one millisecond comes first.
_START, _OPERATION, _INVOCATION, _PAUSE, _END = range(5)


@dataclass(order=True, frozen=True)
class _Event:
    """An event and its place: times that come from the store have no more than milliseconds."""

    millisecond: int
    rank: int
    document: Document = field(compare=False)


@dataclass(frozen=True)
class Facts:
    """What is known of an execution beside what the runner's own record has.

    `failures` are errors of invocations by their requests; `versions` those of functions that were
    invoked by an alias, by operation.
    """

    failures: Mapping[str, Document] = field(default_factory=dict)
    pauses: Sequence[Pause] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


def history(execution: Execution, facts: Facts, *, include_data: bool) -> list[Document]:
    """Return all events of an execution, oldest first.

    Nothing comes after the end of one that was stopped, or whose time was over.
    """
    found = sorted(_Renderer(execution, facts, include_data=include_data).events())
    cut = [event for event in found if event.document["EventType"] in _CUTS_OFF]
    kept = [event for event in found if not cut or event <= cut[0]]
    return [event.document | {"EventId": n} for n, event in enumerate(kept, start=1)]


def page(
    events: Sequence[Document], *, after: int | None, count: int, newest_first: bool
) -> tuple[list[Document], int | None]:
    """Return a page of a history, and the id after which the next one begins, if there is one.

    `after` is the id of the last event of the page before, or None for the first page.
    """
    ids = [event["EventId"] for event in events]
    if newest_first:
        until = len(events) if after is None else bisect.bisect_left(ids, after)
        found = list(reversed(events[max(0, until - count) : until]))
        more = until > count
    else:
        begin = 0 if after is None else bisect.bisect_right(ids, after)
        found = list(events[begin : begin + count])
        more = begin + count < len(events)
    return found, found[-1]["EventId"] if more else None


class _Renderer:
    """Makes the events of one execution."""

    def __init__(self, execution: Execution, facts: Facts, *, include_data: bool) -> None:
        self._execution = execution
        self._facts = facts
        self._include_data = include_data
        self._operations = {op.operation_id: op for op in execution.operations}

    def events(self) -> Iterator[_Event]:
        """All of them, in any order."""
        yield from self._of_execution()
        yield from self._of_updates()
        yield from self._of_ends()
        yield from self._of_invocations()
        for pause in self._facts.pauses:
            yield from self._of_pause(pause)

    def _of_execution(self) -> Iterator[_Event]:
        execution, operation = self._execution, self._execution.get_operation_execution_started()
        given = operation.execution_details
        details: Document = {
            "Input": self._data(given.input_payload if given else None),
            "ExecutionTimeout": execution.start_input.execution_timeout_seconds,
        }
        yield self._event(operation, "Started", details, operation.start_timestamp, rank=_START)
        if execution.is_complete and operation.end_timestamp:
            result = execution.result
            details = (
                {"Result": self._data(result.result if result else None)}
                if operation.status is OperationStatus.SUCCEEDED
                else {"Error": self._error(result.error if result else None)}
            )
            end = _ENDS[operation.status]
            yield self._event(operation, end, details, operation.end_timestamp, rank=_END)

    def _of_updates(self) -> Iterator[_Event]:
        """What the handler has checkpointed: each attempt of a step, for one."""
        retries: dict[str, int] = {}
        execution = self._execution
        for update, at in zip(execution.updates, execution.update_timestamps, strict=False):
            operation = self._operations.get(update.operation_id)
            if operation is None or update.operation_type is OperationType.EXECUTION:
                continue
            attempt = retries.get(update.operation_id, 0) + 1
            if update.action is OperationAction.RETRY:
                retries[update.operation_id] = attempt
            if update.action is OperationAction.START:
                yield self._event(operation, "Started", self._started(operation, update), at)
            elif update.action is OperationAction.RETRY or update.action in _TOLD_BY_UPDATE:
                failed = update.action is OperationAction.FAIL or update.error is not None
                details = self._checkpointed(update, attempt, failed=failed)
                yield self._event(operation, "Failed" if failed else "Succeeded", details, at)

    def _started(self, operation: Operation, update: OperationUpdate) -> Document:
        if operation.callback_details:
            options = update.callback_options
            seconds = {
                "Timeout": options.timeout_seconds if options else 0,
                "HeartbeatTimeout": options.heartbeat_timeout_seconds if options else 0,
            }
            limits = {name: value for name, value in seconds.items() if value}
            return {"CallbackId": operation.callback_details.callback_id, **limits}
        if operation.wait_details and operation.wait_details.scheduled_end_timestamp:
            end = operation.wait_details.scheduled_end_timestamp.timestamp()
            return {"Duration": _waited(operation), "ScheduledEndTimestamp": end}
        if update.chained_invoke_options:
            return self._invoked(operation, update, update.chained_invoke_options)
        return {}

    def _invoked(
        self, operation: Operation, update: OperationUpdate, options: ChainedInvokeOptions
    ) -> Document:
        child = self._execution.chained_invoke_children.get(operation.operation_id)
        found: Document = {
            "FunctionName": options.function_name,
            "TenantId": options.tenant_id,
            "ExecutedVersion": self._version(operation, options.function_name, child),
            "DurableExecutionArn": child,
        }
        if update.payload is not None:
            found["Input"] = self._data(update.payload)
        return {name: value for name, value in found.items() if value is not None}

    def _version(self, operation: Operation, function: str, child: str | None) -> str | None:
        details = operation.chained_invoke_details
        if details and details.error and details.error.type in _NOT_STARTED:
            return None
        if child:
            return version_of(child)
        reference = parse_reference(function)
        qualifier = (reference.qualifier if reference else None) or LATEST
        if qualifier == LATEST or qualifier.isdigit():
            return qualifier
        return self._facts.versions.get(operation.operation_id)

    def _checkpointed(self, update: OperationUpdate, attempt: int, *, failed: bool) -> Document:
        details: Document = {"Result": self._data(update.payload)}
        if failed:
            details = {"Error": self._error(update.error)}
        if update.operation_type is not OperationType.STEP:
            return details
        details["RetryDetails"] = {"CurrentAttempt": attempt}
        if update.action is OperationAction.RETRY and update.step_options:
            delay = update.step_options.next_attempt_delay_seconds
            details["RetryDetails"]["NextAttemptDelaySeconds"] = delay
        return details

    def _of_ends(self) -> Iterator[_Event]:
        """The ends that no checkpoint tells: of waits, callbacks and invokes."""
        last = {update.operation_id: update.action for update in self._execution.updates}
        for operation in self._execution.operations[1:]:
            end = _ENDS.get(operation.status)
            told = last.get(operation.operation_id) in _TOLD_BY_UPDATE
            if end and operation.end_timestamp and not told:
                yield self._event(operation, end, self._ended(operation), operation.end_timestamp)

    def _ended(self, operation: Operation) -> Document:
        if operation.operation_type is OperationType.WAIT:
            succeeded = operation.status is OperationStatus.SUCCEEDED
            return {"Duration": _waited(operation)} if succeeded else {}
        details = operation.callback_details or operation.chained_invoke_details
        if operation.status is OperationStatus.SUCCEEDED:
            return {"Result": self._data(details.result if details else None)}
        return {"Error": self._error(details.error if details else None)}

    def _of_invocations(self) -> Iterator[_Event]:
        for completion in self._execution.invocation_completions:
            details: Document = {
                "StartTimestamp": completion.start_timestamp.timestamp(),
                "EndTimestamp": completion.end_timestamp.timestamp(),
                "RequestId": completion.request_id,
            }
            failure = self._facts.failures.get(completion.request_id)
            if failure:
                details["Error"] = self._data(failure)
            yield _at(completion.end_timestamp, _INVOCATION, "InvocationCompleted", details)

    def _of_pause(self, pause: Pause) -> Iterator[_Event]:
        if pause.paused:
            paused: Document = {
                "PauseRequestTimestamp": pause.requested.timestamp(),
                "ExecutionTimeoutPaused": pause.timeout_paused,
            } | self._reason(pause.reason)
            yield _at(pause.paused, _PAUSE, "ExecutionPaused", paused)
        if pause.resumed:
            resumed: Document = {
                "ResumeRequestTimestamp": pause.resumed.timestamp()
            } | self._reason(pause.resume_reason)
            yield _at(pause.resumed, _PAUSE, "ExecutionResumed", resumed)

    def _reason(self, reason: str | None) -> Document:
        return {} if reason is None else {"Reason": self._data(reason)}

    def _event(
        self,
        operation: Operation,
        what: str,
        details: Document,
        at: datetime | None,
        rank: int = _OPERATION,
    ) -> _Event:
        named = {
            "Id": operation.operation_id,
            "Name": operation.name,
            "ParentId": operation.parent_id,
            "SubType": operation.sub_type,
        }
        more = {name: value for name, value in named.items() if value is not None}
        at = at or self._execution.get_operation_execution_started().start_timestamp
        assert at is not None  # noqa: S101 - an execution that was started has a start
        return _at(at, rank, f"{_KINDS[operation.operation_type]}{what}", details, more)

    def _data(self, payload: object) -> Document:
        if not self._include_data:
            return {"Truncated": True}
        return {"Truncated": False} | ({} if payload is None else {"Payload": payload})

    def _error(self, error: ErrorObject | None) -> Document:
        return self._data(error.to_dict() if error else None)


def _at(
    when: datetime, rank: int, kind: str, details: Document, more: Document | None = None
) -> _Event:
    document = {"EventType": kind, "EventTimestamp": when.timestamp(), f"{kind}Details": details}
    return _Event(math.floor(when.timestamp() * 1000), rank, document | (more or {}))


def _waited(operation: Operation) -> int:
    """Seconds that the operation, a wait, takes."""
    details = operation.wait_details
    if not (details and details.scheduled_end_timestamp and operation.start_timestamp):
        return 0
    return round((details.scheduled_end_timestamp - operation.start_timestamp).total_seconds())
