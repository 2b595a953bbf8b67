"""Lambda's own record of an asynchronous invocation that it gave up.

An on-failure destination sends it where no queue brought the event, so none can take it back:
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from pipelinectl import exact_json


@dataclass(frozen=True)
class FailedInvocation:
    """An event that Lambda could not bring to the function.

    `request` is the event as JSON text; `invocations` and `failed_at` are None where Lambda does
    not say.
    """

    request: str
    error_type: str
    error_message: str
    function_arn: str
    invocations: int | None
    failed_at: datetime | None


def read(body: str) -> FailedInvocation | None:
    """The failed invocation that `body` tells of; None if it tells of something else."""
    # Most bodies do, and then need not be parsed.
    if '"requestPayload"' not in body:
        return None
    try:
        record = exact_json.parse(body)
    except exact_json.NotJsonError:
        return None
    match record:
        case {
            "version": str(),
            "requestContext": {"condition": str(condition), "functionArn": str(arn)} as context,
            "requestPayload": request,
        }:
            error_type, message = _error(record.get("responsePayload"), condition)
            return FailedInvocation(
                request=exact_json.dumps(request, indent=None),
                error_type=error_type,
                error_message=message,
                function_arn=arn,
                invocations=_whole(context.get("approximateInvokeCount")),
                failed_at=_moment(record.get("timestamp")),
            )
    return None


def _error(response: Any, condition: str) -> tuple[str, str]:
    """The function's error, or where it never answered why Lambda gave up."""
    gave_up = f"Lambda gave up the invocation: {condition}"
    match response:
        case {"errorType": str(error_type), **rest}:
            message = rest.get("errorMessage")
            return error_type, message if isinstance(message, str) and message else gave_up
        case {"errorMessage": str(message)}:
            return condition, message
    return condition, gave_up


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, Decimal) and value == value.to_integral() else None


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else None
