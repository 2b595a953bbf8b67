"""The durable execution service of the local cloud.

It is AWS's own service from their testing SDK, composed from the SDK's public classes, with five
differences: handlers are invoked through their twins, chained invokes need the parent role's
permission, executions are held to AWS's quotas (see `durable_quotas`), those that run survive a
restart, and histories say when each invocation ran.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sqlite3
import sys
import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from aws_durable_execution_sdk_python.lambda_service import (
    ErrorObject,
    OperationAction,
    OperationStatus,
    OperationType,
)
from aws_durable_execution_sdk_python_testing.checkpoint.processor import CheckpointProcessor
from aws_durable_execution_sdk_python_testing.child_dispatcher import (
    ChainedInvokeRequest,
    ChildOutcome,
    DispatchResult,
    EndpointChildDispatcher,
    FunctionConfig,
    FunctionConfigs,
    FunctionTarget,
    KnownOutcome,
    RunInvocation,
    failed_to_start,
)
from aws_durable_execution_sdk_python_testing.clock import RealClock
from aws_durable_execution_sdk_python_testing.exceptions import DurableFunctionsTestError
from aws_durable_execution_sdk_python_testing.execution import ExecutionStatus
from aws_durable_execution_sdk_python_testing.executor import Executor
from aws_durable_execution_sdk_python_testing.invoker import (
    InvokeResponse,
    LambdaInvoker,
    create_lambda_client,
    read_timeout_for,
)
from aws_durable_execution_sdk_python_testing.scheduler import Scheduler
from aws_durable_execution_sdk_python_testing.stores.sqlite import SQLiteExecutionStore
from aws_durable_execution_sdk_python_testing.web.server import (
    RequestHandler,
    WebServer,
    WebServiceConfig,
)
from aws_durable_execution_sdk_python_testing.worker.registry import ExecutionRegistry
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
)

from localcloud import durable_quotas, guard
from localcloud.functions import (
    FunctionDirectory,
    FunctionReference,
    Permissions,
    denial,
    parse_reference,
    unqualified_durable,
)
from localcloud.settings import HOST, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from aws_durable_execution_sdk_python.execution import DurableExecutionInvocationInput
    from aws_durable_execution_sdk_python.lambda_service import Operation, OperationUpdate
    from aws_durable_execution_sdk_python_testing.execution import Execution
    from aws_durable_execution_sdk_python_testing.model import (
        Event,
        GetDurableExecutionHistoryResponse,
        InvocationCompletedDetails,
    )

log = logging.getLogger("localcloud.runner")
_T = TypeVar("_T")

# Lambda's own longest invocation; a function's Timeout, which ministack enforces, is shorter.
_INVOCATION_SECONDS = 900
# How long to wait for ministack to come back before its absence counts as a failed invocation.
_UNAVAILABLE_SECONDS = 60.0
_UNAVAILABLE_PAUSE_SECONDS = 0.2
# What a client sees while ministack is down or being restarted.
_UNREACHABLE = (EndpointConnectionError, ConnectionClosedError, ConnectTimeoutError)
_INVOKE_ACTION = "lambda:InvokeFunction"
_INVALID_PARAMETER = "InvalidParameterValueException"
# ministack's words for a worker process that ended during an invocation.
_WORKER_DIED = "Worker process died"
_MAX_REQUEST_BYTES = 50 * 1024 * 1024


class TwinInvoker(LambdaInvoker):
    """Invokes a durable function's twin instead of the function, which starts executions."""

    def __init__(self, settings: Settings, functions: FunctionDirectory) -> None:
        read_timeout = read_timeout_for(_INVOCATION_SECONDS)
        super().__init__(
            create_lambda_client(settings.aws_endpoint_url, settings.region, read_timeout),
            read_timeout_seconds=read_timeout,
            endpoint_url=settings.aws_endpoint_url,
            region_name=settings.region,
        )
        self._functions = functions

    def invoke(
        self,
        function_name: str,
        input: DurableExecutionInvocationInput,  # noqa: A002 - the SDK's name
        endpoint_url: str | None = None,  # noqa: ARG002 - the SDK's signature
        tenant_id: str | None = None,
        account_id: str | None = None,  # noqa: ARG002 - likewise
        region_name: str | None = None,  # noqa: ARG002 - likewise
    ) -> InvokeResponse:
        """Run one invocation of the handler; wait for ministack if it is being restarted."""
        return _when_available(lambda: self._invoke_once(function_name, input, tenant_id))

    def _invoke_once(
        self, function_name: str, invocation: DurableExecutionInvocationInput, tenant_id: str | None
    ) -> InvokeResponse:
        try:
            return super().invoke(self._twin(function_name), invocation, tenant_id=tenant_id)
        except DurableFunctionsTestError as error:
            if isinstance(error.__cause__, EndpointConnectionError):
                # Nothing listened: no invocation happened, so none has failed.
                raise error.__cause__ from error
            raise

    def _twin(self, function_name: str) -> str:
        reference = parse_reference(function_name)
        function = (
            self._functions.find(FunctionReference(reference.name, None)) if reference else None
        )
        return function.durable.twin if function and function.durable else function_name


@dataclass(frozen=True)
class LiveFunctionConfigs(FunctionConfigs):
    """The functions that are deployed at the moment of asking."""

    functions: FunctionDirectory

    def lookup(self, function_name: str, qualifier: str | None) -> FunctionConfig | None:
        """Return whether the target is durable and with which limits; None if there is none."""
        function = self.functions.find(FunctionReference(function_name, qualifier))
        if function is None:
            return None
        if function.durable is None:
            return FunctionConfig(is_durable=False)
        return FunctionConfig(
            is_durable=True,
            execution_timeout_seconds=function.durable.execution_timeout_seconds,
            retention_period_days=function.durable.retention_days,
        )


class LiveChildDispatcher(EndpointChildDispatcher):
    """Dispatches a chained invoke if the parent's role may invoke the target."""

    def __init__(
        self,
        invoker: LambdaInvoker,
        store: SQLiteExecutionStore,
        functions: FunctionDirectory,
        permissions: Permissions,
    ) -> None:
        configs = LiveFunctionConfigs(by_name={}, functions=functions)
        super().__init__(configs, invoker.unmarked_client_for, _INVOCATION_SECONDS)
        self._store = store
        self._functions = functions
        self._permissions = permissions

    def preflight(self, target: FunctionTarget) -> ChildOutcome | None:
        """Fail an unknown target at once; leave it to `dispatch` if ministack does not answer."""
        try:
            return super().preflight(target)
        except (BotoCoreError, ClientError):
            return None

    def dispatch(self, request: ChainedInvokeRequest) -> DispatchResult:
        """Refuse, start a child execution, or invoke once; wait for a ministack that is away."""
        result = _when_available(lambda: self._dispatch(request))
        if isinstance(result, RunInvocation):
            return RunInvocation(functools.partial(_invoke_when_available, result))
        return result

    def _dispatch(self, request: ChainedInvokeRequest) -> DispatchResult:
        refusal = self._refusal(request)
        return refusal if refusal else super().dispatch(request)

    def _refusal(self, request: ChainedInvokeRequest) -> KnownOutcome | None:
        target = self._functions.find(FunctionReference(request.function_name, request.qualifier))
        if target is None:
            return None  # the SDK's dispatcher reports it
        if target.durable and request.qualifier is None:
            return failed_to_start(unqualified_durable(target.name), _INVALID_PARAMETER)
        role = self._role_of_parent(request.parent_execution_arn)
        resource = f"{target.arn}:{request.qualifier}" if request.qualifier else target.arn
        if self._permissions.allows(role, _INVOKE_ACTION, resource):
            return None
        return failed_to_start(denial(role, _INVOKE_ACTION, resource), "AccessDeniedException")

    def _role_of_parent(self, parent_execution_arn: str) -> str:
        name = self._store.load(parent_execution_arn).start_input.function_name
        parent = self._functions.find(FunctionReference(name, None))
        # A parent that is no longer deployed has no role, and so no permission.
        return parent.role if parent else "none"


class LocalExecutor(Executor):
    """The SDK's executor, with the times of invocations, continuing what an earlier process began.

    The SDK's keeps timers, completion events and dispatched invokes in memory only, so `recover`
    re-creates them from the store. It does so with the executor's private methods, as they are in
    version 1.4.0 of the testing SDK; the unit tests fail if a new version changes them.

    What was under way is repeated: a handler or a stage may run twice, as on AWS. The checkpoint
    token of the invocation that was under way is stale from here on and is refused.
    """

    # A failed handler invocation is repeated after this long; the SDK's default of 5 seconds
    # is the pace of a service, not of a person who waits.
    RETRY_BACKOFF_SECONDS = 1

    def get_execution_history(
        self, execution_arn: str, *page: Any, **options: Any
    ) -> GetDurableExecutionHistoryResponse:
        """Return a page of the history; the parameters are the SDK's.

        The SDK's executor knows when each invocation ran, and drops it from the events.
        """
        history = super().get_execution_history(execution_arn, *page, **options)
        completions = self.get_execution(execution_arn).invocation_completions
        by_end = {completion.end_timestamp: completion for completion in completions}
        return replace(history, events=[_timed(event, by_end) for event in history.events])

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
        log.info("continuing %s of %s", arn, execution.start_input.function_name)
        self._completion_events[arn] = self._scheduler.create_event()
        self._rearm_execution_timeout(execution)
        for operation in execution.operations:
            if operation.status is OperationStatus.STARTED:
                self._continue_operation(execution, operation)
        # Waits and step retries share one timer.
        self._schedule_earliest_pending(arn)
        self._invoke_execution(arn)

    def _rearm_execution_timeout(self, execution: Execution) -> None:
        arn = execution.durable_execution_arn
        allowed = execution.start_input.execution_timeout_seconds
        if allowed <= 0:
            return
        started = execution.get_operation_execution_started().start_timestamp
        error = ErrorObject.from_message(f"Execution timed out after {allowed} seconds.")
        self._execution_timeouts[arn] = self._scheduler.call_later(
            lambda: self.on_timed_out(arn, error),
            delay=self._seconds_left(started, allowed),
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


def _timed(event: Event, by_end: Mapping[datetime, InvocationCompletedDetails]) -> Event:
    if event.event_type != "InvocationCompleted":
        return event
    # An execution has one invocation at a time, so no two end at once.
    return replace(event, invocation_completed_details=by_end[event.event_timestamp])


class LocalWebServer(WebServer):
    """The SDK's server, with room for a burst of connections."""

    request_queue_size = 128


def main() -> None:
    """Run as the runner process; the supervisor starts it."""
    logging.basicConfig(
        level=logging.WARNING,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    logging.getLogger("localcloud").setLevel(logging.INFO)
    serve(Settings.from_environment(os.environ))


def serve(settings: Settings) -> None:
    """Serve the durable execution API until the process ends."""
    store = SQLiteExecutionStore.create_and_initialize(settings.executions_file)
    # An open connection keeps the write-ahead log from being folded in after every write.
    with contextlib.closing(_keep_open(settings)):
        scheduler = Scheduler()
        executor = _executor(settings, store, scheduler)
        scheduler.start()  # type: ignore[no-untyped-call]  # the SDK left it unannotated
        config = WebServiceConfig(
            host=HOST,
            port=settings.runner_port,
            log_level=logging.WARNING,
            max_request_size=_MAX_REQUEST_BYTES,
        )
        with LocalWebServer(config, executor) as server:
            server.RequestHandlerClass = guard.handler(settings, RequestHandler)
            recovered = executor.recover()
            log.info("serving on port %d, %d continued", settings.runner_port, len(recovered))
            server.serve_forever()


def _executor(
    settings: Settings, store: SQLiteExecutionStore, scheduler: Scheduler
) -> LocalExecutor:
    clock = RealClock()
    options = settings.root_client_options()
    functions = FunctionDirectory(boto3.client("lambda", **options))
    permissions = Permissions(boto3.client("iam", **options))
    invoker = TwinInvoker(settings, functions)
    processor = CheckpointProcessor(store, scheduler, clock=clock)
    executor = LocalExecutor(
        store=store,
        scheduler=scheduler,
        invoker=invoker,
        checkpoint_processor=processor,
        invocation_timeout_seconds=_INVOCATION_SECONDS,
        registry=ExecutionRegistry(store, scheduler),
        clock=clock,
        child_dispatcher=LiveChildDispatcher(invoker, store, functions, permissions),
        region=settings.region,
    )
    processor.add_execution_observer(executor)
    durable_quotas.enforce(executor, processor)
    return executor


def _keep_open(settings: Settings) -> sqlite3.Connection:
    connection = sqlite3.connect(settings.executions_file, timeout=30.0)
    # The gateway finds executions by their names.
    connection.execute(
        "CREATE INDEX IF NOT EXISTS localcloud_execution_name ON executions(execution_name)"
    )
    connection.commit()
    return connection


def _when_available(action: Callable[[], _T]) -> _T:
    """Return the action's result; repeat it while ministack does not answer at all."""
    give_up_at = time.monotonic() + _UNAVAILABLE_SECONDS
    while True:
        try:
            return action()
        except _UNREACHABLE:
            if time.monotonic() > give_up_at:
                raise
        time.sleep(_UNAVAILABLE_PAUSE_SECONDS)


def _invoke_when_available(run: RunInvocation) -> ChildOutcome:
    """Run one invocation of a plain target, again if ministack went away meanwhile."""
    give_up_at = time.monotonic() + _UNAVAILABLE_SECONDS
    while True:
        outcome = run.invocation()
        if not _never_answered(outcome) or time.monotonic() > give_up_at:
            return _as_lambda_reports(outcome)
        time.sleep(_UNAVAILABLE_PAUSE_SECONDS)


def _never_answered(outcome: ChildOutcome) -> bool:
    """Tell a broken connection, which the SDK reports without a type, from a function's error."""
    error = outcome.error
    return bool(
        error
        and error.type is None
        and error.message
        and error.message.startswith("Failed to invoke ")
    )


def _as_lambda_reports(outcome: ChildOutcome) -> ChildOutcome:
    """Give the end of a worker process the type and words that Lambda has for it."""
    error = outcome.error
    if error is None or error.message != _WORKER_DIED:
        return outcome
    message = f"RequestId: {uuid.uuid4()} Error: Runtime exited with error: signal: killed"
    return ChildOutcome(
        error=ErrorObject(message=message, type="Runtime.ExitError", data=None, stack_trace=None)
    )


if __name__ == "__main__":
    main()
