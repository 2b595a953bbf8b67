"""What producers can send: each gets one clear rejection and disturbs nobody."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from faults.stages import Crash
from tests.events import ORDER, STANDARD, sqs_event, sqs_message, standard
from tests.integration.conftest import Pipeline

MIB = 1024 * 1024


def with_field(text: str) -> str:
    """A standard record with one more field, written as given."""
    return f'{json.dumps(STANDARD)[:-1]}, "x": {text}}}'


S3_EVENT = {"Records": [{"eventSource": "aws:s3", "s3": {"object": {"key": "a"}}}]}
SNS_ENVELOPE = {"Type": "Notification", "Message": STANDARD, "TopicArn": "arn"}

REJECTED = {
    "empty": ("", "InvalidJson", "Expecting value"),
    "blank": (" \n", "InvalidJson", "Expecting value"),
    "text": ("hello", "InvalidJson", "Expecting value"),
    "half a document": ('{"data_source": "a"', "InvalidJson", "not JSON"),
    "two documents": (json.dumps(STANDARD) * 2, "InvalidJson", "Extra data"),
    "single quotes": (str(STANDARD), "InvalidJson", "double quotes"),
    "deep nesting": (with_field("[" * 100_000), "InvalidJson", "nested too deeply"),
    "deep objects": (with_field('{"a":' * 50_000), "InvalidJson", "nested too deeply"),
    "nesting too deep to store": (with_field("[" * 50 + "]" * 50), "NotStorable", "levels deep"),
    "nesting far too deep": (with_field("[" * 400 + "]" * 400), "NotStorable", "levels deep"),
    "nesting as deep as some Pythons read": (
        with_field('["\u0416",' * 986 + "1" + "]" * 986),
        "InvalidJson",
        "nested too deeply",
    ),
    "thousands of unknown fields": (
        json.dumps(ORDER | {f"f{n}": n for n in range(20_000)}),
        "ValidationError",
        "must not contain f0, f1",
    ),
    "huge integer": (with_field("9" * 100_000), "InvalidJson", "digits"),
    "39 digits": (with_field("9" * 39), "NotStorable", "hold exactly"),
    "huge exponent": (with_field("1e999999999999999999999"), "InvalidJson", "exponent"),
    "large exponent": (with_field("1e1000"), "NotStorable", "hold exactly"),
    "NaN": (with_field("NaN"), "InvalidJson", "NaN"),
    "Infinity": (with_field("-Infinity"), "InvalidJson", "Infinity"),
    "duplicate keys": (with_field('1, "x": 2'), "InvalidJson", "twice"),
    "lone surrogate": (with_field('"\\ud800"'), "InvalidJson", "surrogate"),
    "lone surrogate as a key": (with_field('{"\\udc00": 1}'), "InvalidJson", "surrogate"),
    "NUL in the source": (standard(data_source="a\0b"), "ValidationError", "data_source"),
    "an array": ("[1, 2]", "ValidationError", "must be object"),
    "null": ("null", "ValidationError", "must be object"),
    "a number": ("42", "ValidationError", "must be object"),
    "wrong types": ('{"data_source": 1, "processing_type": []}', "ValidationError", "must be"),
    "no fields": ("{}", "ValidationError", "data_source, processing_type"),
    "an unknown type": (standard(processing_type="nope"), "UnknownProcessingType", "'nope'"),
    "a path as type": (standard(processing_type="../base"), "UnknownProcessingType", "../base"),
    "a method as type": (standard(processing_type="__class__"), "UnknownProcessingType", "class"),
    "an unusable record_id": (standard(record_id=""), "ValidationError", "record_id"),
    "a long record_id": (standard(record_id="x" * 257), "ValidationError", "record_id"),
    "an S3 event look-alike": (json.dumps(S3_EVENT), "UnsupportedEvent", "only from S3"),
    "an SNS look-alike": (json.dumps(SNS_ENVELOPE), "ValidationError", "data_source"),
    "an empty key": (with_field('{"": 1}'), "NotStorable", "a key of 0 bytes"),
    "a very long key": (standard(**{"k" * 70_000: 1}), "NotStorable", "a key of 70000 bytes"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_wrong_input_gets_one_clear_rejection_and_disturbs_nobody(
    pipeline: Pipeline, case: str
) -> None:
    body, error_type, says = REJECTED[case]
    neighbours = [sqs_message(standard(), "left"), sqs_message(standard(), "right")]

    response = pipeline.process(sqs_event(neighbours[0], sqs_message(body, "wrong"), neighbours[1]))

    assert response["summary"] == {"stored": 2, "dead_letters": 1, "back_to_queue": 0}
    assert sorted(pipeline.items) == ["test-left", "test-right"]
    (letter,) = pipeline.dead_letters
    assert letter["error_type"] == error_type
    assert says in letter["error_message"]
    assert letter["body"] == body


ACCEPTED: dict[str, Any] = {
    "unknown fields": {"anything": [1, {"goes": None}]},
    "prototype-like keys": {"__proto__": {"x": 1}, "constructor": "y", "__class__": "z"},
    "NUL in a free field": {"x": "a\0b"},
    "emoji and combining marks": {"x": "\U0001f469\u200d\U0001f4bb e\u0301"},
    "dots and dollars in keys": {"a.b": 1, "$c": 2, "d e": 3},
    "the largest number": {"x": int("9" * 38)},
    "nesting just shallow enough": {"x": json.loads("[" * 30 + "]" * 30)},
    "a look-alike of our own attributes": {"execution_id": "x", "stored_at": "never"},
    "200 KB of text": {"x": "y" * 190_000},
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_unusual_input_that_can_be_stored_is_stored_as_it_is(pipeline: Pipeline, case: str) -> None:
    response = pipeline.process(sqs_event(sqs_message(standard(**ACCEPTED[case]), "m-1")))

    assert response["summary"]["stored"] == 1
    assert pipeline.items["test-m-1"]["original_data"] == STANDARD | ACCEPTED[case]


NUMBERS = {
    "zero with an exponent": ("0e-999", 0),
    "zero with a great exponent": ("0e500", 0),
    "negative zero": ("-0.0", 0),
    "zeros at the end": ("1.5" + "0" * 60, Decimal("1.5")),
    "ten to the 40th": ("1" + "0" * 40, 10**40),
    "ten to the 40th with an exponent": ("1e40", 10**40),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_a_number_that_is_oddly_written_is_stored_as_what_it_is(
    pipeline: Pipeline, case: str
) -> None:
    text, number = NUMBERS[case]

    pipeline.process(sqs_event(sqs_message(with_field(text), "m-1")))

    assert pipeline.items["test-m-1"]["original_data"]["x"] == number


def test_a_document_too_large_for_its_item_lies_in_the_output_bucket(pipeline: Pipeline) -> None:
    body = standard(text="x" * 210_000)

    response = pipeline.process(sqs_event(sqs_message(body, "m-1")))

    assert response["summary"]["stored"] == 1
    pointer = pipeline.items["test-m-1"]["transformed_data_pointer"]
    content = pipeline.s3.get_object(Bucket=pointer["bucket"], Key=pointer["key"])["Body"].read()
    assert json.loads(content)["text"] == "x" * 210_000


def test_a_byte_order_mark_before_a_body_is_no_fault(pipeline: Pipeline) -> None:
    pipeline.process(sqs_event(sqs_message("\ufeff" + standard(), "m-1")))

    assert pipeline.items["test-m-1"]["original_data"] == STANDARD


def test_message_attributes_at_their_limit_reach_the_dead_letter(pipeline: Pipeline) -> None:
    attributes = {
        f"name{n}": {"stringValue": "\u00e4" * 20_000, "dataType": "String"} for n in range(10)
    }

    pipeline.process(sqs_event(sqs_message("wrong", "m-1", attributes=attributes)))

    (letter,) = pipeline.dead_letters
    assert json.loads(letter["original"])["message_attributes"] == attributes


def test_a_dead_letter_too_large_for_its_reason_points_to_its_body(pipeline: Pipeline) -> None:
    body = "x" * (MIB - 50)

    pipeline.process(sqs_event(sqs_message(body, "m-1")))

    (letter,) = pipeline.dead_letters
    place = json.loads(letter["body"])[1]
    stored = pipeline.s3.get_object(Bucket=place["s3BucketName"], Key=place["s3Key"])
    assert stored["Body"].read().decode() == body
    assert letter["error_type"] == "InvalidJson"
    assert len(letter) == 1 + 10  # with all its attributes


def test_one_that_points_to_its_body_is_sent_again_as_what_it_was(pipeline: Pipeline) -> None:
    body = standard(text="ж" * (MIB // 2 - 100))
    pipeline.inject("transform", Crash(), attempts=[1, 2])
    pipeline.process(sqs_event(sqs_message(body, "m-1", receive_count=3)))
    (letter,) = pipeline.redeliver(pipeline.dead_letter_queue_url)

    letter["eventSourceARN"] = letter["eventSourceARN"].replace("dead-letters", "internal")
    response = pipeline.process(sqs_event(letter))

    assert response["summary"]["stored"] == 1
    assert set(pipeline.items) == {"test-m-1"}


@pytest.mark.parametrize("attribute", ["", "not a number", "-1", "9" * 50, "\u0663"])
def test_a_forged_send_time_is_ignored(pipeline: Pipeline, attribute: str) -> None:
    forged = {"sent_timestamp": {"stringValue": attribute, "dataType": "String"}}

    pipeline.process(sqs_event(sqs_message(standard(), "m-1", attributes=forged)))

    assert pipeline.items["test-m-1"]["sent_timestamp"] == 1772354400000
