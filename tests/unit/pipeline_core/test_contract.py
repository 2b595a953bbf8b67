from __future__ import annotations

import decimal
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_core.contract import (
    MAX_ANSWER_BYTES,
    MAX_ERRORS,
    ContractViolation,
    InvalidRecord,
    Reason,
    Result,
    StageRecord,
    check_response,
    each,
    failed,
    ok,
    rejected,
    respond,
)
from pipeline_core.sizes import answer_size, wire_size

REASON: Reason = {"type": "T", "message": "m", "errors": ["m"]}


def answer(*results: Any) -> dict[str, Any]:
    return {"results": list(results), "completed_at": "2026-01-01T00:00:00Z"}


def test_a_right_answer_is_results_by_record_id() -> None:
    results = check_response(
        answer(ok("a", "{}"), rejected("b", REASON), failed("c", "T", "m")),
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
        (
            answer({"id": "a", "outcome": "failed", "reason": {**REASON, "errors": [1]}}),
            "malformed",
        ),
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


FAULTS = [
    *(RecursionError, ArithmeticError, decimal.Clamped, ValueError, TypeError, KeyError),
    *(UnicodeError, MemoryError, AttributeError, AssertionError, OSError, NotImplementedError),
]


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_a_records_content_raises_is_that_records_failure(
    fault: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    def process(record: StageRecord) -> Result:
        if record["body"] == "private":
            raise fault("private")
        return ok(record["id"])

    results = each([{"id": "a", "body": "private"}, {"id": "b", "body": ""}], process)

    assert [result["outcome"] for result in results] == ["failed", "ok"]
    assert results[0]["reason"]["type"] == fault.__name__
    assert "test_contract.py, line" in results[0]["reason"]["message"]
    (line,) = caplog.records
    assert line.__dict__["message_id"] == "a"
    assert "raise fault" in line.__dict__["traceback"]
    assert "private" not in str(results)
    assert "'private'" not in str(line.__dict__)


def test_a_transform_that_recurses_without_end_is_a_failure_with_a_short_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def process(record: StageRecord) -> Result:
        return process(record)

    (result,) = each([{"id": "a"}], process)

    assert result["reason"]["type"] == "RecursionError"
    assert len(caplog.records[0].__dict__["traceback"]) < 5_000


ERRORS = st.lists(st.text(min_size=1) | st.sampled_from(["x" * 5_000, "\U0001f600" * 600]))


@given(ERRORS, st.sampled_from([1, 40, 20_000]))
def test_a_hundred_reasons_fit_into_an_answer_however_many_errors_there_are(
    errors: list[str], times: int
) -> None:
    reason = InvalidRecord("ValidationError", errors * times).reason

    assert 100 * (answer_size(rejected("x" * 120, reason)) + 2) < MAX_ANSWER_BYTES
    assert bool(reason["errors"]) == bool(errors)


def test_of_many_errors_the_first_are_told_and_how_many_there_are_more() -> None:
    errors = InvalidRecord("T", [f"error {number}" for number in range(20_000)]).reason["errors"]

    assert errors[:2] == ["error 0", "error 1"]
    assert len(errors) == MAX_ERRORS + 1
    assert errors[-1] == f"and {20_000 - MAX_ERRORS} more"


def test_a_long_error_is_told_as_far_as_it_fits() -> None:
    assert InvalidRecord("T", ["x" * 501]).reason["errors"] == ["x" * 497 + "..."]
    assert InvalidRecord("T", ["x" * 500]).reason["errors"] == ["x" * 500]


def test_a_long_message_of_a_failure_is_told_as_far_as_it_fits() -> None:
    assert len(failed("a", "T", "x" * 100_000)["reason"]["message"]) == 1_000


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
