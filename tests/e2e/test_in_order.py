"""The FIFO door: in order from the queue to the items, and back from its dead letters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Stack, take_all
from tests.e2e.localcloud.support import wait_for
from tests.e2e.operator import Operator
from tests.events import order, standard

GROUPS = ("customer-1", "customer-2", "customer-3")
WRONG = 2
"""The number of the message, in each group, that becomes a dead letter."""


@pytest.fixture
def operator(stack: Stack) -> Iterator[Operator]:
    take_all(stack.client("sqs"), stack.outputs["FifoDeadLetterQueueUrl"])
    yield Operator.of(stack)
    take_all(stack.client("sqs"), stack.outputs["FifoDeadLetterQueueUrl"])


def send_in_turns(stack: Stack, count: int) -> None:
    """As many messages in each group, in a batch the next of each group."""
    for number in range(count):
        body = order(quantity=0) if number == WRONG else None
        stack.client("sqs").send_message_batch(
            QueueUrl=stack.outputs["FifoQueueUrl"],
            Entries=[
                {
                    "Id": str(index),
                    "MessageBody": body or standard(record_id=f"{group}-{number}"),
                    "MessageGroupId": group,
                    "MessageDeduplicationId": f"{group}-{number}",
                }
                for index, group in enumerate(GROUPS)
            ],
        )


def test_each_group_is_stored_in_its_order_around_what_is_wrong(
    stack: Stack, operator: Operator
) -> None:
    send_in_turns(stack, 6)
    fine = [number for number in range(6) if number != WRONG]
    keys = {group: [f"{group}-{number}" for number in fine] for group in GROUPS}

    items = wait_for(lambda: all_of(stack, [key for of in keys.values() for key in of]))
    letters = wait_for(lambda: so_many(letters_of(operator), len(GROUPS)))

    for group in GROUPS:
        times = [items[key]["stored_at"]["S"] for key in keys[group]]
        assert times == sorted(times)
        assert {items[key]["message_group_id"]["S"] for key in keys[group]} == {group}
    assert sorted(letter["message_group_id"] for letter in letters) == sorted(GROUPS)
    assert {letter["error_type"] for letter in letters} == {"ValidationError"}


def test_a_dead_letter_in_order_is_mended_and_becomes_the_same_record(
    stack: Stack, operator: Operator
) -> None:
    operator.run("send", order(quantity=0), "--door", "fifo", "--group", GROUPS[0])
    (letter,) = wait_for(lambda: so_many(letters_of(operator), 1))

    operator.run("dlq", "redrive", "--group", GROUPS[0], "--body", order(quantity=1), "--wait")

    item = stack.items()[letter["execution_id"]]
    assert item["message_group_id"] == {"S": GROUPS[0]}
    assert letters_of(operator) == []


def test_the_door_is_paused_and_resumed_with_the_others(stack: Stack, operator: Operator) -> None:
    try:
        paused = operator.json("pause", "--door", "fifo")
        operator.run("send", standard(record_id="waits"), "--door", "fifo", "--group", "g")
        assert paused["doors"] == {"fifo": "Disabled"}
        assert "waits" not in stack.items()
    finally:
        operator.run("resume", "--door", "fifo")

    wait_for(lambda: all_of(stack, ["waits"]))


@pytest.mark.parametrize(
    "message",
    [
        {"MessageDeduplicationId": "1"},
        {"MessageGroupId": "g"},
        {"MessageGroupId": "g", "MessageDeduplicationId": "1", "DelaySeconds": 1},
    ],
    ids=["no group", "no deduplication id", "a delay of its own"],
)
def test_sqs_refuses_what_a_fifo_queue_does_not_take(stack: Stack, message: Any) -> None:
    with pytest.raises(ClientError, match="Parameter"):
        stack.client("sqs").send_message(
            QueueUrl=stack.outputs["FifoQueueUrl"], MessageBody="{}", **message
        )


def all_of(stack: Stack, keys: list[str]) -> dict[str, Any] | None:
    items = stack.items()
    return items if items.keys() >= set(keys) else None


def letters_of(operator: Operator) -> list[Any]:
    """The dead letters of the groups; other tests may have left some without a group."""
    letters = operator.json("dlq", "list")
    return [letter for letter in letters if letter.get("message_group_id") in GROUPS]


def so_many(letters: list[Any], count: int) -> list[Any] | None:
    return letters if len(letters) == count else None
