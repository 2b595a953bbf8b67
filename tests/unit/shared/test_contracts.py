from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts import (
    ContractViolation,
    InvalidRecord,
    Result,
    StageRecord,
    answer_size,
    check_response,
    each,
    failed,
    ok,
    rejected,
    respond,
    wire_size,
)

REASON = {"type": "T", "message": "m", "errors": ["m"]}


def answer(*results: Any) -> dict[str, Any]:
    return {"results": list(results), "completed_at": "2026-01-01T00:00:00Z"}


def test_a_right_answer_is_results_by_record_id() -> None:
    results = check_response(
        answer(ok("a", "{}"), rejected("b", REASON), failed("c", "T", "m")),  # type: ignore[arg-type]  # a fake of what it uses
        ["a", "b", "c"],
    )

    assert [results[key]["outcome"] for key in "abc"] == ["ok", "rejected", "failed"]
    assert results["a"]["data"] == "{}"


@pytest.mark.parametrize(
    ("response", "says"),
    [
        (None, "not an object"),
        ([], "not an object"),
        ({"results": []}, "not an object"),
        ({"results": {}, "completed_at": ""}, "not an object"),
        (answer(), "no result for 1 records, such as a"),
        (answer(ok("a"), ok("a")), "more than one result"),
        (answer(ok("a"), ok("b")), "was not given, such as b"),
        (answer("a"), "malformed"),
        (answer({"id": "a"}), "malformed"),
        (answer({"id": "a", "outcome": "done"}), "malformed"),
        (answer({"id": 1, "outcome": "ok"}), "malformed"),
        (answer({"id": "a", "outcome": "ok", "data": {}}), "malformed"),
        (answer({"id": "a", "outcome": "rejected"}), "malformed"),
        (answer({"id": "a", "outcome": "failed", "reason": {"type": "T"}}), "malformed"),
        (answer({"id": "a", "outcome": "failed", "reason": REASON | {"errors": [1]}}), "malformed"),
    ],
)
def test_a_wrong_answer_is_a_contract_violation_that_says_what_is_wrong(
    response: object, says: str
) -> None:
    with pytest.raises(ContractViolation, match=says):
        check_response(response, ["a"])


def test_a_record_found_invalid_is_rejected_and_the_others_go_on() -> None:
    def process(record: StageRecord) -> Result:
        if record["body"] == "bad":
            raise InvalidRecord("T", ["first", "second"])
        return ok(record["id"])

    results = each([{"id": "a", "body": "bad"}, {"id": "b", "body": ""}], process)

    assert [result["outcome"] for result in results] == ["rejected", "ok"]
    assert results[0]["reason"] == {
        "type": "T",
        "message": "first; second",
        "errors": ["first", "second"],
    }


def test_a_stages_answer_honours_its_own_contract() -> None:
    assert check_response(respond([ok("a")]), ["a"]) == {"a": ok("a")}


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("", 2),
        ("ab", 4),
        ("\u0416", 4),
        ("\U0001f600", 6),
        ('"', 4),
        ("\x00", 8),
        ([1, {"a": 2}], 11),
    ],
)
def test_the_size_on_the_wire_is_that_of_compact_json_in_utf_8(value: object, size: int) -> None:
    assert wire_size(value) == size


def test_a_lone_surrogate_has_a_size() -> None:
    assert wire_size("\ud800") == 5


@given(st.recursive(st.text() | st.integers(), st.lists))
def test_an_answer_is_never_larger_than_its_size_says(value: object) -> None:
    escaped, as_it_is = (json.dumps(value, ensure_ascii=escape) for escape in (True, False))

    assert answer_size(value) >= len(escaped.encode())
    assert answer_size(value) >= len(as_it_is.encode("utf-8", "surrogatepass"))
    assert answer_size(value) >= wire_size(value)
