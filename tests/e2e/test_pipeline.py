"""The whole way of a message, as a user goes it."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from localcloud import supervisor
from tests.e2e.conftest import PATIENCE, STACK, Stack
from tests.e2e.localcloud.support import wait_for
from tests.events import order, sqs_event_of, standard

ALIAS = f"{STACK}-durable-pipeline:live"


def test_the_readmes_message_becomes_an_item(stack: Stack) -> None:
    body = '{"data_source": "test.csv", "processing_type": "standard"}'
    queue, table = stack.outputs["DataProcessingQueueUrl"], stack.outputs["ProcessedDataTable"]

    sent = stack.cli("sqs", "send-message", "--queue-url", queue, "--message-body", body)

    item = stack.wait_for_items([sent["MessageId"]])[sent["MessageId"]]
    assert item["data_source"]["S"] == "TEST.CSV"
    assert item["execution_id"]["S"] == f"test-{sent['MessageId']}"
    assert "TEST.CSV" in json.dumps(stack.cli("dynamodb", "scan", "--table-name", table))


def test_an_executions_history_shows_three_chained_invokes(stack: Stack) -> None:
    event = json.dumps(sqs_event_of([standard()]))
    answer = stack.client("lambda").invoke(FunctionName=ALIAS, Payload=event)

    history = stack.cli(
        "lambda",
        "get-durable-execution-history",
        "--durable-execution-arn",
        answer["DurableExecutionArn"],
    )

    types = Counter(event["EventType"] for event in history["Events"])
    assert types["ChainedInvokeSucceeded"] == 3
    assert types["InvocationCompleted"] == 4


def test_hundreds_of_records_are_one_execution(stack: Stack) -> None:
    bodies = [standard(record_id=f"hundreds-{n}") for n in range(400)]
    payload = json.dumps(sqs_event_of(bodies))

    def execution_of_all() -> str:
        """Its ARN; none where a busy machine has used up the time of these tests' executions."""
        answer = stack.client("lambda").invoke(FunctionName=ALIAS, Payload=payload)
        summary = json.loads(answer["Payload"].read())["summary"]
        assert summary["stored"] + summary["back_to_queue"] == 400
        return answer["DurableExecutionArn"] if summary["stored"] == 400 else ""

    execution_arn = wait_for(execution_of_all)

    started = [e for e in stack.history(execution_arn) if "Started" in e["EventType"]]
    assert len({event["Id"] for event in started}) <= 22
    assert sum(key.startswith("hundreds-") for key in stack.items()) == 400


def test_wrong_records_are_dead_letters_with_every_reason(stack: Stack) -> None:
    stack.take_dead_letters()
    good = stack.send([standard(), order()])
    bad = stack.send(["not json", order(quantity=0, currency="ZZZ")])

    wait_for(lambda: stack.in_flight() == 0)

    letters = {
        letter["MessageAttributes"]["original_message_id"]["StringValue"]: letter
        for letter in stack.take_dead_letters()
    }
    assert len(stack.stored(good)) == 2
    assert sorted(letters) == sorted(bad)
    attributes = letters[bad[1]]["MessageAttributes"]
    assert attributes["stage"]["StringValue"] == "validate"
    assert len(json.loads(attributes["errors"]["StringValue"])) == 2


MOST_MESSAGES = 4000
"""Sent, 100 at a time, until the pipeline is caught at work."""

VICTIMS = [f"{STACK}-{name}" for name in ("validate", "transform", "store", "durable-pipeline")]


def send_and_kill(stack: Stack, victim: str) -> list[str]:
    """Send messages until ``victim`` is killed while an execution is under way; the messages' ids.

    One that has only just begun to start has no process yet.
    """
    ids: list[str] = []
    while len(ids) < MOST_MESSAGES:
        new = [standard(data_source=f"{victim}-{len(ids) + n}") for n in range(100)]
        ids += stack.send(new)
        while stack.in_flight():
            if stack.under_way() and supervisor.kill(stack.cloud.settings, victim):
                return ids
    pytest.fail(f"{victim} was not met at work in {len(ids)} messages")


@pytest.mark.parametrize("victim", [*VICTIMS, "runner"])
def test_nothing_is_lost_or_doubled_when_a_process_is_killed(stack: Stack, victim: str) -> None:
    stack.take_dead_letters()
    ids = send_and_kill(stack, victim)

    wait_for(lambda: stack.in_flight() == 0, PATIENCE)
    stored = stack.stored(ids)
    dead = [
        letter["MessageAttributes"]["original_message_id"]["StringValue"]
        for letter in stack.take_dead_letters()
    ]
    assert sorted([*stored, *dead]) == sorted(ids)
    sources = Counter(item["data_source"]["S"] for item in stored.values())
    assert set(sources.values()) == {1}
