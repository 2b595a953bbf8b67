"""The operations of the durable API that the runner answers to the gateway.

The gateway has recognised a request and read its parameters (see `api_model`); each operation takes
them by AWS's names and answers a document with AWS's names. AWS's runner answers the rest itself,
CheckpointDurableExecution and GetDurableExecutionState.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_durable_execution_sdk_python.lambda_service import ErrorObject, InvocationStatus
from aws_durable_execution_sdk_python_testing.model import StartDurableExecutionInput

from localcloud import histories, paging
from localcloud.functions import function_of, version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aws_durable_execution_sdk_python_testing.execution import Execution

    from localcloud.executor import LocalExecutor

Document = dict[str, Any]
OPERATIONS_PATH = "/_localcloud/operations"
"""Where the runner answers: a POST to the operation's name below it."""


def _start(executor: LocalExecutor, parameters: Document) -> Document:
    """Start an execution; not of AWS's API, where Invoke does that."""
    start = StartDurableExecutionInput.from_dict(parameters)
    arn = executor.begin(start, asynchronous=parameters["Asynchronous"])
    return {"DurableExecutionArn": arn}


def _log(executor: LocalExecutor, parameters: Document) -> Document:
    """Tell the end of the log of an execution's last invocation; not of AWS's API either."""
    return {"LogResult": executor.log_tail_of(parameters["DurableExecutionArn"])}


def _get(executor: LocalExecutor, parameters: Document) -> Document:
    execution = executor.get_execution(parameters["DurableExecutionArn"])
    include_data = parameters.get("IncludeExecutionData", True)
    started = execution.get_operation_execution_started()
    start = execution.start_input
    arn = execution.durable_execution_arn
    found: Document = {
        "DurableExecutionArn": arn,
        "DurableExecutionName": start.execution_name,
        "FunctionArn": function_of(arn),
        "Version": version_of(arn),
        "Status": executor.status(execution),
        "StartTimestamp": started.start_timestamp and started.start_timestamp.timestamp(),
        "EndTimestamp": started.end_timestamp and started.end_timestamp.timestamp(),
        "ExecutionDataIncluded": include_data,
        "DurableConfig": {
            "ExecutionTimeout": start.execution_timeout_seconds,
            "RetentionPeriodInDays": start.execution_retention_period_days,
        },
        "PauseDetails": _pause_details(executor, execution, include_data=include_data),
    }
    ends = executor.times_out_at(execution)
    found["ExpectedExecutionTimeoutTimestamp"] = ends and ends.timestamp()
    if include_data:
        found |= _data(execution)
    return {name: value for name, value in found.items() if value is not None}


def _data(execution: Execution) -> Document:
    """The input and, of an execution that has ended, the result or the error."""
    given = execution.get_operation_execution_started().execution_details
    found: Document = {"InputPayload": given.input_payload} if given else {}
    result = execution.result
    if result and result.status is InvocationStatus.SUCCEEDED:
        found["Result"] = result.result
    elif result and result.error:
        found["Error"] = result.error.to_dict()
    return found


def _pause_details(
    executor: LocalExecutor, execution: Execution, *, include_data: bool
) -> Document | None:
    pause = executor.journal.current_pause(execution.durable_execution_arn)
    if execution.is_complete or pause is None:
        return None
    details: Document = {
        "PauseRequestTimestamp": pause.requested.timestamp(),
        "ExecutionTimeoutPaused": pause.timeout_paused,
    }
    if include_data and pause.reason is not None:
        details["Reason"] = pause.reason
    return details


def _history(executor: LocalExecutor, parameters: Document) -> Document:
    arn = parameters["DurableExecutionArn"]
    execution = executor.get_execution(arn)
    events = histories.history(
        execution,
        executor.facts(arn),
        include_data=parameters.get("IncludeExecutionData", True),
    )
    last_of_page = paging.read_marker(parameters.get("Marker"), int)
    found, last = histories.page(
        events,
        after=last_of_page[0] if last_of_page else None,
        count=paging.size(parameters),
        newest_first=parameters.get("ReverseOrder", False),
    )
    return {"Events": found} | paging.next_marker(None if last is None else [last])


def _stop(executor: LocalExecutor, parameters: Document) -> Document:
    stopped = executor.stop_execution(parameters["DurableExecutionArn"], _error(parameters))
    return {"StopTimestamp": stopped.stop_timestamp.timestamp()}


def _pause(executor: LocalExecutor, parameters: Document) -> Document:
    executor.pause(
        parameters["DurableExecutionArn"],
        reason=parameters.get("Reason"),
        timeout_paused=parameters.get("ExecutionTimeoutPaused", True),
        token=parameters.get("ClientToken"),
    )
    return {}


def _resume(executor: LocalExecutor, parameters: Document) -> Document:
    executor.resume(
        parameters["DurableExecutionArn"],
        reason=parameters.get("Reason"),
        token=parameters.get("ClientToken"),
    )
    return {}


def _delete(executor: LocalExecutor, parameters: Document) -> Document:
    deleted = executor.delete(parameters["DurableExecutionArn"])
    return {"DeletionRequestTimestamp": deleted.timestamp()}


def _succeed(executor: LocalExecutor, parameters: Document) -> Document:
    result = parameters.get("Result")
    executor.send_callback_success(
        parameters["CallbackId"], None if result is None else result.encode()
    )
    return {}


def _fail(executor: LocalExecutor, parameters: Document) -> Document:
    executor.send_callback_failure(parameters["CallbackId"], _error(parameters))
    return {}


def _beat(executor: LocalExecutor, parameters: Document) -> Document:
    executor.send_callback_heartbeat(parameters["CallbackId"])
    return {}


def _error(parameters: Document) -> ErrorObject | None:
    error = parameters.get("Error")
    return ErrorObject.from_dict(error) if error else None


OPERATIONS: Mapping[str, Callable[[LocalExecutor, Document], Document]] = {
    "StartDurableExecution": _start,
    "GetLogResult": _log,
    "GetDurableExecution": _get,
    "GetDurableExecutionHistory": _history,
    "StopDurableExecution": _stop,
    "PauseDurableExecution": _pause,
    "ResumeDurableExecution": _resume,
    "DeleteDurableExecution": _delete,
    "SendDurableExecutionCallbackSuccess": _succeed,
    "SendDurableExecutionCallbackFailure": _fail,
    "SendDurableExecutionCallbackHeartbeat": _beat,
}
