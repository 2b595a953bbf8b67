"""The durable execution service of the local cloud.

It is AWS's own service from their testing SDK, composed from the SDK's public classes, with
four differences: handlers are invoked through their twins, chained invokes need the parent
role's permission, executions are held to AWS's quotas (see `durable_quotas`), and those that run
survive a restart (see `recovery`).
"""

from __future__ import annotations

import contextlib
import functools
import logging
import sqlite3
import sys
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from aws_durable_execution_sdk_python.lambda_service import ErrorObject
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
from aws_durable_execution_sdk_python_testing.invoker import (
    InvokeResponse,
    LambdaInvoker,
    create_lambda_client,
    read_timeout_for,
)
from aws_durable_execution_sdk_python_testing.scheduler import Scheduler
from aws_durable_execution_sdk_python_testing.stores.sqlite import SQLiteExecutionStore
from aws_durable_execution_sdk_python_testing.web.server import WebServer, WebServiceConfig
from aws_durable_execution_sdk_python_testing.worker.registry import ExecutionRegistry
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
)

from localcloud import aws, durable_quotas
from localcloud.functions import (
    FunctionDirectory,
    FunctionReference,
    parse_reference,
    unqualified_durable,
)
from localcloud.histories import TimedExecutor
from localcloud.permissions import Permissions, denial
from localcloud.settings import HOST, Settings, from_process_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_durable_execution_sdk_python.execution import DurableExecutionInvocationInput

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
    serve(from_process_environment())


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
            recovered = executor.recover()
            log.info("serving on port %d, %d continued", settings.runner_port, len(recovered))
            server.serve_forever()


def _executor(
    settings: Settings, store: SQLiteExecutionStore, scheduler: Scheduler
) -> TimedExecutor:
    clock = RealClock()
    functions = FunctionDirectory(aws.lambda_client(settings))
    permissions = Permissions(aws.iam_client(settings))
    invoker = TwinInvoker(settings, functions)
    processor = CheckpointProcessor(store, scheduler, clock=clock)
    executor = TimedExecutor(
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
