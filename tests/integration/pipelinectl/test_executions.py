"""Executions: of Lambda there is only what is asked of it, the rest is a stack in moto."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from pipelinectl.audit import NotWritten
from pipelinectl.aws import Connection
from pipelinectl.errors import NotFoundError, OperationFailedError, UsageError
from pipelinectl.executions import Executions
from tests.events import sqs_event, sqs_message, standard
from tests.integration.pipelinectl.conftest import Deployed
from tests.integration.pipelinectl.giving_up import known_of
from tests.unit.pipelinectl.histories import recorded_events
from tests.unit.pipelinectl.stories import Story, Told, results

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
        yield Executions(client, FUNCTION, sleep=lambda _: None)
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


MANY_LIST = ANY_LIST | {"MaxItems": 1000}
NONE: dict[str, Any] = {"DurableExecutions": []}


def named(name: str) -> dict[str, Any]:
    return ANY_LIST | {"DurableExecutionName": name}


def test_a_name_that_nobody_has_is_not_found() -> None:
    with (
        answering((LIST, named("nobody"), NONE), (LIST, MANY_LIST, NONE)) as executions,
        pytest.raises(NotFoundError, match="nobody"),
    ):
        executions.resolve("nobody")


def test_the_beginning_of_a_name_is_enough() -> None:
    listed = {"DurableExecutions": [summary("a/1"), summary("b/1")]}
    with answering((LIST, named("name-a"), NONE), (LIST, MANY_LIST, listed)) as executions:
        assert executions.resolve("name-a") == "a/1"


def test_the_beginning_of_several_names_is_answered_with_them() -> None:
    listed = {"DurableExecutions": [summary("a/1"), summary("b/1")]}
    with (
        answering((LIST, named("name"), NONE), (LIST, MANY_LIST, listed)) as executions,
        pytest.raises(UsageError, match="2 executions begin with 'name': name-a/1, name-b/1"),
    ):
        executions.resolve("name")


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


BY_OPERATOR = {
    "DurableExecutionArn": "a/b",
    "Error": {"ErrorType": "OperatorStop", "ErrorMessage": "stopped with pipelinectl"},
}


@pytest.mark.parametrize("status", ["STOPPED", "RUNNING"])
def test_stop_says_who_stopped_it_also_where_that_takes_a_while(status: str) -> None:
    with answering(
        ("get_durable_execution", STATUS, details("RUNNING")),
        ("stop_durable_execution", BY_OPERATOR, {"StopTimestamp": NOW}),
        ("get_durable_execution", STATUS, details(status)),
    ) as executions:
        assert executions.stop("a/b") == NOW


def test_what_ends_before_it_is_stopped_does_not_pass_for_stopped() -> None:
    with (
        answering(
            ("get_durable_execution", STATUS, details("RUNNING")),
            ("stop_durable_execution", BY_OPERATOR, {"StopTimestamp": NOW}),
            ("get_durable_execution", STATUS, details("SUCCEEDED")),
        ) as executions,
        pytest.raises(OperationFailedError, match="is SUCCEEDED: it ended before it was stopped"),
    ):
        executions.stop("a/b")


def test_what_has_ended_is_not_stopped() -> None:
    with (
        answering(("get_durable_execution", STATUS, details("SUCCEEDED"))) as executions,
        pytest.raises(OperationFailedError, match="is SUCCEEDED"),
    ):
        executions.stop("a/b")


def test_a_pause_is_waited_for_until_it_has_begun() -> None:
    asked = {"DurableExecutionArn": "a/b", "Reason": "why"}
    with answering(
        ("get_durable_execution", STATUS, details("RUNNING")),
        ("pause_durable_execution", asked, {}),
        ("get_durable_execution", STATUS, details("RUNNING")),
        ("get_durable_execution", STATUS, details("PAUSING")),
        ("get_durable_execution", STATUS, details("PAUSED")),
    ) as executions:
        assert executions.pause("a/b", "why") == "PAUSED"


def test_a_resumed_execution_runs_or_has_ended_by_then() -> None:
    asked = {"DurableExecutionArn": "a/b"}
    with answering(
        ("get_durable_execution", STATUS, details("PAUSED")),
        ("resume_durable_execution", asked, {}),
        ("get_durable_execution", STATUS, details("PAUSED")),
        ("get_durable_execution", STATUS, details("SUCCEEDED")),
    ) as executions:
        assert executions.resume("a/b") == "SUCCEEDED"


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ("pause", "FAILED"),
        ("pause", "PAUSED"),
        ("pause", "PAUSING"),
        ("resume", "RUNNING"),
        ("resume", "SUCCEEDED"),
    ],
)
def test_one_that_cannot_be_paused_or_resumed_is_left_alone_and_gets_no_line(
    operation: str, status: str
) -> None:
    written: list[str] = []
    with (
        answering(("get_durable_execution", STATUS, details(status))) as executions,
        pytest.raises(OperationFailedError, match=f"'a/b' is {status}: only one that"),
    ):
        getattr(executions, operation)("a/b", "why", lambda: written.append("a line"))
    assert written == []


@pytest.mark.parametrize(("operation", "status"), [("pause", "RUNNING"), ("resume", "PAUSED")])
def test_one_that_ends_meanwhile_says_what_it_is(operation: str, status: str) -> None:
    client = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x").client(
        "lambda", region_name="us-east-1"
    )
    with Stubber(client) as stub:
        stub.add_response("get_durable_execution", details(status), STATUS)
        stub.add_client_error(
            f"{operation}_durable_execution", "ResourceConflictException", "it has ended"
        )
        stub.add_response("get_durable_execution", details("FAILED"), STATUS)

        with pytest.raises(OperationFailedError, match="'a/b' is FAILED: it has ended"):
            getattr(Executions(client, FUNCTION), operation)("a/b")


@pytest.mark.parametrize(
    ("operation", "status"), [("stop", "RUNNING"), ("pause", "RUNNING"), ("resume", "PAUSED")]
)
def test_nothing_is_done_to_an_execution_of_which_it_may_not_be_said_who_did(
    operation: str, status: str
) -> None:
    def unwritten() -> None:
        raise NotWritten("no line")

    with (
        answering(("get_durable_execution", STATUS, details(status))) as executions,
        pytest.raises(NotWritten),
    ):
        getattr(executions, operation)("a/b", before=unwritten)


def details(status: str) -> dict[str, Any]:
    return summary("a/b", status)


ARN = "uuid/uuid"


class Lambda:
    """Knows one execution."""

    def __init__(self, status: str, payload: str) -> None:
        self._execution = {
            "DurableExecutionArn": ARN,
            "DurableExecutionName": "run",
            "Status": status,
            "StartTimestamp": datetime(2026, 1, 1, tzinfo=UTC),
            "InputPayload": payload,
        }

    def list_durable_executions_by_function(self, **_: Any) -> Any:
        return {"DurableExecutions": [self._execution]}

    def get_durable_execution(self, *, DurableExecutionArn: str, **_: Any) -> Any:
        assert DurableExecutionArn == ARN
        return self._execution


def knows(monkeypatch: pytest.MonkeyPatch, status: str, payload: str) -> None:
    monkeypatch.setattr(Connection, "lambda_", Lambda(status, payload))


def event(*bodies: str) -> str:
    source = {"source": {"stringValue": "till-7", "dataType": "String"}}
    messages = (sqs_message(body, f"m-{n}", attributes=source) for n, body in enumerate(bodies))
    return json.dumps(sqs_event(*messages))


@pytest.mark.parametrize("reference", [ARN, "run", "last"])
def test_records_are_sent_as_the_same_records(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    knows(monkeypatch, "FAILED", event("a", *["{}"] * 11))

    result = deployed.run("executions", "retry", reference)

    assert result.stdout == "sent 12 messages\n"
    assert "may also come back by themselves" in result.stderr
    # Two batches, side by side: which one is first is open.
    (received,) = (message for message in deployed.again() if message["Body"] == "a")
    assert known_of(received) == {
        "execution_id": "test-m-0",
        "sent_timestamp": 1772354400000,
        "door": "messages",
        "message_attributes": {"source": {"stringValue": "till-7", "dataType": "String"}},
    }


def test_json_says_what_was_sent(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    knows(monkeypatch, "TIMED_OUT", event("a"))

    document = deployed.run("executions", "retry", "last", "--json").json

    assert document["durable_execution_arn"] == ARN
    assert (document["sent"], len(document["message_ids"])) == (1, 1)


@pytest.mark.parametrize(
    ("status", "payload", "said"),
    [
        ("RUNNING", event("a"), "is RUNNING, not failed"),
        ("SUCCEEDED", event("a"), "--force"),
        ("FAILED", '{"no": "records"}', "no SQS event"),
    ],
)
def test_what_cannot_be_retried_is_one_line_and_1(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, status: str, payload: str, said: str
) -> None:
    knows(monkeypatch, status, payload)

    result = deployed.run("executions", "retry", "last")

    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert deployed.bodies_again() == []


def happened(arn: str, *messages: str) -> Story:
    return Story(arn, [sqs_message(standard(), message) for message in messages])


def test_a_list_says_what_became_of_the_records(deployed: Deployed, told: Told) -> None:
    whole = happened("a/1", "m-1", "m-2").invoke("store", ["m-1"], results("ok", "m-1"))
    whole.invoke("validate", ["m-2"], results("rejected", "m-2")).step("dead-letters").end()
    told.stories.extend([whole, happened("a/2", "m-3")])

    table = deployed.run("executions", "list").stdout
    document = deployed.run("executions", "list", "--records", "--json").json

    assert "1 stored, 1 dead letter" in table
    counts = {one["durable_execution_arn"]: one["records"] for one in document}
    assert counts == {"a/1": {"stored": 1, "dead letter": 1}, "a/2": {"running": 1}}


def test_of_how_many_executions_records_are_counted_is_bounded_and_said(
    deployed: Deployed, told: Told
) -> None:
    told.stories.extend(happened(f"a/{n}", "m") for n in range(22))

    document = deployed.run("executions", "list", "--records", "--json").json
    listed = deployed.run("executions", "list", "--limit", "22")

    assert [one["records"] for one in document] == [{"running": 1}] * 20 + [None] * 2
    assert "records are counted of the first 20 executions" in listed.stderr
    assert "records" not in deployed.run("executions", "list", "--json").json[0]


def test_a_list_can_be_narrowed_to_a_time(
    deployed: Deployed, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def newest(_: Told, **options: Any) -> list[Any]:
        asked.append(options)
        return []

    monkeypatch.setattr(Told, "newest", newest)

    deployed.run("executions", "list", "--since", "2026-03-01T00:00Z", "--until", "2026-03-02T00Z")
    wrong = deployed.run("executions", "list", "--since", "yesterday")

    assert asked[0]["since"] == datetime(2026, 3, 1, tzinfo=UTC)
    assert asked[0]["until"] == datetime(2026, 3, 2, tzinfo=UTC)
    assert (wrong.exit_code, "is no time" in wrong.stderr) == (2, True)
