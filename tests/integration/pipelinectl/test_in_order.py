"""The FIFO door at the command line: sent in order, listed beside the others, redriven in order."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

import boto3
import pytest

from pipelinectl.aws import Connection, find_stack
from pipelinectl.commands.context import Pipeline
from pipelinectl.dead_letters import DeadLetterQueue
from tests.events import sqs_message
from tests.integration.pipelinectl.conftest import STACK_NAME, Deployed, InOrder
from tests.integration.pipelinectl.giving_up import give_up, known_of
from tests.integration.pipelinectl.test_redrive import Sqs
from tests.unit.pipelinectl.stories import Story, Told

LINES = b"".join(b"%d\n" % number for number in range(25))


def take_all(deployed: Deployed, url: str) -> list[Any]:
    """All messages of a FIFO queue, in their order."""
    found: list[Any] = []
    while messages := deployed.sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=10,
        MessageAttributeNames=["All"],
        MessageSystemAttributeNames=["MessageGroupId", "MessageDeduplicationId"],
    ).get("Messages", []):
        for message in messages:
            deployed.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        found += messages
    return found


def bodies(messages: list[Any], group: str | None = None) -> list[str]:
    found = [(message["Attributes"]["MessageGroupId"], message["Body"]) for message in messages]
    return [body for of, body in found if group in (None, of)]


def letter(deployed: Deployed, in_order: InOrder, body: str, group: str = "a") -> str:
    """A dead letter that SQS itself moved out of the FIFO queue; its id."""
    sent = deployed.sqs.send_message(
        QueueUrl=in_order.dead_letter_queue_url,
        MessageBody=body,
        MessageGroupId=group,
        MessageDeduplicationId=str(uuid.uuid4()),
    )
    return str(sent["MessageId"])


def refusing(client: Any, refused: str) -> Callable[..., Any]:
    """SendMessageBatch that does not take messages with that body."""

    def send(QueueUrl: str, Entries: list[Mapping[str, Any]]) -> Any:
        good = [entry for entry in Entries if entry["MessageBody"] != refused]
        answer = client.send_message_batch(QueueUrl=QueueUrl, Entries=good) if good else {}
        bad = [entry["Id"] for entry in Entries if entry["MessageBody"] == refused]
        failed = [{"Id": one, "Code": "Bad", "SenderFault": True, "Message": "no"} for one in bad]
        return {**answer, "Failed": failed}

    return send


def test_messages_are_sent_in_order_in_their_group(deployed: Deployed, in_order: InOrder) -> None:
    result = deployed.run("send", "--file", "-", "--door", "fifo", "--group", "g", stdin=LINES)

    found = take_all(deployed, in_order.queue_url)
    assert result.exit_code == 0
    assert bodies(found, "g") == [str(number) for number in range(25)]
    assert deployed.queued() == []


def test_equal_messages_are_as_many_messages(deployed: Deployed, in_order: InOrder) -> None:
    deployed.run("send", "{}", "--count", "3", "--door", "fifo", "--group", "g")

    assert bodies(take_all(deployed, in_order.queue_url)) == ["{}"] * 3


def test_a_message_in_order_needs_a_group(deployed: Deployed, in_order: InOrder) -> None:
    result = deployed.run("send", "{}", "--door", "fifo")

    assert result.exit_code == 2
    assert "say with --group whose order it is" in result.stderr
    assert take_all(deployed, in_order.queue_url) == []


def test_a_stack_without_the_door_says_how_to_have_it(deployed: Deployed) -> None:
    result = deployed.run("send", "{}", "--door", "fifo", "--group", "g")

    assert result.exit_code == 3
    assert "no FIFO door: deploy it with the parameter FifoDoor=true" in result.stderr


def test_what_is_behind_a_refused_message_is_not_sent(
    deployed: Deployed, in_order: InOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = refusing(deployed.sqs, "3")
    monkeypatch.setattr(Connection, "sqs", Sqs(deployed.sqs, send_message_batch=send))

    result = deployed.run(
        "send", "--file", "-", "--door", "fifo", "--group", "g", "--json", stdin=LINES
    )

    assert result.exit_code == 1
    assert bodies(take_all(deployed, in_order.queue_url)) == ["0", "1", "2"]
    codes = [one["code"] for one in result.json["refused"]]
    assert codes == ["Bad"] + ["HeldBack"] * 21


def test_dead_letters_of_both_queues_are_listed_counted_and_purged(
    deployed: Deployed, in_order: InOrder
) -> None:
    give_up(deployed, message_id="standard", group="tenant")
    moved = letter(deployed, in_order, "{}")

    listed = deployed.run("dlq", "list", "--json").json
    groups = deployed.run("dlq", "list", "--by-group", "--json").json
    shown = deployed.run("dlq", "show", moved)
    purged = deployed.run("dlq", "purge", "--yes", "--json").json

    assert [one["message_group_id"] for one in listed] == ["tenant", "a"]
    assert {one["message_group_id"]: one["dead_letters"] for one in groups} == {"tenant": 1, "a": 1}
    assert shown.exit_code == 0
    assert purged == {"purged": 2}
    assert deployed.run("dlq", "list", "--json").json == []


def test_each_dead_letter_goes_to_the_internal_queue_of_its_kind_in_its_order(
    deployed: Deployed, in_order: InOrder
) -> None:
    give_up(deployed, "0", message_id="standard")
    sent = {f"{n}": letter(deployed, in_order, f"{n}", "ab"[n % 2]) for n in range(9)}

    result = deployed.run("dlq", "redrive", "--all", "--json")

    found = take_all(deployed, in_order.internal_queue_url)
    assert len(result.json["sent"]) == 10
    assert bodies(found, "a") == ["0", "2", "4", "6", "8"]
    assert bodies(found, "b") == ["1", "3", "5", "7"]
    # The same records as before.
    known = {one["Body"]: known_of(one)["execution_id"] for one in found}
    assert known == {body: f"test-{message_id}" for body, message_id in sent.items()}
    assert deployed.bodies_again() == ["0"]
    assert deployed.run("dlq", "list", "--json").json == []


def test_a_refused_dead_letter_keeps_those_behind_it_and_no_other_group(
    deployed: Deployed, in_order: InOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_up(deployed, "2", message_id="standard", group="b")  # refused, too, and of no order
    for number in range(8):
        letter(deployed, in_order, f"{number}", "ab"[number % 2])
    send = refusing(deployed.sqs, "2")
    monkeypatch.setattr(Connection, "sqs", Sqs(deployed.sqs, send_message_batch=send))

    result = deployed.run("dlq", "redrive", "--all", "--json")

    assert result.exit_code == 1
    found = take_all(deployed, in_order.internal_queue_url)
    assert (bodies(found, "a"), bodies(found, "b")) == (["0"], ["1", "3", "5", "7"])
    assert len(result.json["left"]) == 2
    assert result.json["missing"] == 0
    left = bodies(take_all(deployed, in_order.dead_letter_queue_url))
    assert left == ["2", "4", "6"]


def test_of_a_long_group_the_first_ten_are_seen_and_it_is_said_that_there_may_be_more(
    deployed: Deployed, in_order: InOrder
) -> None:
    for number in range(12):
        letter(deployed, in_order, f"{number}")

    listed = deployed.run("dlq", "list")
    first = deployed.run("dlq", "redrive", "--all")
    second = deployed.run("dlq", "redrive", "--all")

    for result in (listed, first):
        assert "of 1 group in order there may be more" in result.stderr
    assert "may be more" not in second.stderr
    found = bodies(take_all(deployed, in_order.internal_queue_url))
    assert found == [str(number) for number in range(12)]


def test_one_in_order_is_edited_and_another_one_discarded(
    deployed: Deployed, in_order: InOrder
) -> None:
    ids = [letter(deployed, in_order, f"{number}") for number in range(3)]

    discarded = deployed.run("dlq", "discard", ids[0], "--note", "a test", "--yes", "--json")
    edited = deployed.run("dlq", "redrive", "--id", ids[2], "--body", "mended", "--json")

    assert discarded.json["discarded"] == [ids[0]]
    assert [one["message_id"] for one in edited.json["sent"]] == [ids[2]]
    assert bodies(take_all(deployed, in_order.internal_queue_url)) == ["mended"]
    assert bodies(take_all(deployed, in_order.dead_letter_queue_url)) == ["1"]


def test_a_reading_is_not_complete_where_a_fifo_queue_may_hold_more(
    deployed: Deployed, in_order: InOrder
) -> None:
    queue = DeadLetterQueue(
        deployed.sqs,
        deployed.dead_letter_queue_url,
        long_poll=0,
        fifo_url=in_order.dead_letter_queue_url,
    )
    for number in range(9):
        letter(deployed, in_order, f"{number}")
    assert queue.read().complete

    letter(deployed, in_order, "9")

    assert not queue.read().complete
    assert queue.about() == 10


@pytest.mark.parametrize("door", ["fifo", "none any more"])
def test_the_records_of_an_execution_go_back_to_the_door_that_they_came_by(
    deployed: Deployed, door: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [sqs_message("{}", "m-1", queue="stack-data-processing.fifo", group="g")]
    monkeypatch.setattr(Told, "resolve", lambda _, reference: reference, raising=False)
    monkeypatch.setattr(Pipeline, "executions", Told([Story("a/1", messages).fail()]))
    in_order = request.getfixturevalue("in_order") if door == "fifo" else None

    result = deployed.run("executions", "retry", "a/1", "--json")

    assert result.json["sent"] == 1
    if in_order is None:
        assert deployed.bodies_again() == ["{}"]
    else:
        (message,) = take_all(deployed, in_order.internal_queue_url)
        assert known_of(message)["execution_id"] == "test-m-1"


def test_a_stack_knows_the_queues_of_its_fifo_door(deployed: Deployed, in_order: InOrder) -> None:
    stack = find_stack(boto3.client("cloudformation"), STACK_NAME)

    assert stack.fifo_queue_url == in_order.queue_url
    assert stack.fifo_internal_queue_url == in_order.internal_queue_url
    assert stack.fifo_dead_letter_queue_url == in_order.dead_letter_queue_url
