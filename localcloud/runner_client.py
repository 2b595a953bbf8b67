"""The runner, as the gateway calls it."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from localcloud.aws_errors import AwsError
from localcloud.forwarding import forward
from localcloud.settings import ACCOUNT_ID, Settings

if TYPE_CHECKING:
    from aiohttp import web

    from localcloud.functions import Function

# How long the runner may be away before a request that needs it fails.
AWAY_SECONDS = 60.0
PAUSE_SECONDS = 0.1
# What the gateway sees when the runner ends or is not there yet.
AWAY = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)


class Runner:
    """The runner's HTTP API."""

    def __init__(self, settings: Settings, http: aiohttp.ClientSession) -> None:
        self._url = settings.runner_endpoint_url
        self._http = http

    async def forward(self, request: web.Request, path: str | None = None) -> web.Response:
        """Pass a request on; name the type of an error in the header where boto3 looks for it."""
        answer = await forward(self._http, self._url, request, path)
        if answer.status >= 400 and isinstance(answer.body, bytes):
            answer.headers["x-amzn-ErrorType"] = _error_type(answer.body)
        return answer

    async def start(self, function: Function, payload: str, execution_name: str) -> str:
        """Start an execution of a durable function's version; return its ARN."""
        if function.durable is None:
            message = f"{function.name} is not a durable function."
            raise AwsError(400, "InvalidParameterValueException", message)
        document = {
            "AccountId": ACCOUNT_ID,
            "FunctionName": function.name,
            "FunctionQualifier": function.version,
            "ExecutionName": execution_name,
            "ExecutionTimeoutSeconds": function.durable.execution_timeout_seconds,
            "ExecutionRetentionPeriodDays": function.durable.retention_days,
            "InvocationId": str(uuid.uuid4()),
            "Input": payload,
        }
        url = f"{self._url}/start-durable-execution"
        async with self._http.post(url, json=document, raise_for_status=True) as answer:
            started: dict[str, str] = await answer.json(content_type=None)
        return started["ExecutionArn"]

    async def get_execution(self, arn: str) -> dict[str, Any]:
        """Return what GetDurableExecution answers; wait for a runner that is being restarted."""
        url = URL(f"{self._url}/2025-12-01/durable-executions/{quote(arn, safe='')}", encoded=True)
        give_up_at = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                async with self._http.get(url, raise_for_status=True) as answer:
                    execution: dict[str, Any] = await answer.json(content_type=None)
                    return execution
            except AWAY:
                if time.monotonic() > give_up_at:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)


def _error_type(body: bytes) -> str:
    try:
        return str(json.loads(body).get("Type", "ServiceException"))
    except (ValueError, AttributeError):
        return "ServiceException"
