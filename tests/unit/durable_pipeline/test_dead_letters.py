from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from durable_pipeline import dead_letters
from durable_pipeline.claim_checks import key_of
from durable_pipeline.dead_letters import attributes, send
from durable_pipeline.intake import read
from durable_pipeline.records import Outcome, Record
from pipeline_core.messages import (
    ATTRIBUTE,
    LETTER_ATTRIBUTES,
    MAX_MESSAGE_BYTES,
    NOT_ALLOWED,
    message_size,
    requests,
)
from tests.events import sqs_event, sqs_message
from tests.unit.durable_pipeline.settings import SETTINGS


def letter(
    name: str = "m", body: str = "{}", message: str = "wrong", errors: list[str] | None = None
) -> tuple[Record, Outcome]:
    reason = {"type": "T", "message": message, "errors": errors or [message]}
    outcome: Outcome = {"outcome": "rejected", "stage": "validate", "reason": reason}  # type: ignore[typeddict-item]  # as far as it is read
    sent = {"color": {"stringValue": "red", "dataType": "String"}}
    return Record(name, f"x-{name}", body, 1772354400000, 2, "r", sent), outcome


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


class FakeS3:
    """Takes objects, unless it is ``down``."""

    def __init__(self, *, down: bool = False) -> None:
        self.down = down
        self.objects: dict[str, bytes] = {}

    def put_object(self, Bucket: str, Key: str, Body: bytes, ContentType: str) -> Any:
        if self.down:
            raise ClientError({"Error": {"Code": "SlowDown"}}, "PutObject")
        self.objects[f"{Bucket}/{Key}"] = Body
        return {"ETag": '"etag"'}


def sent(queue: FakeQueue, *letters: tuple[Record, Outcome]) -> list[str]:
    """Ids of the letters that the queue has accepted."""
    refused = send(queue, SETTINGS, letters, execution_arn="arn", failed_at="now")  # type: ignore[arg-type]  # a fake of what it uses
    return [record.id for index, (record, _) in enumerate(letters) if index not in refused]


def test_a_dead_letter_says_why_where_when_and_whose() -> None:
    values = {k: v["StringValue"] for k, v in attributes(*letter(), "arn", "now").items()}

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
    values = attributes(*letter(message=message, errors=errors), "arn", "now")

    assert len(values) <= 10
    for value in values.values():
        assert value["StringValue"]
        assert not NOT_ALLOWED.search(value["StringValue"])


def test_of_very_many_errors_the_first_are_told_and_how_many_more() -> None:
    values = attributes(*letter(errors=[f"error {n}" for n in range(5000)]), "arn", "now")

    errors = json.loads(values["errors"]["StringValue"])
    assert errors[0] == "error 0"
    assert errors[-1] == f"and {5000 - len(errors) + 1} more"


def test_decimals_that_a_stranger_put_where_attributes_stand_hold_back_no_letter() -> None:
    forged = {name: {"stringValue": "x", "dataType": "String"} for name in LETTER_ATTRIBUTES} | {
        "original": {"stringValue": '{"message_attributes": {"x": 1.5}}', "dataType": "String"}
    }
    message = sqs_message("no JSON", attributes=forged)
    (record,) = read({"Records": [message]}, SETTINGS).all_records
    _, outcome = letter()

    values = attributes(record, outcome, "arn", "now")

    assert json.loads(values["original"]["StringValue"])["message_attributes"] == {"x": "1.5"}


def test_only_what_the_queue_accepted_counts_as_sent() -> None:
    assert sent(FakeQueue(), letter("a"), letter("b", "refused"), letter("c")) == ["a", "c"]


def test_a_queue_that_is_down_has_accepted_nothing() -> None:
    assert sent(FakeQueue(down=True), letter("a")) == []


@given(st.lists(st.integers(0, MAX_MESSAGE_BYTES // 2), max_size=30))
def test_requests_are_what_sqs_takes(lengths: list[int]) -> None:
    entries = [
        {"MessageBody": "x" * length, "MessageAttributes": attributes(*letter(), "arn", "now")}
        for length in lengths
    ]

    cut = list(requests(entries))

    assert [entry for request in cut for entry in request] == entries
    for request in cut:
        assert len(request) <= 10
        assert sum(map(message_size, request)) <= MAX_MESSAGE_BYTES


def test_a_letter_too_large_with_its_reason_leaves_its_body_in_s3(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s3, queue = FakeS3(), FakeQueue()
    monkeypatch.setattr(dead_letters, "s3", lambda: s3)
    large = letter(body="ж" * (MAX_MESSAGE_BYTES // 2))

    assert sent(queue, large) == ["m"]

    (entry,) = queue.requests[0]
    (place,) = s3.objects
    assert json.loads(entry["MessageBody"])[1]["s3Key"] == key_of(large[0])
    assert s3.objects[place].decode() == large[0].body
    assert len(entry["MessageAttributes"]) == 10
    assert json.loads(entry["MessageAttributes"]["original"]["StringValue"])["offloaded"] is True


def test_a_letter_too_large_that_s3_does_not_take_has_the_reason_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dead_letters, "s3", lambda: FakeS3(down=True))
    queue = FakeQueue()

    assert sent(queue, letter(body="x" * (MAX_MESSAGE_BYTES - 300))) == ["m"]
    assert sent(queue, letter(body="x" * (MAX_MESSAGE_BYTES - 50))) == []

    (entry,) = queue.requests[0]
    assert set(entry["MessageAttributes"]) == LETTER_ATTRIBUTES


producers = st.dictionaries(
    st.text("abcXYZ_-.", min_size=1, max_size=40),
    st.text('aж"\\', min_size=1, max_size=200),
    max_size=10,
)


@given(producers, st.booleans(), st.booleans())
def test_fourteen_rounds_of_dead_letter_and_redrive_neither_add_nor_lose_anything(
    producers: dict[str, str], by_console: bool, by_all: bool
) -> None:
    """As `pipelinectl` sends it again, or as a console does, which takes a letter as it is."""
    given = {name: {"stringValue": text, "dataType": "String"} for name, text in producers.items()}
    message = sqs_message("{}", "m-0", attributes=given)
    sizes = []
    for number in range(14):
        (record,) = read(sqs_event(message), SETTINGS).all_records
        assert record.attributes == given
        values = attributes(record, letter()[1], "arn", "now")
        sizes.append(len(values["original"]["StringValue"]))
        message = sent_again(values, number, by_console=by_console, by_all=by_all)

    assert len(set(sizes[1:])) == 1


def sent_again(values: Any, number: int, *, by_console: bool, by_all: bool) -> dict[str, Any]:
    texts = {name: value["StringValue"] for name, value in values.items()}
    if not by_console:
        carried = json.loads(texts["original"]) | {"execution_id": texts["execution_id"]}
        texts = {ATTRIBUTE: json.dumps(carried)}
    return sqs_message(
        "{}",
        f"m-{number + 1}",
        attributes={k: {"stringValue": v, "dataType": "String"} for k, v in texts.items()},
        queue="queue" if by_all and by_console else "internal",
    )


def test_the_letter_of_what_is_stored_and_untold_says_just_that() -> None:
    outcome: Outcome = {"outcome": "stored", "stage": "store", "reason": None, "untold": True}

    values = attributes(letter()[0], outcome, "arn", "now")

    assert values["stage"]["StringValue"] == "announce"
    assert values["error_type"]["StringValue"] == "TopicUnavailable"
    assert "it is stored" in values["error_message"]["StringValue"]


def test_an_untold_rejection_keeps_its_reason() -> None:
    record, rejected = letter()
    rejected["untold"] = True

    values = attributes(record, rejected, "arn", "now")

    assert values["error_type"]["StringValue"] == "T"
    assert json.loads(values["errors"]["StringValue"]) == [
        "wrong",
        "and the topic of events was not told",
    ]


@pytest.mark.parametrize(("group", "sent_in"), [("tenant-7", "tenant-7"), ("", None)])
def test_a_letter_is_in_the_group_of_its_record(group: str, sent_in: str | None) -> None:
    queue = FakeQueue()
    record, outcome = letter()
    dead = [(replace(record, message_group_id=group), outcome)]

    send(queue, SETTINGS, dead, execution_arn="a", failed_at="t")  # type: ignore[arg-type]  # a fake of what it uses

    ((entry,),) = queue.requests
    assert entry.get("MessageGroupId") == sent_in
    assert entry.keys() >= {"Id", "MessageBody", "MessageAttributes"}
