from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_pipeline.reader import MAX_BODY_BYTES, read
from tests.events import sqs_event, sqs_message, standard
from tests.unit.durable_pipeline.settings import SETTINGS


def execution_id(body: str, **attributes: str) -> str:
    sent = {name: {"stringValue": value} for name, value in attributes.items()}
    (record,) = read(sqs_event(sqs_message(body, "m-1", attributes=sent)), SETTINGS).records
    return record.execution_id


def test_a_message_is_a_record_with_its_body_untouched() -> None:
    event = sqs_event(sqs_message(" {} ", "m-1", receive_count=4))

    (record,) = read(event, SETTINGS).records

    assert (record.id, record.body, record.receive_count) == ("m-1", " {} ", 4)
    assert record.receipt_handle == "receipt-m-1"


def test_identity_is_the_environment_and_the_message_id() -> None:
    assert execution_id(standard()) == "dev-m-1"


def test_identity_is_the_producers_record_id_if_there_is_one() -> None:
    assert execution_id(standard(record_id="mine")) == "mine"


def test_identity_is_that_of_the_message_it_was_before_if_it_was_redriven() -> None:
    assert execution_id(standard(record_id="mine"), execution_id="kept") == "kept"


@pytest.mark.parametrize("record_id", [None, "", 1, ["x"], {"record_id": "inner"}])
def test_a_record_id_that_is_no_text_is_no_identity(record_id: object) -> None:
    assert execution_id(json.dumps({"record_id": record_id})) == "dev-m-1"


@given(st.text())
def test_any_text_is_read(body: str) -> None:
    batch = read(sqs_event(sqs_message(body)), SETTINGS)

    assert [record.body for record in batch.records] == [body]


def test_a_body_that_cannot_become_an_item_is_rejected_here() -> None:
    event = sqs_event(
        sqs_message("x" * MAX_BODY_BYTES, "fits"), sqs_message("ß" * MAX_BODY_BYTES, "large")
    )

    batch = read(event, SETTINGS)

    assert [record.id for record in batch.records] == ["fits"]
    assert batch.unreadable["large"]["outcome"] == "rejected"
    assert "819200 bytes" in batch.unreadable["large"]["reason"]["message"]  # type: ignore[index]  # it has a reason


@pytest.mark.parametrize(
    "event", [{}, {"detail": {}}, {"Records": "x"}, {"Records": [{"eventSource": "aws:sns"}]}]
)
def test_an_event_that_is_none_of_sqs_says_what_to_send(event: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="send the message to the queue"):
        read(event, SETTINGS)


def test_a_message_delivered_twice_in_a_batch_is_one_record() -> None:
    first, second = sqs_message("{}", "m-1"), sqs_message("{}", "m-1")
    second["receiptHandle"] = "newer"

    (record,) = read(sqs_event(first, second), SETTINGS).all_records

    assert record.receipt_handle == "newer"
