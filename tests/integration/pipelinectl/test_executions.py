from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from pipelinectl.errors import NotFoundError, OperationFailedError
from pipelinectl.executions import Executions
from tests.unit.pipelinectl.histories import recorded_events

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FUNCTION = "test-durable-pipeline"


def summary(arn: str, status: str = "SUCCEEDED") -> dict[str, Any]:
    return {
        "DurableExecutionArn": arn,
        "DurableExecutionName": f"name-{arn}",
        "FunctionArn": f"arn:aws:lambda:us-east-1:123456789012:function:{FUNCTION}:live",
        "Status": status,
        "StartTimestamp": NOW,
    }


@contextmanager
def answering(*answers: tuple[str, dict[str, Any], dict[str, Any]]) -> Iterator[Executions]:
    """Executions whose client expects these calls and answers them; pauses take no time."""
    client = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x").client(
        "lambda", region_name="us-east-1"
    )
    with Stubber(client) as stub:
        for operation, parameters, response in answers:
            stub.add_response(operation, response, parameters)
        yield Executions(client, FUNCTION, pause=lambda _: None)
        stub.assert_no_pending_responses()


LIST = "list_durable_executions_by_function"
ANY_LIST = {"FunctionName": FUNCTION, "ReverseOrder": False, "MaxItems": 1}


def test_newest_reads_page_after_page_until_it_has_enough() -> None:
    asked = {"FunctionName": FUNCTION, "ReverseOrder": False, "MaxItems": 3}
    first = {"DurableExecutions": [summary("a"), summary("b")], "NextMarker": "more"}
    second = {"DurableExecutions": [summary("c"), summary("d")], "NextMarker": "more"}
    with answering((LIST, asked, first), (LIST, asked | {"Marker": "more"}, second)) as executions:
        found = list(executions.newest(limit=3))

    assert [execution.arn for execution in found] == ["a", "b", "c"]
    assert found[0].seconds is None


def test_last_is_the_newest_and_an_arn_is_itself() -> None:
    newest = {"DurableExecutions": [summary("uuid/uuid")]}
    with answering((LIST, ANY_LIST, newest)) as executions:
        assert executions.resolve("last") == "uuid/uuid"
        assert executions.resolve("other/arn") == "other/arn"


def test_a_name_that_nobody_has_is_not_found() -> None:
    asked = ANY_LIST | {"DurableExecutionName": "nobody"}
    with (
        answering((LIST, asked, {"DurableExecutions": []})) as executions,
        pytest.raises(NotFoundError, match="nobody"),
    ):
        executions.resolve("nobody")


def test_history_is_read_to_its_end() -> None:
    events = recorded_events("failed.json")
    asked = {"DurableExecutionArn": "a/b", "IncludeExecutionData": True, "MaxItems": ANY}
    operation = "get_durable_execution_history"
    with answering(
        (operation, asked, {"Events": events[:4], "NextMarker": "more"}),
        (operation, asked | {"Marker": "more"}, {"Events": events[4:]}),
    ) as executions:
        read = list(executions.history("a/b"))

    assert [event["EventId"] for event in read] == [event["EventId"] for event in events]


STATUS = {"DurableExecutionArn": "a/b", "IncludeExecutionData": False}


def test_stop_says_who_stopped_it() -> None:
    asked = {
        "DurableExecutionArn": "a/b",
        "Error": {"ErrorType": "OperatorStop", "ErrorMessage": "stopped with pipelinectl"},
    }
    with answering(
        ("get_durable_execution", STATUS, details("RUNNING")),
        ("stop_durable_execution", asked, {"StopTimestamp": NOW}),
    ) as executions:
        assert executions.stop("a/b") == NOW


def test_what_has_ended_is_not_stopped() -> None:
    with (
        answering(("get_durable_execution", STATUS, details("SUCCEEDED"))) as executions,
        pytest.raises(OperationFailedError, match="is SUCCEEDED"),
    ):
        executions.stop("a/b")


def details(status: str) -> dict[str, Any]:
    return summary("a/b", status)
