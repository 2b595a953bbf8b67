from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from durable_pipeline.dead_letters import (
    MAX_MESSAGE_BYTES,
    NOT_ALLOWED,
    DeadLetter,
    attributes,
    batches,
    message_size,
    send,
)
from durable_pipeline.records import Outcome, Record


def letter(
    name: str = "m", body: str = "{}", message: str = "wrong", errors: list[str] | None = None
) -> DeadLetter:
    reason = {"type": "T", "message": message, "errors": errors or [message]}
    outcome: Outcome = {"outcome": "rejected", "stage": "validate", "reason": reason}  # type: ignore[typeddict-item]  # as far as it is read
    sent = {"color": {"stringValue": "red", "dataType": "String"}}
    return DeadLetter(Record(name, f"x-{name}", body, 1772354400000, 2, "r", sent), outcome)


class FakeQueue:
    """Accepts messages, all but those whose body is "refused"; fails whole when ``down``."""

    def __init__(self, *, down: bool = False) -> None:
        self.down = down
        self.requests: list[list[dict[str, Any]]] = []

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> Any:
        self.requests.append(Entries)
        if self.down:
            raise ClientError({"Error": {"Code": "ServiceUnavailable"}}, "SendMessageBatch")
        good = [entry for entry in Entries if entry["MessageBody"] != "refused"]
        bad = [entry for entry in Entries if entry["MessageBody"] == "refused"]
        return {"Successful": good, "Failed": bad}


def sent(queue: FakeQueue, *letters: DeadLetter) -> list[str]:
    return send(queue, "url", letters, execution_arn="arn", failed_at="now")  # type: ignore[arg-type]  # a fake of what it uses


def test_a_dead_letter_says_why_where_when_and_whose() -> None:
    values = {k: v["StringValue"] for k, v in attributes(letter(), "arn", "now").items()}

    assert values == {
        "stage": "validate",
        "error_type": "T",
        "error_message": "wrong",
        "errors": '["wrong"]',
        "durable_execution_arn": "arn",
        "original_message_id": "m",
        "receive_count": "2",
        "execution_id": "x-m",
        "failed_at": "now",
        "original": json.dumps(
            {
                "sent_timestamp": 1772354400000,
                "message_attributes": {"color": {"stringValue": "red", "dataType": "String"}},
            }
        ),
    }


@given(st.text(st.characters(exclude_categories=[])), st.lists(st.text(), max_size=50))
def test_attributes_are_what_sqs_takes(message: str, errors: list[str]) -> None:
    values = attributes(letter(message=message, errors=errors), "arn", "now")

    assert len(values) <= 10
    for value in values.values():
        assert value["StringValue"]
        assert not NOT_ALLOWED.search(value["StringValue"])


def test_of_very_many_errors_the_first_are_told_and_how_many_more() -> None:
    values = attributes(letter(errors=[f"error {n}" for n in range(5000)]), "arn", "now")

    errors = json.loads(values["errors"]["StringValue"])
    assert errors[0] == "error 0"
    assert errors[-1] == f"and {5000 - len(errors) + 1} more"


def test_only_what_the_queue_accepted_counts_as_sent() -> None:
    assert sent(FakeQueue(), letter("a"), letter("b", "refused"), letter("c")) == ["a", "c"]


def test_a_queue_that_is_down_has_accepted_nothing() -> None:
    assert sent(FakeQueue(down=True), letter("a")) == []


@given(st.lists(st.integers(0, MAX_MESSAGE_BYTES // 2), max_size=30))
def test_requests_are_what_sqs_takes(lengths: list[int]) -> None:
    entries = [
        {"MessageBody": "x" * length, "MessageAttributes": attributes(letter(), "arn", "now")}
        for length in lengths
    ]

    requests = list(batches(entries))

    assert [entry for request in requests for entry in request] == entries
    for request in requests:
        assert len(request) <= 10
        assert sum(map(message_size, request)) <= MAX_MESSAGE_BYTES
