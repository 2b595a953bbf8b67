"""The Lambda endpoint of the local cloud, which ties ministack and the runner together.

An invoke of a durable function starts an execution in the runner; the durable API is the runner's,
too, but for the list of executions, which the gateway reads from the runner's file; everything else
is ministack's.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import os
import sqlite3
import sys
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from weakref import WeakValueDictionary

import aiohttp
import boto3
from aiohttp import web
from botocore.exceptions import BotoCoreError, ClientError
from yarl import URL

from localcloud import guard, paging, quotas
from localcloud.api_model import Call, DurableApi, ParameterError
from localcloud.async_dead_letters import (
    AsyncDeadLetters,
    AsyncExecution,
    is_asynchronous,
    name_of_event,
)
from localcloud.executions import (
    SUCCEEDED,
    ExecutionError,
    ExecutionRecord,
    Executions,
    error_document,
)
from localcloud.functions import (
    DurableConfiguration,
    Function,
    FunctionDirectory,
    FunctionReference,
    Permissions,
    denial,
    execution_arn,
    parse_reference,
    refused_reference,
    unqualified_durable,
)
from localcloud.settings import HOST, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_MAX_BODY_BYTES = 50 * 1024 * 1024
# Less than the five seconds after which ministack closes a connection that nobody uses.
_KEPT_SECONDS = 2.0
_CHECKPOINT = "CheckpointDurableExecution"
_STATE = "GetDurableExecutionState"
_LIST = "ListDurableExecutionsByFunction"
_ASYNCHRONOUS = "Event"
_INVALID = "InvalidParameterValueException"
_HOP_BY_HOP = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te"),
    *("trailer", "transfer-encoding", "upgrade", "expect", "content-length"),
}
_NO_HEADERS_OF_ITS_OWN = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class AwsError(Exception):
    """An answer in the shape in which Lambda reports an error."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type

    def response(self) -> web.Response:
        """Return the HTTP response that boto3 turns into this error."""
        return web.json_response(
            {"Type": "User", "Message": str(self), "message": str(self)},
            status=self.status,
            headers={"x-amzn-ErrorType": self.error_type},
        )


class Gateway:
    """Decides who answers a request."""

    def __init__(self, settings: Settings, http: aiohttp.ClientSession) -> None:
        options = settings.root_client_options()
        self._ministack_url = settings.aws_endpoint_url
        self._runner_url = settings.runner_endpoint_url
        self._http = http
        self._region = settings.region
        client = boto3.client("lambda", **options)
        self._api = DurableApi(client.meta.service_model)
        self._functions = FunctionDirectory(client)
        self._permissions = Permissions(boto3.client("iam", **options))
        self._executions = Executions(settings, http)
        self._dead_letters = AsyncDeadLetters(
            settings.directory / "gateway",
            self._executions,
            boto3.client("sqs", **options),
            self._permissions,
        )
        # A lock lives for as long as somebody holds it or waits for it.
        self._name_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        # The runner does all operations that are not here.
        self._operations = {
            _CHECKPOINT: self._forward_authorised,
            _STATE: self._forward_authorised,
            _LIST: self._list_executions,
        }

    def take_up(self) -> None:
        """Go on with what an earlier gateway had begun to look after."""
        self._dead_letters.take_up()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer any request."""
        try:
            return await self._route(request)
        except AwsError as error:
            return error.response()
        except ExecutionError as error:
            return AwsError(error.status, error.error_type, str(error)).response()
        except (ParameterError, paging.MarkerError) as error:
            return AwsError(400, _INVALID, str(error)).response()
        except (aiohttp.ClientError, BotoCoreError, ClientError, sqlite3.Error) as error:
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
        call = self._api.recognise(request.method, _path(request))
        if call:
            return await self._operations.get(call.operation, self._ask_runner)(request, call)
        return await _forward(self._http, self._ministack_url, request)

    async def _invoke(self, request: web.Request, name: str) -> web.StreamResponse:
        reference = self._reference(name, request.query.get("Qualifier"))
        function = await self._find(reference) if reference else None
        kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        if reference is None or function is None or function.durable is None:
            _require_small(await request.read(), kind)
            return await _forward(self._http, self._ministack_url, request)
        if reference.qualifier is None:
            raise AwsError(400, _INVALID, unqualified_durable(function.name))
        if kind == "DryRun":
            return web.Response(status=204, headers={"X-Amz-Executed-Version": function.version})
        payload = _checked_input(await request.read(), kind)
        if kind != _ASYNCHRONOUS:
            _require_short(function.durable)
        execution_name = _checked_name(request.headers.get("X-Amz-Durable-Execution-Name"))
        arn = await self._start(
            function,
            function.durable,
            payload,
            execution_name,
            asynchronous=kind == _ASYNCHRONOUS,
        )
        headers = {
            "X-Amz-Durable-Execution-Arn": arn,
            "X-Amz-Executed-Version": function.version,
        }
        if kind == _ASYNCHRONOUS:
            return web.Response(status=202, headers=headers)
        result, error = await self._result(arn)
        if error:
            headers["X-Amz-Function-Error"] = "Unhandled"
        if request.headers.get("X-Amz-Log-Type") == "Tail":
            log = await self._executions.ask("GetLogResult", {"DurableExecutionArn": arn})
            headers["X-Amz-Log-Result"] = log["LogResult"]
        text = json.dumps(error) if error else result
        return web.Response(text=text, content_type="application/json", headers=headers)

    async def _trigger(self, request: web.Request, name: str) -> web.Response:
        """Answer ministack, which passes on every event of a durable function."""
        qualifier = request.headers.get("X-Amzn-Lambda-Function-Version", "$LATEST")
        function = await self._find(FunctionReference(name, qualifier))
        if function is None or function.durable is None:
            raise AwsError(404, "ResourceNotFoundException", f"Function not found: {name}")
        payload = _json_text(await request.read())
        if is_asynchronous(payload):
            # ministack repeats it if the gateway ends before it has answered: started once only.
            unique = name_of_event(function.name, payload)
            await self._start(function, function.durable, payload, unique, asynchronous=True)
            return web.json_response(None)
        _require_short(function.durable)
        arn = await self._start(function, function.durable, payload, None, asynchronous=False)
        result, error = await self._result(arn)
        if error:
            # ministack takes any answer but success for a function error, and logs its beginning.
            return web.json_response({"durableExecutionArn": arn, **error}, status=502)
        return web.Response(text=result, content_type="application/json")

    async def _result(self, arn: str) -> tuple[str, dict[str, Any] | None]:
        """Wait for the end of an execution; return its result (JSON) and its error, if any."""
        status = await self._executions.wait(arn)
        execution = await self._executions.describe(arn)
        error = None if status == SUCCEEDED else error_document(execution, status)
        return execution.get("Result") or "null", error

    async def _start(
        self,
        function: Function,
        durable: DurableConfiguration,
        payload: str,
        name: str | None,
        *,
        asynchronous: bool,
    ) -> str:
        """Start an execution and return its ARN, or that of the one with this name and input."""
        begin = functools.partial(
            self._begin, function, durable, payload, asynchronous=asynchronous
        )
        if name is None:
            return await begin(str(uuid.uuid4()))
        async with self._name_locks.setdefault(f"{function.name}/{name}", asyncio.Lock()):
            existing = self._executions.find_named(function.name, name)
            if existing is None:
                return await begin(name)
        _require_same_input(existing, payload)
        return existing.arn

    async def _begin(
        self,
        function: Function,
        durable: DurableConfiguration,
        payload: str,
        name: str,
        *,
        asynchronous: bool,
    ) -> str:
        """Start an execution, and look after it if its event may become a dead letter."""
        arn = execution_arn(f"{function.arn}:{function.version}", name, str(uuid.uuid4()))
        start = functools.partial(
            self._executions.start, function, durable, payload, arn, asynchronous=asynchronous
        )
        queue = durable.dead_letter_queue
        if not (asynchronous and queue):
            return await start()
        return await self._dead_letters.watch(
            AsyncExecution(arn, payload, function.role, queue), start
        )

    async def _forward_authorised(self, request: web.Request, call: Call) -> web.Response:
        """Have the runner answer what a handler asks, if the role of its function may."""
        self._api.parameters(call, _query(request), await request.read())
        arn = call.path_parameters["DurableExecutionArn"]
        record = self._executions.find(arn)
        if record is None:
            raise AwsError(400, _INVALID, f"There is no durable execution {arn}.")
        await self._authorise(record, f"lambda:{call.operation}")
        answer = await _forward(self._http, self._runner_url, request)
        if answer.status >= 400 and isinstance(answer.body, bytes):
            answer.headers["x-amzn-ErrorType"] = _error_type(answer.body)
        return answer

    async def _authorise(self, record: ExecutionRecord, action: str) -> None:
        """Refuse what the role of the execution's function may not do."""
        name = record.function_name
        function = await self._find(FunctionReference(name, record.qualifier))
        # A version may be deleted while executions of it run; the role is the function's.
        function = function or await self._find(FunctionReference(name, None))
        if function is None:
            raise AwsError(404, "ResourceNotFoundException", f"Function not found: {name}")
        role = function.role
        if not await asyncio.to_thread(self._permissions.allows, role, action, record.arn):
            raise AwsError(403, "AccessDeniedException", denial(role, action, record.arn))

    async def _list_executions(self, request: web.Request, call: Call) -> web.Response:
        parameters = self._api.parameters(call, _query(request), b"")
        name = parameters["FunctionName"]
        reference = self._reference(name, parameters.get("Qualifier"))
        function = await self._find(reference) if reference else None
        if reference is None or function is None:
            raise AwsError(404, "ResourceNotFoundException", f"Function not found: {name}")
        version = function.version if reference.qualifier else None
        return web.json_response(self._executions.listed(function.arn, parameters, version))

    async def _ask_runner(self, request: web.Request, call: Call) -> web.Response:
        parameters = self._api.parameters(call, _query(request), await request.read())
        document = await self._executions.ask(call.operation, parameters)
        return web.json_response(document, status=call.status)

    def _reference(self, name: str, qualifier: str | None) -> FunctionReference | None:
        refusal = refused_reference(name, qualifier, self._region)
        if refusal:
            raise AwsError(refusal.status, refusal.code, refusal.message)
        return parse_reference(name, qualifier)

    async def _find(self, reference: FunctionReference) -> Function | None:
        return await asyncio.to_thread(self._functions.find, reference)


_GATEWAY = web.AppKey("gateway", Gateway)


def application(settings: Settings) -> web.Application:
    """Return the gateway as an aiohttp application."""
    app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[guard.gateway(settings)])
    app.router.add_route("*", "/{path:.*}", _handle)

    async def life(app: web.Application) -> AsyncIterator[None]:
        # Invocations last as long as their functions; only connecting has a limit.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_SECONDS)
        async with aiohttp.ClientSession(
            timeout=timeout,
            connector=connector,
            auto_decompress=False,
            middlewares=[guard.signing(settings)],
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
    settings = Settings.from_environment(os.environ)
    web.run_app(
        application(settings),
        host=HOST,
        port=settings.lambda_port,
        access_log=None,
        print=None,
        # Whoever waits for an execution would hold up the end of the gateway for as long.
        shutdown_timeout=0,
    )
    # So would a thread that waits for ministack. What the gateway has to remember is in files.
    os._exit(0)


async def _forward(
    http: aiohttp.ClientSession, base_url: str, request: web.Request
) -> web.Response:
    """Pass a request on byte for byte, because its signature covers path, query and headers."""
    headers = [
        (name.decode(), value.decode("latin-1"))
        for name, value in request.raw_headers
        if name.decode().lower() not in _HOP_BY_HOP
    ]
    async with http.request(
        request.method,
        URL(base_url + request.raw_path, encoded=True),
        headers=headers,
        data=await request.read() or None,
        skip_auto_headers=_NO_HEADERS_OF_ITS_OWN,
        allow_redirects=False,
    ) as answer:
        response = web.Response(status=answer.status, body=await answer.read())
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                response.headers.add(name, value)
    return response


def _error_type(body: bytes) -> str:
    try:
        return str(json.loads(body).get("Type", "ServiceException"))
    except (ValueError, AttributeError):
        return "ServiceException"


def _path(request: web.Request) -> str:
    return request.raw_path.partition("?")[0]


def _query(request: web.Request) -> str:
    return request.raw_path.partition("?")[2]


def _checked_input(body: bytes, kind: str) -> str:
    if kind not in quotas.MAX_INPUT_BYTES:
        message = f"X-Amz-Invocation-Type {kind} must be RequestResponse, Event or DryRun."
        raise AwsError(400, _INVALID, message)
    _require_small(body, kind)
    return _json_text(body)


def _json_text(body: bytes) -> str:
    try:
        text = body.decode() or "{}"
        json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"Could not parse request body into json: {error}"
        raise AwsError(400, "InvalidRequestContentException", message) from error
    return text


def _require_small(body: bytes, kind: str) -> None:
    limit = quotas.MAX_INPUT_BYTES.get(kind)
    if limit is not None and len(body) > limit:
        message = f"{len(body)} byte payload is too large for the {kind} invocation type "
        raise AwsError(413, "RequestTooLargeException", f"{message}(limit {limit} bytes)")


def _require_short(durable: DurableConfiguration) -> None:
    if durable.execution_timeout_seconds > quotas.MAX_SYNCHRONOUS_SECONDS:
        raise AwsError(
            400,
            _INVALID,
            "You cannot synchronously invoke a durable function with an executionTimeout greater "
            "than 15 minutes.",
        )


def _checked_name(name: str | None) -> str | None:
    if name is not None and not quotas.EXECUTION_NAME.fullmatch(name):
        message = f"Durable execution name {name!r} must match {quotas.EXECUTION_NAME.pattern}."
        raise AwsError(400, _INVALID, message)
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
