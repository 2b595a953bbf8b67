from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_core.contract import InvalidRecord, StageRecord
from pipeline_core.objects import Pointer
from store.items import MAX_ITEM_BYTES, item_of, item_size
from store.items import depth as depth_of
from tests.events import STANDARD

STORED_AT = "2026-03-01T00:00:00.000000Z"


def record(document: str = "{}", **more: str) -> StageRecord:
    transformed = json.dumps(STANDARD)
    return {
        "id": "m-1",
        "message_id": "m-1",
        "sent_timestamp": 1,
        "by_producer": False,
        "execution_id": "x",
        "body": document,
        "transformed": transformed,
        "processed_at": STORED_AT,
        **more,  # type: ignore[typeddict-item]  # as far as it is read
    }


def test_an_item_has_what_was_received_and_what_became_of_it() -> None:
    item = item_of(record('{"n": 1.50}'), STORED_AT, time_to_live_in_days=0)

    assert item["execution_id"] == {"S": "x"}
    assert item["original_data"] == {"M": {"n": {"N": "1.5"}}}
    assert item["transformed_data"]["M"]["data_source"] == {"S": "test.csv"}
    assert "expires_at" not in item


def test_an_item_names_the_execution_that_stored_it() -> None:
    item = item_of(record(), STORED_AT, 0, execution_arn="arn:aws:lambda:x/y")

    assert item["durable_execution_arn"] == {"S": "arn:aws:lambda:x/y"}
    assert "durable_execution_arn" not in item_of(record(), STORED_AT, 0)


@given(st.integers(0, 600))
def test_the_name_of_its_execution_counts_where_an_item_is_full(missing: int) -> None:
    arn = "arn:aws:lambda:eu-central-1:123456789012:function:" + "x" * 200
    document = json.dumps(STANDARD | {"text": "x" * (MAX_ITEM_BYTES - missing)})

    item = item_of(record(document), STORED_AT, 0, put, arn)

    assert item["durable_execution_arn"] == {"S": arn}
    assert item_size(item) <= MAX_ITEM_BYTES


def test_an_item_expires_when_asked_to() -> None:
    item = item_of(record(), STORED_AT, time_to_live_in_days=2)

    assert item["expires_at"] == {"N": "1772496000"}


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (f'{{"n": {"1" * 39}}}', "a number that DynamoDB cannot hold exactly: 1{39}"),
        ('{"n": 1e126}', "cannot hold exactly"),
        ('{"n": [{"deep": 1e-131}]}', "cannot hold exactly: 1E-131"),
        (f'{{"n": {"[" * 33}{"]" * 33}}}', "nested 34 levels deep; DynamoDB takes 31"),
        ('{"a": {"": 1}}', "original_data has a key of 0 bytes; DynamoDB takes 1 to 65535"),
        (json.dumps({"k" * 65_536: 1}), "a key of 65536 bytes"),
    ],
)
def test_what_dynamodb_cannot_hold_is_refused_with_the_reason(document: str, says: str) -> None:
    with pytest.raises(InvalidRecord, match=says) as invalid:
        item_of(record(document), STORED_AT, 0)
    assert invalid.value.reason["type"] == "NotStorable"


@pytest.mark.parametrize("depth", [200, 400, 985, 50_000])
def test_depth_is_asked_without_recursion(depth: int) -> None:
    document: dict[str, Any] = {}
    for _ in range(depth):
        document = {"a": document}

    assert depth_of(document) == depth + 1


def test_a_key_longer_than_dynamodb_takes_is_refused() -> None:
    with pytest.raises(InvalidRecord, match="execution_id is longer than 2048 bytes"):
        item_of(record(execution_id="x" * 2049), STORED_AT, 0)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "straße"}, 7),
        ({"N": "123"}, 3),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"L": []}, 3),
        ({"L": [{"S": "ab"}, {"S": "c"}]}, 3 + 3 + 2),
        ({"M": {"k": {"S": "ab"}}}, 3 + 1 + 2 + 1),
    ],
)
def test_size_counts_as_dynamodb_does(value: dict[str, Any], size: int) -> None:
    assert item_size({"name": value}) == len("name") + size


@pytest.mark.parametrize(
    ("value", "levels"),
    [("", 0), (None, 0), ({}, 1), ([1, "a"], 1), ([{"a": []}], 3), ([[], [[]], 1], 3)],
)
def test_depth_counts_levels(value: object, levels: int) -> None:
    assert depth_of(value) == levels


def put(key: str, text: str) -> Pointer:
    return {"bucket": "output", "key": key, "etag": "e", "size": len(text.encode())}


def test_the_larger_document_lies_in_s3_where_an_item_is_too_small_for_both() -> None:
    large = json.dumps(STANDARD | {"text": "x" * 300_000})
    small = json.dumps(STANDARD | {"text": "x" * 200_000})

    for original, transformed in ((large, small), (small, large)):
        item = item_of(record(original, transformed=transformed), STORED_AT, 0, put)
        inside, outside = ("transformed", "original")[:: 1 if original is large else -1]
        assert f"{inside}_data" in item
        assert f"{outside}_data" not in item
        pointer = item[f"{outside}_data_pointer"]["M"]
        assert pointer["key"]["S"].endswith(f"/{outside}.json")


def test_what_dynamodb_cannot_hold_is_not_put_into_s3_either() -> None:
    document = json.dumps({"n": 0, "text": "x" * MAX_ITEM_BYTES}).replace("0", "9" * 39, 1)

    def refuse(key: str, text: str) -> Pointer:
        raise AssertionError(key)

    with pytest.raises(InvalidRecord, match="cannot hold exactly"):
        item_of(record(document), STORED_AT, 0, refuse)


def test_an_item_too_large_without_its_documents_is_refused() -> None:
    transformed = json.dumps(STANDARD | {"data_source": "x" * MAX_ITEM_BYTES})

    with pytest.raises(InvalidRecord, match="Shorten its data_source"):
        item_of(record(transformed=transformed), STORED_AT, 0, put)


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from(["1", "-1.5", '"a"', '"\u0416"', "[]", '{"a":1}', '"abcdefgh"', "9e99"]),
    st.integers(1, 400_000),
)
def test_an_item_is_never_larger_than_dynamodb_takes(element: str, size: int) -> None:
    elements = ",".join([element] * (size // (len(element.encode()) + 1) + 1))

    item = item_of(record(f'{{"x":[{elements}]}}'), STORED_AT, 0, put)

    assert item_size(item) <= MAX_ITEM_BYTES
    assert ("original_data" in item) != ("original_data_pointer" in item)


def test_an_item_has_the_group_that_its_message_was_in_and_else_no_such_attribute() -> None:
    item = item_of(record(message_group_id="tenant-7"), STORED_AT, 0)

    assert item["message_group_id"] == {"S": "tenant-7"}
    assert "message_group_id" not in item_of(record(), STORED_AT, 0)
