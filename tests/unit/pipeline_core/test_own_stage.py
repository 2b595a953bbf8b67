"""What an own stage answers may be stored, or is its record's rejection or failure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_core.contract import Result, failed, ok, rejected, superseded
from pipeline_core.own_stage import checked
from pipeline_core.sizes import MAX_TRANSFORMED_BYTES, POINTED_BYTES, checkpoint_size

HEAD = {"data_source": "SHOP", "processing_type": "order"}
POINTER: Any = {"bucket": "mine", "key": "large"}

WRONG = {
    "no JSON": ("{", "data that is no exact JSON"),
    "a key twice": ('{"a":1,"a":2}', "data that is no exact JSON"),
    "not a number": ('{"a":NaN}', "data that is no exact JSON"),
    "a lone surrogate": ('{"a":"\\ud800"}', "data that is no exact JSON"),
    "too deep": ("[" * 600 + "]" * 600, "data that is no exact JSON"),
    "a list": ("[]", "data that is no JSON object"),
    "no source": ('{"processing_type":"order"}', "data whose data_source is missing"),
    "an empty type": ('{"data_source":"A","processing_type":""}', "processing_type is empty"),
    "a source that is a number": ('{"data_source":1,"processing_type":"a"}', "must be text"),
}


@pytest.mark.parametrize("case", WRONG)
def test_data_that_cannot_be_stored_fails_its_record_and_says_why(case: str) -> None:
    data, why = WRONG[case]

    result = checked(ok("m-1", data))

    assert (result["id"], result["outcome"]) == ("m-1", "failed")
    assert result["reason"]["type"] == "ContractViolation"
    assert why in result["reason"]["message"]
    assert "add-a-stage.md" in result["reason"]["message"]


def test_a_pointer_needs_a_head() -> None:
    assert "a pointer without data" in checked(ok("m-1", None, POINTER))["reason"]["message"]
    assert checked(ok("m-1", json.dumps(HEAD), POINTER))["outcome"] == "ok"


@pytest.mark.parametrize(
    "result",
    [
        ok("m-1"),
        ok("m-1", json.dumps(HEAD)),
        failed("m-1", "T", "m"),
        rejected("m-1", {"type": "T", "message": "m"}),
    ],
)
def test_what_may_go_on_is_left_as_it_is(result: Result) -> None:
    assert checked(result) is result


def test_only_an_object_can_be_superseded() -> None:
    pointer: Any = {"bucket": "input", "key": "input/a.json"}
    state = {**pointer, "sequencer": "0A"}
    of_object: Any = {"id": "m-1", "pointer": state}
    of_message: Any = {"id": "m-1", "pointer": pointer}

    assert checked(superseded("m-1"), of_object)["outcome"] == "superseded"
    records: list[Any] = [of_message, {"id": "m-1", "body": "{}"}, None]
    for record in records:
        result = checked(superseded("m-1"), record)
        assert (result["outcome"], result["reason"]["type"]) == ("failed", "ContractViolation")


@pytest.mark.parametrize("pointed", [True, False])
@given(more=st.integers(-3, 3))
def test_data_is_as_large_as_transform_may_answer_and_not_a_byte_more(
    pointed: bool, more: int
) -> None:
    record: Any = {"id": "m-1", "pointer" if pointed else "body": "x"}
    most = POINTED_BYTES if pointed else MAX_TRANSFORMED_BYTES
    room = most - checkpoint_size(json.dumps(HEAD | {"text": ""}))

    result = checked(ok("m-1", json.dumps(HEAD | {"text": "x" * (room + more)})), record)

    assert result["outcome"] == ("rejected" if more > 0 else "ok")
    if more > 0:
        assert result["reason"]["type"] == "RecordTooLarge"
        assert f"may have {most}" in result["reason"]["message"]
