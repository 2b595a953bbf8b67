"""The Lambda endpoint of the local cloud, which ties ministack and the runner together.

An invoke of a durable function starts an execution in the runner; the durable execution API
goes to the runner too, after a look at the role's permissions; everything else is ministack's.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
import uuid
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlencode
from weakref import WeakValueDictionary

import aiohttp
from aiohttp import web
from botocore.exceptions import BotoCoreError, ClientError

from localcloud import aws, quotas, runner_client
from localcloud.aws_errors import AwsError
from localcloud.executions import (
    SUCCEEDED,
    CompletionWatcher,
    ExecutionRecord,
    ExecutionRecords,
    error_document,
)
from localcloud.forwarding import forward
from localcloud.functions import (
    Function,
    FunctionDirectory,
    FunctionReference,
    parse_reference,
    unqualified_durable,
)
from localcloud.permissions import Permissions, denial
from localcloud.runner_client import Runner
from localcloud.settings import HOST, Settings, from_process_environment
from localcloud.unattended import (
    DeadLetters,
    UnattendedExecution,
    UnattendedExecutions,
    is_asynchronous,
    name_of_event,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_MAX_BODY_BYTES = 50 * 1024 * 1024
_GUARDED = {
    "checkpoint": "lambda:CheckpointDurableExecution",
    "state": "lambda:GetDurableExecutionState",
}


class Gateway:
    """Decides who answers a request."""

    def __init__(self, settings: Settings, http: aiohttp.ClientSession) -> None:
        self._ministack = settings.aws_endpoint_url
        self._runner = Runner(settings, http)
        self._http = http
        self._functions = FunctionDirectory(aws.lambda_client(settings))
        self._permissions = Permissions(aws.iam_client(settings))
        self._records = ExecutionRecords(settings.executions_file)
        self._watcher = CompletionWatcher(self._records)
        self._unattended = UnattendedExecutions(
            settings.directory / "gateway",
            self._watcher,
            DeadLetters(aws.sqs_client(settings), self._permissions, self._runner),
        )
        # A lock lives for as long as somebody holds it or waits for it.
        self._name_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def take_up(self) -> None:
        """Go on with what an earlier gateway had begun to look after."""
        self._unattended.take_up()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer any request."""
        try:
            return await self._route(request)
        except AwsError as error:
            return error.response()
        except (aiohttp.ClientError, BotoCoreError, ClientError) as error:
            message = f"A part of the local cloud does not answer; it may be restarting: {error}"
            return AwsError(503, "ServiceException", message).response()

    async def _route(self, request: web.Request) -> web.StreamResponse:
        match [unquote(part) for part in _path(request).split("/")[1:]]:
            case ["_localcloud", "health"]:
                return web.json_response({"status": "ok"})
            case ["_localcloud", "functions", name, "trigger"]:
                return await self._trigger(request, name)
            case ["2015-03-31", "functions", name, "invocations"] if request.method == "POST":
                return await self._invoke(request, name)
            case ["2025-12-01", "durable-executions", arn, operation] if operation in _GUARDED:
                await self._authorise(arn, _GUARDED[operation])
                return await self._runner.forward(request)
            case ["2025-12-01", "functions", name, "durable-executions"]:
                return await self._list_executions(request, name)
            case ["2025-12-01", *_]:
                return await self._runner.forward(request)
        return await forward(self._http, self._ministack, request)

    async def _invoke(self, request: web.Request, name: str) -> web.StreamResponse:
        reference = parse_reference(name, request.query.get("Qualifier"))
        function = await self._find(reference) if reference else None
        kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        if reference is None or function is None or function.durable is None:
            _require_small(await request.read(), kind)
            return await forward(self._http, self._ministack, request)
        if reference.qualifier is None:
            raise AwsError(
                400, "InvalidParameterValueException", unqualified_durable(function.name)
            )
        if kind == "DryRun":
            return web.Response(status=204)
        payload = _checked_input(await request.read(), kind)
        execution_name = _checked_name(request.headers.get("X-Amz-Durable-Execution-Name"))
        arn = await self._start(function, payload, execution_name)
        headers = {
            "X-Amz-Durable-Execution-Arn": arn,
            "X-Amz-Executed-Version": function.version,
        }
        if kind == "Event":
            self._leave_unattended(function, arn, payload)
            return web.Response(status=202, headers=headers)
        return await self._answer_when_done(arn, headers)

    async def _answer_when_done(self, arn: str, headers: dict[str, str]) -> web.Response:
        status = await self._watcher.wait(arn)
        execution = await self._runner.get_execution(arn)
        if status == SUCCEEDED:
            text = execution.get("Result") or "null"
        else:
            text = json.dumps(error_document(execution, status))
            headers = {**headers, "X-Amz-Function-Error": "Unhandled"}
        return web.Response(text=text, content_type="application/json", headers=headers)

    async def _trigger(self, request: web.Request, name: str) -> web.Response:
        qualifier = request.headers.get("X-Amzn-Lambda-Function-Version", "$LATEST")
        function = await self._find(FunctionReference(name, qualifier))
        if function is None:
            raise AwsError(404, "ResourceNotFoundException", f"Function not found: {name}")
        payload = (await request.read()).decode()
        if is_asynchronous(payload):
            # ministack repeats it if the gateway ends before it has answered: started once only.
            arn = await self._start(function, payload, name_of_event(function.name, payload))
            self._leave_unattended(function, arn, payload)
            return web.json_response(None)
        arn = await self._start(function, payload, None)
        status = await self._watcher.wait(arn)
        execution = await self._runner.get_execution(arn)
        if status == SUCCEEDED:
            return web.Response(
                text=execution.get("Result") or "null", content_type="application/json"
            )
        # ministack takes any answer but success for a function error, and logs its beginning.
        error = {"durableExecutionArn": arn, **error_document(execution, status)}
        return web.json_response(error, status=502)

    def _leave_unattended(self, function: Function, arn: str, event: str) -> None:
        queue = function.durable.dead_letter_queue if function.durable else None
        if queue:
            self._unattended.watch(UnattendedExecution(arn, event, function.role, queue))

    async def _start(self, function: Function, payload: str, execution_name: str | None) -> str:
        """Start an execution and return its ARN, or that of the one with this name and input."""
        if execution_name is None:
            return await self._start_new(function, payload, str(uuid.uuid4()))
        key = f"{function.name}/{execution_name}"
        async with self._name_locks.setdefault(key, asyncio.Lock()):
            existing = self._records.find_named(function.name, execution_name)
            if existing is None:
                return await self._start_new(function, payload, execution_name)
        _require_same_input(existing, payload)
        return existing.arn

    async def _start_new(self, function: Function, payload: str, execution_name: str) -> str:
        give_up_at = time.monotonic() + runner_client.AWAY_SECONDS
        while True:
            try:
                return await self._runner.start(function, payload, execution_name)
            except runner_client.AWAY:
                # The runner may have ended after it recorded the execution and before it said so.
                recorded = self._records.find_named(function.name, execution_name)
                if recorded:
                    return recorded.arn
                if time.monotonic() > give_up_at:
                    raise
            await asyncio.sleep(runner_client.PAUSE_SECONDS)

    async def _authorise(self, arn: str, action: str) -> None:
        """Refuse what the role of the execution's function may not do."""
        record = self._records.find(arn)
        if record is None:
            return  # the runner says that there is none
        name = record.function_name
        function = await self._find(FunctionReference(name, record.qualifier))
        # A version may be deleted while executions of it run; the role is the function's.
        function = function or await self._find(FunctionReference(name, None))
        if function is None:
            raise AwsError(404, "ResourceNotFoundException", f"Function not found: {name}")
        resource = (
            f"{function.arn}:{function.version}/durable-execution/"
            f"{record.execution_name}/{arn.rpartition('/')[2]}"
        )
        allowed = await asyncio.to_thread(self._permissions.allows, function.role, action, resource)
        if not allowed:
            raise AwsError(403, "AccessDeniedException", denial(function.role, action, resource))

    async def _list_executions(self, request: web.Request, name: str) -> web.StreamResponse:
        """List by the bare name, which is all that the runner knows of a function."""
        reference = parse_reference(name)
        if reference is None or await self._find(FunctionReference(reference.name, None)) is None:
            raise AwsError(404, "ResourceNotFoundException", f"Function not found: {name}")
        query = parse_qsl(request.raw_path.partition("?")[2])
        renamed = [
            ("StatusFilter" if key == "Statuses" else key, value)
            for key, value in query
            if key != "Qualifier"
        ]
        path = f"/2025-12-01/functions/{quote(reference.name)}/durable-executions"
        return await self._runner.forward(request, f"{path}?{urlencode(renamed)}")

    async def _find(self, reference: FunctionReference) -> Function | None:
        return await asyncio.to_thread(self._functions.find, reference)


_GATEWAY = web.AppKey("gateway", Gateway)


def application(settings: Settings) -> web.Application:
    """Return the gateway as an aiohttp application."""
    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    app.router.add_route("*", "/{path:.*}", _handle)

    async def life(app: web.Application) -> AsyncIterator[None]:
        # Invocations last as long as their functions; only connecting has a limit.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(
            timeout=timeout, connector=connector, auto_decompress=False
        ) as http:
            app[_GATEWAY] = gateway = Gateway(settings, http)
            gateway.take_up()
            yield

    app.cleanup_ctx.append(life)
    return app


async def _handle(request: web.Request) -> web.StreamResponse:
    return await request.app[_GATEWAY].handle(request)


def main() -> None:
    """Run as the gateway process; the supervisor starts it."""
    logging.basicConfig(
        level=logging.WARNING,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    settings = from_process_environment()
    web.run_app(
        application(settings),
        host=HOST,
        port=settings.lambda_port,
        access_log=None,
        print=None,
        # Whoever waits for an execution would hold up the end of the gateway for as long.
        shutdown_timeout=0,
    )


def _path(request: web.Request) -> str:
    return request.raw_path.partition("?")[0]


def _checked_input(body: bytes, kind: str) -> str:
    if kind not in quotas.MAX_INPUT_BYTES:
        message = f"X-Amz-Invocation-Type {kind} must be RequestResponse, Event or DryRun."
        raise AwsError(400, "InvalidParameterValueException", message)
    _require_small(body, kind)
    try:
        text = body.decode() or "{}"
        json.loads(text)
    except ValueError as error:
        message = f"Could not parse request body into json: {error}"
        raise AwsError(400, "InvalidRequestContentException", message) from error
    return text


def _require_small(body: bytes, kind: str) -> None:
    limit = quotas.MAX_INPUT_BYTES.get(kind)
    if limit is not None and len(body) > limit:
        message = f"{len(body)} byte payload is too large for the {kind} invocation type "
        raise AwsError(413, "RequestTooLargeException", f"{message}(limit {limit} bytes)")


def _checked_name(name: str | None) -> str | None:
    if name is not None and not quotas.EXECUTION_NAME.fullmatch(name):
        message = f"Durable execution name {name!r} must match {quotas.EXECUTION_NAME.pattern}."
        raise AwsError(400, "InvalidParameterValueException", message)
    return name


def _require_same_input(existing: ExecutionRecord, payload: str) -> None:
    if json.loads(existing.input) != json.loads(payload):
        message = (
            f"A durable execution named {existing.execution_name} already exists with a different "
            "input."
        )
        raise AwsError(409, "DurableExecutionAlreadyStartedException", message)


if __name__ == "__main__":
    main()
