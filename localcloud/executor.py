"""Durable executions: AWS's own executor from their testing SDK, and what Lambda does beyond it.

Executions have ARNs of AWS's form, go on after a restart of the process, can be paused, resumed and
deleted, and are held to the limits of results. A callback that is closed says so, and the error of
a failed invocation is the function's.

All of this uses the executor's private methods, as they are in version 1.4.0 of the testing SDK;
the unit tests fail if a new version changes them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from aws_durable_execution_sdk_python.lambda_service import (
    ErrorObject,
    InvocationStatus,
    OperationAction,
    OperationStatus,
    OperationType,
)
from aws_durable_execution_sdk_python_testing.exceptions import (
    AwsApiException,
    IllegalStateException,
    InvalidParameterValueException,
    ResourceNotFoundException,
)
from aws_durable_execution_sdk_python_testing.execution import Execution, ExecutionStatus
from aws_durable_execution_sdk_python_testing.executor import Executor
from aws_durable_execution_sdk_python_testing.token import CallbackToken
from aws_durable_execution_sdk_python_testing.worker.checkpoint_tasks import CallableTask
from aws_durable_execution_sdk_python_testing.worker.registry import ExecutionRegistry
from aws_durable_execution_sdk_python_testing.worker.status import InvocationState

from localcloud import quotas
from localcloud.functions import execution_arn
from localcloud.histories import Facts
from localcloud.journal import Journal, Pause
from localcloud.quotas import utf8_length

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aws_durable_execution_sdk_python.lambda_service import (
        DurableExecutionInvocationOutput,
        Operation,
        OperationUpdate,
    )
    from aws_durable_execution_sdk_python_testing.child_dispatcher import ChildOutcome
    from aws_durable_execution_sdk_python_testing.model import (
        SendDurableExecutionCallbackFailureResponse,
        SendDurableExecutionCallbackHeartbeatResponse,
        SendDurableExecutionCallbackSuccessResponse,
        StartDurableExecutionInput,
    )
    from aws_durable_execution_sdk_python_testing.scheduler import Scheduler
    from aws_durable_execution_sdk_python_testing.worker.task import ExecutionTask

    from localcloud.store import Store

log = logging.getLogger("localcloud.runner")
_T = TypeVar("_T")

# How long a request that is repeated with its token is the same request.
_SAME_REQUEST = timedelta(minutes=15)
# The longest that an execution lasts whose time stands still, from its start.
LONGEST_PAUSED = timedelta(days=366)


# What the SDK raises for a token that is none: one is JSON in Base64.
_NO_TOKEN = (ValueError, KeyError, TypeError, RecursionError)
# The SDK takes a tenth of a second to suspend.
_SUSPENDING_SECONDS = 0.25


class CallbackTimeoutException(AwsApiException):
    """What Lambda answers for a callback that is closed, or whose time is over."""

    http_status_code = 400

    def to_dict(self) -> dict[str, Any]:
        """The error as the SDK's web server writes it."""
        return {"Type": "CallbackTimeoutException", "Message": str(self)}


class ResourceConflictException(AwsApiException):
    """What Lambda answers for a request that does not go with the execution's status."""

    http_status_code = 409

    def to_dict(self) -> dict[str, Any]:
        """The error as the SDK's web server writes it."""
        return {"Type": "ResourceConflictException", "message": str(self)}


@dataclass(frozen=True)
class FailedInvocation:
    """An invocation of a handler that has not answered, with the function's error."""

    error: ErrorObject
    request_id: str
    started: datetime
    ended: datetime


class LocalRegistry(ExecutionRegistry):
    """The SDK's workers, a thread for each execution, without those of executions that have ended.

    The SDK makes one for whatever is done to an execution, and ends it when the execution has ended
    unless what was done is refused, or the execution was deleted meanwhile.
    """

    def __init__(self, store: Store, scheduler: Scheduler) -> None:
        super().__init__(store, scheduler)
        self._metadata_of = store.get_execution_metadata

    def submit(self, execution_arn: str, task: ExecutionTask[_T]) -> Future[_T]:
        """Have an execution's worker do something."""
        future = super().submit(execution_arn, task)
        future.add_done_callback(lambda _: self._release(execution_arn))
        return future

    def _release(self, arn: str) -> None:
        metadata = self._metadata_of(arn)
        worker = self.get(arn)
        if worker and (metadata is None or metadata["status"] != ExecutionStatus.RUNNING.value):
            # In this order: who was handed it before gets another one.
            worker.stop()
            self._evict_if_current(arn, worker)


class LocalExecutor(Executor):
    """The SDK's executor, as Lambda does it, continuing what an earlier process began.

    The SDK's keeps timers, completion events and dispatched invokes in memory only, so `recover`
    re-creates them from the store. What was under way is repeated: a handler or a stage may run
    twice, as on AWS. The checkpoint token of the invocation that was under way is stale from here
    on and is refused.
    """

    # A failed handler invocation is repeated after this long; the SDK's default of 5 seconds
    # is the pace of a service, not of a person who waits.
    RETRY_BACKOFF_SECONDS = 1

    def __init__(
        self,
        *,
        journal: Journal,
        failure_of: Callable[[str], FailedInvocation | None],
        log_tail_of: Callable[[str], str],
        **options: Any,
    ) -> None:
        """`failure_of` (once) and `log_tail_of` tell what came of an execution's last invocation.

        `options` are the SDK's.
        """
        super().__init__(**options)
        self.journal = journal
        self.log_tail_of = log_tail_of
        self._failure_of = failure_of
        self._pausing: set[str] = set()
        self._invocations: dict[str, Future[None]] = {}

    def begin(self, start: StartDurableExecutionInput, *, asynchronous: bool) -> str:
        """Start an execution and return its ARN."""
        execution = self._create_execution(start)
        if asynchronous:
            self.journal.note_asynchronous(execution.durable_execution_arn)
        self._launch_execution(execution, start.execution_timeout_seconds)
        return execution.durable_execution_arn

    def facts(self, arn: str) -> Facts:
        """Return what is known of an execution beside the SDK's record."""
        journal = self.journal
        return Facts(journal.failures(arn), journal.pauses(arn), journal.versions(arn))

    def status(self, execution: Execution) -> str:
        """Return the status of an execution, pauses included."""
        if execution.is_complete:
            return execution.current_status().value
        pause = self.journal.current_pause(execution.durable_execution_arn)
        return (pause and pause.status) or ExecutionStatus.RUNNING.value

    def times_out_at(self, execution: Execution) -> datetime | None:
        """Return when the execution's time will be over; None for one that has ended."""
        started = execution.get_operation_execution_started().start_timestamp
        if execution.is_complete or started is None:
            return None
        arn = execution.durable_execution_arn
        current = self.journal.current_pause(arn)
        if current and current.timeout_paused:
            return started + LONGEST_PAUSED
        put_off = sum(pause.held_up(self._clock.now()) for pause in self.journal.pauses(arn))
        allowed = execution.start_input.execution_timeout_seconds
        return started + timedelta(seconds=allowed + put_off)

    # Pause, resume, delete

    def pause(
        self, arn: str, *, reason: str | None, timeout_paused: bool, token: str | None
    ) -> None:
        """Pause an execution: what is pending completes, and its handler is not invoked.

        Raises:
            ResourceNotFoundException: there is none.
            ResourceConflictException: it has ended, or is paused by another request.
        """
        asked = Pause(self._clock.now(), token, reason, timeout_paused)
        self._in_lane(arn, lambda: self._pause(arn, asked))

    def resume(self, arn: str, *, reason: str | None, token: str | None) -> None:
        """Let an execution that is paused, or is about to be, go on.

        Raises:
            ResourceNotFoundException: there is none.
            ResourceConflictException: it has ended, or is not paused.
        """
        self._in_lane(arn, lambda: self._resume(arn, reason, token))

    def delete(self, arn: str) -> datetime:
        """Delete an execution that has ended, with its history; return when that was.

        Raises:
            ResourceNotFoundException: there is none.
            ResourceConflictException: it has not ended.
        """
        self._in_lane(arn, lambda: self._delete(arn))
        return self._clock.now()

    def _in_lane(self, arn: str, action: Callable[[], None]) -> None:
        """Do something to an execution while nothing else is done to it."""
        self.get_execution(arn)
        self._registry.submit(arn, CallableTask(action)).result()

    def _pause(self, arn: str, asked: Pause) -> None:
        execution = self.get_execution(arn)
        self._require_running(execution, "paused")
        current = self.journal.current_pause(arn)
        if current:
            if _is_repeated(current, asked):
                return
            raise ResourceConflictException(f"The durable execution {arn} is paused already.")
        self.journal.begin_pause(arn, asked)
        execution.pause()
        self._store.save(execution)
        if asked.timeout_paused:
            self._rearm_execution_timeout(execution)
        if self._invocation_gate(arn) is InvocationState.INVOKING:
            self._pausing.add(arn)
        else:
            self.journal.settle_pause(arn, self._clock.now())

    def _resume(self, arn: str, reason: str | None, token: str | None) -> None:
        execution = self.get_execution(arn)
        self._require_running(execution, "resumed")
        now = self._clock.now()
        current = self.journal.current_pause(arn)
        if current is None:
            last = self.journal.pauses(arn)[-1:]
            if last and _is_same_resume(last[0], token, reason, now):
                return
            raise ResourceConflictException(f"The durable execution {arn} is not paused.")
        self._pausing.discard(arn)
        self.journal.end_pause(arn, now, token, reason)
        if current.timeout_paused:
            self._rearm_execution_timeout(execution)
        self._resume_execution(arn)

    def _delete(self, arn: str) -> None:
        if not self.get_execution(arn).is_complete:
            raise ResourceConflictException(
                f"The durable execution {arn} has not ended: only one that has is deleted."
            )
        self.journal.forget(arn)

    def _require_running(self, execution: Execution, what: str) -> None:
        if execution.is_complete:
            raise ResourceConflictException(
                f"The durable execution {execution.durable_execution_arn} is "
                f"{execution.current_status().value} and cannot be {what}."
            )

    def _set_invocation_gate(self, arn: str, status: InvocationState) -> None:
        super()._set_invocation_gate(arn, status)
        if status is InvocationState.INVOKING:
            self._invocations[arn] = Future()
        elif ended := self._invocations.pop(arn, None):
            ended.set_result(None)
        if arn in self._pausing and status is not InvocationState.INVOKING:
            self._pausing.discard(arn)
            if status is InvocationState.PRE_INVOKE:
                self.journal.settle_pause(arn, self._clock.now())

    # Starts

    def _create_execution(
        self,
        input: StartDurableExecutionInput,  # noqa: A002 - the SDK's name
        parent_execution_arn: str | None = None,
    ) -> Execution:
        unique = input.invocation_id or str(uuid.uuid4())
        start = replace(input, invocation_id=unique)
        execution = Execution.new(start)
        execution.region = self._region
        execution.durable_execution_arn = execution_arn(
            execution.function_arn(self._region), start.execution_name, unique
        )
        execution.parent_execution_arn = parent_execution_arn
        execution.start(now=self._clock.now())
        self._store.save(execution)
        return execution

    # Ends

    def _complete_events(self, execution_arn: str) -> None:
        super()._complete_events(execution_arn)
        # Nobody in this process waits for an end, and the SDK would keep the event for ever.
        if event := self._completion_events.pop(execution_arn, None):
            event.remove()

    def _validate_invocation_response_and_store(
        self,
        execution_arn: str,
        response: DurableExecutionInvocationOutput,
        execution: Execution,
        invocation_seq: int | None = None,
    ) -> None:
        succeeded = response.status is InvocationStatus.SUCCEEDED and not execution.is_complete
        too_large = self.too_large(execution_arn, response.result) if succeeded else None
        if too_large:
            self._fail_workflow(execution_arn, ErrorObject.from_message(too_large))
            return
        super()._validate_invocation_response_and_store(
            execution_arn, response, execution, invocation_seq
        )

    def too_large(self, arn: str, result: str | None) -> str | None:
        """Say what is wrong with the size of an execution's result, if anything is."""
        size = utf8_length(result or "")
        if size <= quotas.MAX_OUTPUT_BYTES["Event"]:
            return None
        kind = "Event" if self.journal.is_asynchronous(arn) else "RequestResponse"
        limit = quotas.MAX_OUTPUT_BYTES[kind]
        if size <= limit:
            return None
        return f"Execution output payload size must be less than or equal to {limit} bytes."

    def _retry_after_error(self, execution_arn: str, error: ErrorObject) -> None:
        """Record the invocation with the function's error, and repeat it, some times."""
        failure = self._failure_of(execution_arn)
        if failure:
            execution = self.get_execution(execution_arn)
            execution.record_invocation_completion(
                failure.started, failure.ended, failure.request_id
            )
            self._store.save(execution)
            error = failure.error
            self.journal.note_failure(execution_arn, failure.request_id, dict(error.to_dict()))
            if execution.is_complete:
                # It was stopped, or its time was over, meanwhile.
                self._set_invocation_gate(execution_arn, InvocationState.COMPLETED)
                return
        super()._retry_after_error(execution_arn, error)

    async def _finish_from_outcome(
        self, execution_arn: str, operation_id: str, outcome: ChildOutcome
    ) -> None:
        """Record the end of a chained invoke, after that of the invocation that waits for it.

        A function on a laptop may answer before the handler that invoked it has suspended; on AWS
        its answer comes later. An invocation that goes on with other work is not waited for.
        """
        if invocation := self._invocations.get(execution_arn):
            await asyncio.wait([asyncio.wrap_future(invocation)], timeout=_SUSPENDING_SECONDS)
        await super()._finish_from_outcome(execution_arn, operation_id, outcome)

    def _is_current_token(self, execution: Execution, checkpoint_token: str | None) -> bool:
        try:
            return super()._is_current_token(execution, checkpoint_token)
        except _NO_TOKEN:
            return False

    # Callbacks

    def send_callback_success(
        self, callback_id: str, result: bytes | None = None
    ) -> SendDurableExecutionCallbackSuccessResponse:
        """Deliver a result.

        Raises:
            InvalidParameterValueException: the id is none.
            ResourceNotFoundException: there is no such callback.
            CallbackTimeoutException: the callback is closed.
        """
        with _plain_errors(callback_id):
            return super().send_callback_success(callback_id, result)

    def send_callback_failure(
        self, callback_id: str, error: ErrorObject | None = None
    ) -> SendDurableExecutionCallbackFailureResponse:
        """Deliver a failure; raises what `send_callback_success` raises."""
        with _plain_errors(callback_id):
            return super().send_callback_failure(callback_id, error)

    def send_callback_heartbeat(
        self, callback_id: str
    ) -> SendDurableExecutionCallbackHeartbeatResponse:
        """Put off the heartbeat's timeout; raises what `send_callback_success` raises."""
        with _plain_errors(callback_id):
            return super().send_callback_heartbeat(callback_id)

    def _complete_callback_success(self, callback_id: str, result: bytes | None) -> None:
        self._require_open(callback_id)
        super()._complete_callback_success(callback_id, result)

    def _complete_callback_failure(self, callback_id: str, callback_error: ErrorObject) -> None:
        self._require_open(callback_id)
        super()._complete_callback_failure(callback_id, callback_error)

    def _process_callback_heartbeat(self, callback_id: str) -> None:
        self._require_open(callback_id)
        super()._process_callback_heartbeat(callback_id)

    def _require_open(self, callback_id: str) -> None:
        execution = self.get_execution(CallbackToken.from_str(callback_id).execution_arn)
        try:
            _, operation = execution.find_callback_operation(callback_id)
        except IllegalStateException as error:
            raise ResourceNotFoundException(f"There is no callback {callback_id}.") from error
        if execution.is_complete or operation.status is not OperationStatus.STARTED:
            raise CallbackTimeoutException(
                "The callback ID token has either expired or the callback associated with the "
                "token has already been closed."
            )

    # After a restart

    def recover(self) -> list[str]:
        """Continue every running execution of the store; return their ARNs."""
        running, _ = self._store.query(status_filter=ExecutionStatus.RUNNING.value)
        by_arn = {execution.durable_execution_arn: execution for execution in running}
        for execution in running:
            if self._is_orphan(execution, by_arn):
                self._stop_orphan(execution)
            else:
                self._continue(execution)
        return list(by_arn)

    def _is_orphan(self, execution: Execution, running: dict[str, Execution]) -> bool:
        """Tell whether the runner ended between creating a child and recording it.

        The parent then starts another child, and nothing waits for this one.
        """
        if execution.parent_execution_arn is None:
            return False
        parent = running.get(execution.parent_execution_arn)
        children = parent.chained_invoke_children.values() if parent else ()
        return execution.durable_execution_arn not in children

    def _stop_orphan(self, execution: Execution) -> None:
        log.info("stopping %s: its parent does not wait for it", execution.durable_execution_arn)
        reason = ErrorObject.from_message("The parent execution no longer waits for this one.")
        self.stop_execution(execution.durable_execution_arn, reason)

    def _continue(self, execution: Execution) -> None:
        arn = execution.durable_execution_arn
        log.info("continuing %s", arn)
        # The invocation that a pause was waiting for went with the process.
        self.journal.settle_pause(arn, self._clock.now())
        self._align_pause(execution)
        self._completion_events[arn] = self._scheduler.create_event()
        self._rearm_execution_timeout(execution)
        for operation in execution.operations:
            if operation.status is OperationStatus.STARTED:
                self._continue_operation(execution, operation)
        # Waits and step retries share one timer.
        self._schedule_earliest_pending(arn)
        self._invoke_execution(arn)

    def _align_pause(self, execution: Execution) -> None:
        """Have the SDK's record of a pause say what the journal says.

        They are written one after the other, and the process may have ended in between.
        """
        if self.journal.current_pause(execution.durable_execution_arn):
            execution.pause()
        else:
            execution.resume()
        self._store.save(execution)

    def _rearm_execution_timeout(self, execution: Execution) -> None:
        arn = execution.durable_execution_arn
        allowed = execution.start_input.execution_timeout_seconds
        end = self.times_out_at(execution)
        if allowed <= 0 or end is None:
            return
        if armed := self._execution_timeouts.pop(arn, None):
            armed.cancel()
        error = ErrorObject.from_message(f"Execution timed out after {allowed} seconds.")
        self._execution_timeouts[arn] = self._scheduler.call_later(
            lambda: self.on_timed_out(arn, error),
            delay=max(0.0, (end - self._clock.now()).total_seconds()),
            completion_event=self._completion_events[arn],
        )

    def _continue_operation(self, execution: Execution, operation: Operation) -> None:
        start = _start_update(execution, operation)
        if start is None:
            return
        if operation.operation_type is OperationType.CHAINED_INVOKE:
            self._continue_chained_invoke(execution, start)
        elif operation.operation_type is OperationType.CALLBACK:
            self._rearm_callback(execution, operation, start)

    def _continue_chained_invoke(self, execution: Execution, start: OperationUpdate) -> None:
        child_arn = execution.chained_invoke_children.get(start.operation_id)
        if child_arn is not None:
            self._continue_child(child_arn)
        elif start.chained_invoke_options is not None:
            self.on_chained_invoke_started(
                execution_arn=execution.durable_execution_arn,
                operation_id=start.operation_id,
                function_name=start.chained_invoke_options.function_name,
                tenant_id=start.chained_invoke_options.tenant_id,
                payload=start.payload,
            )

    def _continue_child(self, child_arn: str) -> None:
        """Report a child that ended unheard; a running one is continued for itself."""
        if self.get_execution(child_arn).is_complete:
            self._notify_parent_of_terminal_child(child_arn)

    def _rearm_callback(
        self, execution: Execution, operation: Operation, start: OperationUpdate
    ) -> None:
        details, options = operation.callback_details, start.callback_options
        if details is None or options is None:
            return
        remaining = replace(
            options,
            timeout_seconds=self._whole_seconds_left(operation, options.timeout_seconds),
            heartbeat_timeout_seconds=self._whole_seconds_left(
                operation, options.heartbeat_timeout_seconds
            ),
        )
        self._schedule_callback_timeouts(
            execution.durable_execution_arn, remaining, details.callback_id
        )

    def _whole_seconds_left(self, operation: Operation, allowed: int) -> int:
        """Return 0, which means no limit, for no limit, else at least one second."""
        if allowed <= 0:
            return 0
        return max(1, round(self._seconds_left(operation.start_timestamp, allowed)))

    def _seconds_left(self, started: datetime | None, allowed: int) -> float:
        if started is None:
            return float(allowed)
        return max(0.0, allowed - (self._clock.now() - started).total_seconds())


def _start_update(execution: Execution, operation: Operation) -> OperationUpdate | None:
    for update in execution.updates:
        if update.operation_id == operation.operation_id and update.action is OperationAction.START:
            return update
    return None


def _is_repeated(current: Pause, asked: Pause) -> bool:
    same = (current.token, current.reason, current.timeout_paused)
    return (
        asked.token is not None
        and same == (asked.token, asked.reason, asked.timeout_paused)
        and asked.requested - current.requested < _SAME_REQUEST
    )


def _is_same_resume(last: Pause, token: str | None, reason: str | None, now: datetime) -> bool:
    return (
        token is not None
        and last.resumed is not None
        and (last.resume_token, last.resume_reason) == (token, reason)
        and now - last.resumed < _SAME_REQUEST
    )


def _is_callback_id(text: str) -> bool:
    try:
        token = CallbackToken.from_str(text)
    except _NO_TOKEN:
        return False
    # Whoever sends one may have put anything into it.
    parts = (token.execution_arn, token.operation_id)
    return all(isinstance(part, str) and part.isascii() for part in parts)


@contextlib.contextmanager
def _plain_errors(callback_id: str) -> Iterator[None]:
    """Raise what went wrong with a callback; the SDK makes one error of all."""
    if not _is_callback_id(callback_id):
        raise InvalidParameterValueException(f"{callback_id!r} is no callback ID.")
    try:
        yield
    except ResourceNotFoundException as error:
        if error.__cause__:
            raise error.__cause__ from error
        raise
