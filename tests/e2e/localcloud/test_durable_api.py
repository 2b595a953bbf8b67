"""The durable API answers a stock boto3 as botocore's model says, operation by operation."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.localcloud.support import STACK, Cloud, wait_for

pytestmark = pytest.mark.timeout(300)

DEEDS = f"{STACK}-deeds"
FUNCTION = f"arn:aws:lambda:eu-central-2:000000000000:function:{DEEDS}"
UNKNOWN = f"{FUNCTION}:1/durable-execution/none/none"
MIB = 1024 * 1024
INVALID = ("InvalidParameterValueException", 400)
NOT_FOUND = ("ResourceNotFoundException", 404)
CONFLICT = ("ResourceConflictException", 409)
CLOSED = ("CallbackTimeoutException", 400)


class Api:
    """A stock client that lets everything through, and the deeds of the function."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.client = cloud.client("lambda", unchecked=True)

    def refusal(self, operation: str, **parameters: Any) -> tuple[str, int] | None:
        """Return with which code and status the service refuses a request, if it does."""
        try:
            getattr(self.client, operation)(**parameters)
        except ClientError as error:
            response = error.response
            return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
        return None

    def start(self, event: object, function: str = f"{DEEDS}:live", **options: str) -> str:
        answer = self.client.invoke(
            FunctionName=function, InvocationType="Event", Payload=json.dumps(event), **options
        )
        return str(answer["DurableExecutionArn"])

    def end(self, arn: str) -> Any:
        return self.cloud.wait_for_end(arn)

    def events(self, arn: str, **options: Any) -> list[Any]:
        return list(
            self.client.get_durable_execution_history(DurableExecutionArn=arn, **options)["Events"]
        )

    def kinds(self, arn: str) -> list[str]:
        return [event["EventType"] for event in self.events(arn)]

    def details(self, arn: str, kind: str) -> list[Any]:
        return [e[f"{kind}Details"] for e in self.cloud.history(arn) if e["EventType"] == kind]

    def waiting(self, **limits: int) -> tuple[str, str]:
        """Start an execution that waits for a callback; return its ARN and the callback's id."""
        arn = self.start({"callback": limits})
        return arn, wait_for(lambda: self.cloud.callback_id(arn))

    def listed(self, **options: Any) -> list[Any]:
        found = self.client.list_durable_executions_by_function(FunctionName=DEEDS, **options)
        return list(found["DurableExecutions"])


@pytest.fixture(scope="session")
def api(cloud: Cloud) -> Api:
    return Api(cloud)


@pytest.fixture(scope="session")
def failing(api: Api) -> dict[str, str]:
    """Executions whose invocations fail, which takes a while: they run beside the other tests."""
    return {
        "Runtime.ExitError": api.start({"exit": 1}),
        "Sandbox.Timedout": api.start({"sleep": 30}, f"{STACK}-hasty:live"),
        "Runtime.HandlerNotFound": api.start({}, f"{STACK}-broken:live"),
    }


@pytest.fixture(scope="session", autouse=True)
def _early(failing: dict[str, str]) -> None:
    """Have them run from the first test of this file on."""


def violations(shape: Any, value: Any, path: str = "") -> Iterator[str]:
    """What of a parsed answer is not as its shape in botocore's model demands."""
    if shape.type_name == "structure":
        missing = [name for name in shape.required_members if name not in value]
        yield from (f"{path}.{name} is missing" for name in missing)
        for name, item in value.items():
            if name in shape.members:
                yield from violations(shape.members[name], item, f"{path}.{name}")
    elif shape.type_name == "list":
        for item in value:
            yield from violations(shape.member, item, f"{path}[]")
    elif shape.type_name == "string":
        enum, pattern = shape.enum, shape.metadata.get("pattern")
        if enum and value not in enum:
            yield f"{path}: {value} is none of {enum}"
        if pattern and not re.fullmatch(pattern, value):
            yield f"{path}: {value} does not match {pattern}"


def conforms(api: Api, operation: str, answer: Any) -> bool:
    shape = api.client.meta.service_model.operation_model(operation).output_shape
    body = {k: v for k, v in answer.items() if k not in ("ResponseMetadata", "Payload")}
    assert list(violations(shape, body)) == []
    return True


def test_answers_are_as_the_model_has_them(api: Api) -> None:
    invoked = api.client.invoke(FunctionName=f"{DEEDS}:live", Payload=b'{"say": "hello"}')
    arn = invoked["DurableExecutionArn"]
    child = api.start({"invoke": f"{DEEDS}:live", "payload": {"steps": 2}})
    waiting, callback = api.waiting(timeout=60, heartbeat=50)
    stopped = api.client.stop_durable_execution(DurableExecutionArn=waiting)
    api.end(child)
    assert conforms(api, "Invoke", invoked)
    assert conforms(api, "StopDurableExecution", stopped)
    for one in (arn, child, waiting):
        found = api.client.get_durable_execution(DurableExecutionArn=one)
        assert conforms(api, "GetDurableExecution", found)
        history = api.client.get_durable_execution_history(DurableExecutionArn=one)
        assert conforms(api, "GetDurableExecutionHistory", history)
    listed = api.client.list_durable_executions_by_function(FunctionName=DEEDS)
    assert conforms(api, "ListDurableExecutionsByFunction", listed)
    assert callback


def test_an_execution_is_described_in_full(api: Api) -> None:
    arn = api.start({"say": "hello"})
    api.end(arn)
    found = api.client.get_durable_execution(DurableExecutionArn=arn)
    assert found["InputPayload"] == '{"say": "hello"}'
    assert (found["Status"], found["Result"], found["Version"]) == ("SUCCEEDED", '"hello"', "1")
    assert found["FunctionArn"] == f"{FUNCTION}:1"
    assert found["DurableConfig"] == {"ExecutionTimeout": 150, "RetentionPeriodInDays": 7}
    assert found["ExecutionDataIncluded"] is True
    bare = api.client.get_durable_execution(DurableExecutionArn=arn, IncludeExecutionData=False)
    assert bare["ExecutionDataIncluded"] is False
    assert bare.keys().isdisjoint({"InputPayload", "Result", "Error"})

    waiting, _ = api.waiting()
    running = api.client.get_durable_execution(DurableExecutionArn=waiting)
    lasts = running["ExpectedExecutionTimeoutTimestamp"] - running["StartTimestamp"]
    assert lasts.total_seconds() == 150
    assert running.keys().isdisjoint({"EndTimestamp", "Result", "Error"})
    api.client.stop_durable_execution(DurableExecutionArn=waiting)


@pytest.mark.parametrize(
    ("operation", "parameters", "refusal"),
    [
        ("get_durable_execution", {}, NOT_FOUND),
        ("get_durable_execution_history", {}, NOT_FOUND),
        ("get_durable_execution_state", {"CheckpointToken": "abc="}, INVALID),
        ("checkpoint_durable_execution", {"CheckpointToken": "abc="}, INVALID),
        ("stop_durable_execution", {}, NOT_FOUND),
        ("pause_durable_execution", {}, NOT_FOUND),
        ("resume_durable_execution", {}, NOT_FOUND),
        ("delete_durable_execution", {}, NOT_FOUND),
    ],
)
def test_an_execution_that_is_not_there_is_refused(
    api: Api, operation: str, parameters: dict[str, str], refusal: tuple[str, int]
) -> None:
    assert api.refusal(operation, DurableExecutionArn=UNKNOWN, **parameters) == refusal
    assert api.refusal(operation, DurableExecutionArn="not-an-arn", **parameters) == INVALID


@pytest.mark.parametrize(
    ("operation", "parameters", "words"),
    [
        ("get_durable_execution_state", {"MaxItems": 1001}, "'maxItems' .* equal to 1000"),
        ("checkpoint_durable_execution", {"Updates": [{"Id": "a"}]}, r"'updates\.1\.member\.type'"),
        ("checkpoint_durable_execution", {"ClientToken": "ü"}, "'clientToken' .* pattern"),
    ],
)
def test_what_a_handler_asks_wrongly_is_refused(
    api: Api, operation: str, parameters: dict[str, Any], words: str
) -> None:
    ask = getattr(api.client, operation)
    with pytest.raises(api.client.exceptions.InvalidParameterValueException, match=words):
        ask(DurableExecutionArn=UNKNOWN, CheckpointToken="abc=", **parameters)


@pytest.mark.parametrize(
    ("function", "qualifier", "refusal"),
    [
        (f"{DEEDS}:live", "$LATEST", INVALID),
        (f"{DEEDS}:none", None, NOT_FOUND),
        (f"{DEEDS}:99", None, NOT_FOUND),
        (FUNCTION.replace("000000000000", "111111111111"), "live", ("AccessDeniedException", 403)),
        (FUNCTION.replace("eu-central-2", "us-east-1"), "live", NOT_FOUND),
    ],
)
def test_a_function_that_is_not_this_one_is_refused(
    api: Api, function: str, qualifier: str | None, refusal: tuple[str, int]
) -> None:
    named = {"FunctionName": function} | ({"Qualifier": qualifier} if qualifier else {})
    assert api.refusal("invoke", **named) == refusal
    assert api.refusal("list_durable_executions_by_function", **named) == refusal


@pytest.mark.parametrize(
    "parameters",
    [
        {"MaxItems": 1001},
        {"MaxItems": -1},
        {"Marker": "nonsense"},
        {"Marker": "W1tdLCB7fV0="},  # two lists, which no database takes for values
        {"Statuses": ["BOGUS"]},
        {"DurableExecutionName": "a.b"},
    ],
)
def test_a_list_that_is_asked_for_wrongly_is_refused(api: Api, parameters: Any) -> None:
    operation = "list_durable_executions_by_function"
    assert api.refusal(operation, FunctionName=DEEDS, **parameters) == INVALID


@pytest.mark.parametrize(
    "parameters",
    [{"MaxItems": 1001}, {"MaxItems": -1}, {"Marker": "no"}, {"Marker": "W3RydWVd"}],
)
def test_a_history_that_is_asked_for_wrongly_is_refused(api: Api, parameters: Any) -> None:
    arn = api.listed(MaxItems=1)[0]["DurableExecutionArn"]
    operation = "get_durable_execution_history"
    assert api.refusal(operation, DurableExecutionArn=arn, **parameters) == INVALID


def test_lists_are_in_order_and_by_status_and_version(api: Api) -> None:
    failed = api.start({"callback": {}})
    api.client.stop_durable_execution(DurableExecutionArn=failed)
    last = api.start({"say": "last"}, f"{DEEDS}:$LATEST", DurableExecutionName="the-last")
    api.end(last)
    newest = api.listed(MaxItems=1000)
    assert newest[0]["DurableExecutionArn"] == last
    times = [found["StartTimestamp"] for found in newest]
    assert times == sorted(times, reverse=True)
    arns = [found["DurableExecutionArn"] for found in newest]
    oldest = api.listed(ReverseOrder=True, MaxItems=1000)
    assert [found["DurableExecutionArn"] for found in oldest] == arns[::-1]
    both = api.listed(Statuses=["STOPPED", "SUCCEEDED"], MaxItems=1000)
    assert {found["Status"] for found in both} == {"STOPPED", "SUCCEEDED"}
    assert [e["DurableExecutionArn"] for e in api.listed(DurableExecutionName="the-last")] == [last]
    latest = api.listed(Qualifier="$LATEST")
    assert {found["FunctionArn"] for found in latest} == {f"{FUNCTION}:$LATEST"}
    assert {e["FunctionArn"] for e in api.listed(Qualifier="live")} == {f"{FUNCTION}:1"}
    pages = api.cloud.client("lambda").get_paginator("list_durable_executions_by_function")
    paged = pages.paginate(FunctionName=DEEDS, PaginationConfig={"PageSize": 2})
    found = [e["DurableExecutionArn"] for page in paged for e in page["DurableExecutions"]]
    assert set(arns) <= set(found)
    assert len(found) == len(set(found))


def test_a_history_comes_in_pages_with_its_data_or_without(api: Api) -> None:
    arn = api.start({"steps": 60})
    api.end(arn)
    first = api.client.get_durable_execution_history(DurableExecutionArn=arn)
    assert len(first["Events"]) == 100
    assert "NextMarker" in first
    assert len(api.events(arn, MaxItems=0)) == 100
    assert first["Events"][2]["StepSucceededDetails"] == {
        "Result": {"Payload": "0", "Truncated": False},
        "RetryDetails": {"CurrentAttempt": 1},
    }
    bare = api.events(arn, IncludeExecutionData=False, MaxItems=1000)
    assert "Payload" not in str(bare)
    assert bare[0]["ExecutionStartedDetails"]["Input"] == {"Truncated": True}
    pages = api.cloud.client("lambda").get_paginator("get_durable_execution_history")
    for reverse in (False, True):
        paged = pages.paginate(
            DurableExecutionArn=arn, ReverseOrder=reverse, PaginationConfig={"PageSize": 50}
        )
        ids = [event["EventId"] for page in paged for event in page["Events"]]
        assert ids == sorted(range(1, len(bare) + 1), reverse=reverse)


def test_an_invoke_names_the_childs_version_and_execution(api: Api) -> None:
    arn = api.start({"invoke": f"{DEEDS}:live", "payload": {"say": "hello"}})
    api.end(arn)
    [started] = api.details(arn, "ChainedInvokeStarted")
    assert (started["FunctionName"], started["ExecutedVersion"]) == (f"{DEEDS}:live", "1")
    child = api.client.get_durable_execution(DurableExecutionArn=started["DurableExecutionArn"])
    assert (child["Status"], child["Version"]) == ("SUCCEEDED", "1")


def test_a_stop_keeps_its_error_and_closes_the_callbacks(api: Api) -> None:
    arn, callback = api.waiting(timeout=60, heartbeat=50)
    [started] = api.details(arn, "CallbackStarted")
    assert (started["Timeout"], started["HeartbeatTimeout"]) == (60, 50)
    error = {"ErrorType": "Op", "ErrorMessage": "enough", "ErrorData": "d", "StackTrace": ["a"]}
    api.client.stop_durable_execution(DurableExecutionArn=arn, Error=error)
    assert api.client.get_durable_execution(DurableExecutionArn=arn)["Error"] == error
    for answer in ("success", "failure", "heartbeat"):
        operation = f"send_durable_execution_callback_{answer}"
        assert api.refusal(operation, CallbackId=callback) == CLOSED
        assert api.refusal(operation, CallbackId="not base64!") == INVALID
    assert api.kinds(arn)[-1] == "ExecutionStopped"
    [stopped] = api.details(arn, "ExecutionStopped")
    assert stopped["Error"]["Payload"] == error


def test_a_callback_that_timed_out_is_closed(api: Api) -> None:
    arn, callback = api.waiting(timeout=1)
    assert api.end(arn)["Error"]["ErrorMessage"] == "Callback timed out"
    operation = "send_durable_execution_callback_success"
    assert api.refusal(operation, CallbackId=callback, Result=b"1") == CLOSED


def test_a_callbacks_result_has_a_size(api: Api) -> None:
    arn, callback = api.waiting()
    operation = "send_durable_execution_callback_success"
    assert api.refusal(operation, CallbackId=callback, Result=b"x" * (MIB + 1)) == INVALID
    assert api.refusal(operation, CallbackId=callback, Result=b"\xff") == INVALID
    assert api.refusal(operation, CallbackId=callback, Result=b"x" * MIB) is None
    assert len(api.details(arn, "CallbackSucceeded")[0]["Result"]["Payload"]) == MIB


def test_the_result_of_an_asynchronous_execution_has_a_size(api: Api) -> None:
    arn = api.start({"answer": MIB + 1})
    assert api.end(arn)["Error"]["ErrorMessage"].endswith("less than or equal to 1048576 bytes.")
    answer = api.client.invoke(
        FunctionName=f"{DEEDS}:live", Payload=json.dumps({"answer": MIB + 1})
    )
    assert len(answer["Payload"].read()) == MIB + 1


def test_an_execution_is_paused_resumed_and_deleted(api: Api) -> None:
    arn, callback = api.waiting()
    paused = api.client.pause_durable_execution(DurableExecutionArn=arn, Reason="night")
    assert paused["ResponseMetadata"]["HTTPStatusCode"] == 202
    wait_for(lambda: api.listed(Statuses=["PAUSED"]))
    found = api.client.get_durable_execution(DurableExecutionArn=arn)
    assert (found["Status"], found["PauseDetails"]["Reason"]) == ("PAUSED", "night")
    assert conforms(api, "GetDurableExecution", found)
    assert api.refusal("pause_durable_execution", DurableExecutionArn=arn) == CONFLICT
    assert api.refusal("delete_durable_execution", DurableExecutionArn=arn) == CONFLICT
    api.client.send_durable_execution_callback_success(CallbackId=callback, Result=b"1")
    resumed = api.client.resume_durable_execution(DurableExecutionArn=arn)
    assert resumed["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert api.end(arn)["Status"] == "SUCCEEDED"
    history = api.client.get_durable_execution_history(DurableExecutionArn=arn)
    assert conforms(api, "GetDurableExecutionHistory", history)
    assert {"ExecutionPaused", "ExecutionResumed"} <= set(api.kinds(arn))
    assert api.refusal("resume_durable_execution", DurableExecutionArn=arn) == CONFLICT
    deleted = api.client.delete_durable_execution(DurableExecutionArn=arn)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert conforms(api, "DeleteDurableExecution", deleted)
    assert api.refusal("get_durable_execution", DurableExecutionArn=arn) == NOT_FOUND


def test_an_execution_and_an_invoke_stay_with_their_version(api: Api) -> None:
    client = api.cloud.client("lambda")
    arn, callback = api.waiting()
    client.update_function_configuration(
        FunctionName=DEEDS, Environment={"Variables": {"EDITION": "second"}}
    )
    client.get_waiter("function_updated_v2").wait(FunctionName=DEEDS)
    version = client.publish_version(FunctionName=DEEDS)["Version"]
    client.send_durable_execution_callback_success(CallbackId=callback, Result=b"1")
    assert json.loads(api.end(arn)["Result"]) == {"answer": "1", "edition": "first"}
    for qualifier, edition in (("1", "first"), (version, "second")):
        seen = client.invoke(FunctionName=f"{DEEDS}:{qualifier}", Payload=b"{}")
        assert seen["ExecutedVersion"] == qualifier
        assert json.load(seen["Payload"]) == {
            "name": DEEDS,
            "version": qualifier,
            "arn": f"{FUNCTION}:{qualifier}",
        }
        assert edition in _edition(api, qualifier)


def _edition(api: Api, qualifier: str) -> str:
    arn = api.start({"callback": {}}, f"{DEEDS}:{qualifier}")
    callback = wait_for(lambda: api.cloud.callback_id(arn))
    api.client.send_durable_execution_callback_success(CallbackId=callback, Result=b"1")
    return str(api.end(arn)["Result"])


def test_a_durable_function_is_one_function(api: Api) -> None:
    found = api.client.get_function_configuration(FunctionName=DEEDS, Qualifier="live")
    assert found["DurableConfig"] == {"ExecutionTimeout": 150, "RetentionPeriodInDays": 7}
    assert (found["Timeout"], found["Environment"]["Variables"]) == (120, {"EDITION": "first"})
    pages = api.cloud.client("lambda").get_paginator("list_functions").paginate()
    names = [function["FunctionName"] for page in pages for function in page["Functions"]]
    assert sorted(name for name in names if name.startswith(DEEDS)) == [DEEDS]


def test_the_log_is_json_and_its_tail_comes_with_the_answer(api: Api) -> None:
    answer = api.client.invoke(
        FunctionName=f"{DEEDS}:live", Payload=b'{"say": "logged"}', LogType="Tail"
    )
    tail = base64.b64decode(answer["LogResult"]).decode().splitlines()
    assert tail[0].startswith("START RequestId: ")
    [line] = [json.loads(line) for line in tail if line.startswith("{") and "said" in line]
    assert (line["level"], line["message"], line["word"]) == ("INFO", "said logged", "logged")
    [completed] = api.details(answer["DurableExecutionArn"], "InvocationCompleted")
    assert line["requestId"] == completed["RequestId"]
    events = wait_for(lambda: _logged(api, "said logged"))
    assert json.loads(events[0]["message"])["word"] == "logged"


def _logged(api: Api, words: str) -> list[Any]:
    found = api.cloud.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{DEEDS}")
    return [event for event in found["events"] if words in event["message"]]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("Runtime.ExitError", "Runtime exited without providing a reason"),
        ("Sandbox.Timedout", "Task timed out after 1.00 seconds"),
        ("Runtime.HandlerNotFound", "Handler 'there_is_none' missing on module 'app'"),
    ],
)
def test_a_handler_that_fails_ends_its_execution_with_its_error(
    api: Api, failing: dict[str, str], kind: str, words: str
) -> None:
    found = api.end(failing[kind])
    assert (found["Status"], found["Error"]["ErrorType"]) == ("FAILED", kind)
    assert words in found["Error"]["ErrorMessage"]
    attempts = [d.get("Error") for d in api.details(failing[kind], "InvocationCompleted")]
    assert [error["Payload"]["ErrorType"] for error in attempts] == [kind] * 5


def _children_outlive_a_stop(api: Api) -> bool:
    parent = api.start({"invoke": f"{DEEDS}:live", "payload": {"callback": {}}})
    [started] = wait_for(
        lambda: [d for d in api.details(parent, "ChainedInvokeStarted") if len(d) > 3]
    )
    child = started["DurableExecutionArn"]
    api.client.stop_durable_execution(DurableExecutionArn=parent)
    status = api.client.get_durable_execution(DurableExecutionArn=child)["Status"]
    api.client.stop_durable_execution(DurableExecutionArn=child)
    return bool(status == "RUNNING")


def _stream_has_no_execution(api: Api) -> bool:
    answer = api.client.invoke_with_response_stream(
        FunctionName=f"{DEEDS}:live", Payload=b'{"say": "streamed"}'
    )
    list(answer["EventStream"])
    return "x-amz-durable-execution-arn" not in answer["ResponseMetadata"]["HTTPHeaders"]


def _invoke_async_is_gone(api: Api) -> bool:
    refused = api.refusal("invoke_async", FunctionName=DEEDS, InvokeArgs=b"{}")
    return refused == NOT_FOUND


def _executions_have_no_trace(api: Api) -> bool:
    found = api.client.get_durable_execution(DurableExecutionArn=api.start({"say": "hello"}))
    return "TraceHeader" not in found


@pytest.mark.parametrize(
    "differs",
    [
        _children_outlive_a_stop,
        _stream_has_no_execution,
        _invoke_async_is_gone,
        _executions_have_no_trace,
    ],
)
def test_what_differs_from_aws_is_in_the_list_of_limits(
    api: Api, differs: Callable[[Api], bool]
) -> None:
    assert differs(api), "take it out of docs/limits.md"
