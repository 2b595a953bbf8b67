"""The durable execution service of the local cloud.

It is AWS's own service from their testing SDK, composed from the SDK's public classes. What it does
beyond is in `executor`, `durable_quotas` and `operations`, but for two things that are here: the
errors of handlers are Lambda's, and chained invokes need the permission of the parent's role.
"""

from __future__ import annotations

import base64
import functools
import json
import logging
import os
import re
import sqlite3
import sys
import threading
import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
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
    StartChild,
    failed_to_start,
)
from aws_durable_execution_sdk_python_testing.clock import RealClock
from aws_durable_execution_sdk_python_testing.exceptions import (
    AwsApiException,
    DurableFunctionsTestError,
    InvalidParameterValueException,
    ServiceException,
)
from aws_durable_execution_sdk_python_testing.invoker import (
    InvokeResponse,
    LambdaInvoker,
    create_lambda_client,
    read_timeout_for,
)
from aws_durable_execution_sdk_python_testing.scheduler import Scheduler
from aws_durable_execution_sdk_python_testing.web.models import HTTPResponse
from aws_durable_execution_sdk_python_testing.web.server import (
    RequestHandler,
    WebServer,
    WebServiceConfig,
)
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
)

from localcloud import durable_quotas, guard
from localcloud.executor import FailedInvocation, LocalExecutor, LocalRegistry
from localcloud.functions import (
    FunctionDirectory,
    FunctionReference,
    Permissions,
    denial,
    unqualified_durable,
)
from localcloud.journal import Journal
from localcloud.operations import OPERATIONS, OPERATIONS_PATH
from localcloud.paging import MarkerError
from localcloud.settings import HOST, Settings
from localcloud.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
# What the SDK's store, and the journal, raise when their file cannot be read or written.
_UNREADABLE = (RuntimeError, ValueError, sqlite3.Error)
_INVOKE_ACTION = "lambda:InvokeFunction"
_INVALID_PARAMETER = "InvalidParameterValueException"
# AWS's runner's words for an invocation that a function has answered with an error.
_FUNCTION_ERROR = re.compile(r"Lambda invocation failed with status \d+: (?P<error>.*)", re.DOTALL)
# At the end of a log, which is all that there is of a long one.
_REQUEST_ID = re.compile(r"^REPORT RequestId: (\S+)", re.MULTILINE)
_FORGET_EVERY_SECONDS = 5.0
_EXPIRED_EVERY_SECONDS = 3600.0
# Of executions, on a laptop's disk.
_MOST_BYTES = 1024**3
# Who asks for a log does so, most of the time, as soon as its execution has ended.
_MAX_TAILS = 200


class HandlerInvoker(LambdaInvoker):
    """Invokes handlers in ministack, of the version with which an execution has started.

    Keeps what came of the last invocation of an execution: its log, and its error if it failed.
    """

    def __init__(self, settings: Settings) -> None:
        read_timeout = read_timeout_for(_INVOCATION_SECONDS)
        client = create_lambda_client(settings.aws_endpoint_url, settings.region, read_timeout)
        super().__init__(
            client,
            read_timeout_seconds=read_timeout,
            endpoint_url=settings.aws_endpoint_url,
            region_name=settings.region,
        )
        client.meta.events.register("provide-client-params.lambda.Invoke", _ask_for_log)
        client.meta.events.register("after-call.lambda.Invoke", self._note_log)
        self._log = threading.local()
        self._failures: dict[str, FailedInvocation] = {}
        self._tails: OrderedDict[str, str] = OrderedDict()

    def invoke(
        self,
        function_name: str,
        input: DurableExecutionInvocationInput,  # noqa: A002 - the SDK's name
        endpoint_url: str | None = None,  # noqa: ARG002 - the SDK's signature
        tenant_id: str | None = None,
        account_id: str | None = None,  # noqa: ARG002 - the SDK's
        region_name: str | None = None,  # noqa: ARG002 - the SDK's
    ) -> InvokeResponse:
        """Run one invocation of the handler; wait for ministack if it is being restarted."""
        return _when_available(lambda: self._invoke_once(function_name, input, tenant_id))

    def inherit_endpoint(self, child_execution_arn: str, parent_execution_arn: str) -> None:
        """Do nothing: there is one endpoint, and the SDK would keep a note of each execution."""

    def _pinned_endpoint(self, durable_execution_arn: str) -> tuple[str, str]:  # noqa: ARG002 - the SDK's
        return self._current

    def failure_of(self, arn: str) -> FailedInvocation | None:
        """Tell once why the last invocation of an execution has failed, if the function has."""
        return self._failures.pop(arn, None)

    def log_tail_of(self, arn: str) -> str:
        """Tell the end of the log of an execution's last invocation, in Base64, if it is kept."""
        return self._tails.get(arn, "")

    def _invoke_once(
        self, function_name: str, invocation: DurableExecutionInvocationInput, tenant_id: str | None
    ) -> InvokeResponse:
        arn = invocation.durable_execution_arn
        started = datetime.now(UTC)
        self._log.tail = ""
        try:
            response = super().invoke(function_name, invocation, tenant_id=tenant_id)
        except DurableFunctionsTestError as error:
            if isinstance(error.__cause__, EndpointConnectionError):
                # Nothing listened: no invocation happened, so none has failed.
                raise error.__cause__ from error
            failed = _error_of_function(str(error))
            if failed:
                request_id = self._request_id() or str(uuid.uuid4())
                self._failures[arn] = FailedInvocation(
                    failed, request_id, started, datetime.now(UTC)
                )
            raise
        finally:
            self._keep_tail(arn)
        return replace(response, request_id=self._request_id() or response.request_id)

    def _note_log(self, parsed: Mapping[str, Any], **_: Any) -> None:
        self._log.tail = parsed.get("LogResult", "")

    def _request_id(self) -> str:
        """The id by which the handler and its log know the invocation."""
        log = base64.b64decode(self._log.tail).decode(errors="replace")
        found = _REQUEST_ID.search(log)
        return found[1] if found else ""

    def _keep_tail(self, arn: str) -> None:
        self._tails.pop(arn, None)
        self._tails[arn] = self._log.tail
        while len(self._tails) > _MAX_TAILS:
            self._tails.popitem(last=False)


def _ask_for_log(params: dict[str, Any], **_: Any) -> dict[str, Any]:
    return {**params, "LogType": "Tail"}


def _error_of_function(message: str) -> ErrorObject | None:
    """Return the error that a function has answered, out of the SDK's words for it."""
    match = _FUNCTION_ERROR.search(message)
    try:
        error = json.loads(match["error"]) if match else None
    except ValueError:
        return None
    if not isinstance(error, dict):
        return None
    return ErrorObject(
        message=error.get("errorMessage"),
        type=error.get("errorType"),
        data=None,
        stack_trace=error.get("stackTrace") or None,
    )


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
        store: Store,
        functions: FunctionDirectory,
        permissions: Permissions,
        journal: Journal,
    ) -> None:
        configs = LiveFunctionConfigs(by_name={}, functions=functions)
        super().__init__(configs, invoker.unmarked_client_for, _INVOCATION_SECONDS)
        self._store = store
        self._functions = functions
        self._permissions = permissions
        self._journal = journal

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
        if refusal:
            return refusal
        result = super().dispatch(request)
        target = self._functions.find(FunctionReference(request.function_name, request.qualifier))
        if target is None:
            return result
        if isinstance(result, StartChild):
            # The child stays with the version that the alias stands for now.
            return StartChild(replace(result.child_start, function_qualifier=target.version))
        if request.qualifier not in (None, target.version):
            self._journal.note_version(
                request.parent_execution_arn, request.operation_id, target.version
            )
        return result

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


class OperationsHandler(RequestHandler):
    """Answers the gateway's questions (see `operations`); the SDK's requests as the SDK does."""

    # The gateway keeps its connections. Head and body go out together, at the end of a request.
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def _handle_request(self, method: str) -> None:
        folder, _, name = self.path.rpartition("/")
        if folder != OPERATIONS_PATH:
            super()._handle_request(method)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            document = OPERATIONS[name](self._executor(), json.loads(body))
        except AwsApiException as error:
            self._refuse_as(error)
        except MarkerError as error:
            self._refuse_as(InvalidParameterValueException(str(error)))
        except _UNREADABLE as error:
            # Without an answer, the gateway would take the runner for being away.
            log.exception("%s failed", name)
            self._refuse_as(ServiceException(str(error)))
        else:
            self._send_response(HTTPResponse.create_json(200, document))

    def _send_response(self, response: HTTPResponse) -> None:
        """Send an answer, with its length: the SDK's ends with the connection."""
        body = response.body_to_bytes() if response.body else b""
        self.send_response(response.status_code)
        for name, value in {**response.headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _refuse_as(self, error: AwsApiException) -> None:
        self._send_response(HTTPResponse.create_error_from_exception(error))

    def _executor(self) -> LocalExecutor:
        executor: Any = self.executor  # the SDK's type says less than what this server has
        found: LocalExecutor = executor
        return found


class LocalWebServer(WebServer):
    """The SDK's server behind the guard, with operations of ours, room for many connections."""

    request_queue_size = 128

    def __init__(self, settings: Settings, executor: LocalExecutor) -> None:
        config = WebServiceConfig(host=HOST, port=settings.runner_port, log_level=logging.WARNING)
        super().__init__(config, executor)
        self.RequestHandlerClass = guard.handler(settings, OperationsHandler)


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
    store = Store(settings.executions_file)
    scheduler = Scheduler()
    executor = _executor(settings, store, scheduler)
    scheduler.start()
    with LocalWebServer(settings, executor) as server:
        recovered = executor.recover()
        log.info("serving on port %d, %d continued", settings.runner_port, len(recovered))
        forget = functools.partial(_forget_for_ever, executor.journal, settings.most_executions)
        threading.Thread(target=forget, daemon=True).start()
        server.serve_forever()


def _forget_for_ever(journal: Journal, most: int) -> None:
    """Delete executions whose retention is over, or that are more than a laptop has room for."""
    look_for_expired_at = time.monotonic()
    while True:
        try:
            if time.monotonic() >= look_for_expired_at:
                # It reads all of an execution, so it is not done often.
                journal.forget_expired(datetime.now(UTC))
                look_for_expired_at += _EXPIRED_EVERY_SECONDS
            journal.forget_old(most, _MOST_BYTES)
        except sqlite3.Error:
            log.exception("old executions are not deleted, until the next time")
        time.sleep(_FORGET_EVERY_SECONDS)


def _executor(settings: Settings, store: Store, scheduler: Scheduler) -> LocalExecutor:
    clock = RealClock()
    options = settings.root_client_options()
    functions = FunctionDirectory(boto3.client("lambda", **options))
    permissions = Permissions(boto3.client("iam", **options))
    journal = Journal(store)
    invoker = HandlerInvoker(settings)
    processor = CheckpointProcessor(store, scheduler, clock=clock)
    executor = LocalExecutor(
        journal=journal,
        failure_of=invoker.failure_of,
        log_tail_of=invoker.log_tail_of,
        store=store,
        scheduler=scheduler,
        invoker=invoker,
        checkpoint_processor=processor,
        invocation_timeout_seconds=_INVOCATION_SECONDS,
        registry=LocalRegistry(store, scheduler),
        clock=clock,
        child_dispatcher=LiveChildDispatcher(invoker, store, functions, permissions, journal),
        region=settings.region,
    )
    processor.add_execution_observer(executor)
    durable_quotas.enforce(executor, processor, executor.too_large)
    return executor


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
            return outcome
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


if __name__ == "__main__":
    main()
