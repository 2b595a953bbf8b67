from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts import InvalidRecord, StageRecord
from store.items import MAX_ITEM_BYTES, depth, holds, item_of, item_size
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
    assert item["original_data"] == {"M": {"n": {"N": "1.50"}}}
    assert item["transformed_data"]["M"]["data_source"] == {"S": "test.csv"}
    assert "expires_at" not in item


def test_an_item_expires_when_asked_to() -> None:
    item = item_of(record(), STORED_AT, time_to_live_in_days=2)

    assert item["expires_at"] == {"N": "1772496000"}


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (f'{{"n": {"1" * 39}}}', "a number that DynamoDB cannot hold exactly: 1{39}"),
        ('{"n": 1e126}', "cannot hold exactly"),
        ('{"n": [{"deep": 1e-131}]}', "cannot hold exactly: 1E-131"),
        (f'{{"n": {"[" * 33}{"]" * 33}}}', "nested 34 levels deep; DynamoDB takes 32"),
        (json.dumps({"text": "x" * MAX_ITEM_BYTES}), "bytes; DynamoDB takes 409600"),
    ],
)
def test_what_dynamodb_cannot_hold_is_refused_with_the_reason(document: str, says: str) -> None:
    with pytest.raises(InvalidRecord, match=says) as invalid:
        item_of(record(document), STORED_AT, 0)
    assert invalid.value.reason["type"] == "NotStorable"


@given(st.decimals(allow_nan=False, allow_infinity=False) | st.integers())
def test_a_number_that_holds_comes_out_as_it_went_in(number: Decimal | int) -> None:
    if holds(number):
        assert TypeDeserializer().deserialize(TypeSerializer().serialize(number)) == number


@pytest.mark.parametrize("number", ["1e125", "9" * 38, "-1e-130", "0", "0e-400"])
def test_the_largest_and_the_smallest_number_hold(number: str) -> None:
    assert holds(Decimal(number))


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
    [({"S": ""}, 0), ({"M": {}}, 1), ({"L": [{"M": {"a": {"L": []}}}]}, 3)],
)
def test_depth_counts_levels(value: dict[str, Any], levels: int) -> None:
    assert depth(value) == levels
