"""Each way to break the contract of the stages is found and named; what keeps it passes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from faults import BrokenContract
from faults.stage_contract import StageContract
from faults.stages import (
    not_an_object,
    not_json,
    result_doubled,
    result_foreign,
    result_missing,
    too_large,
)

DOCUMENT = {"data_source": "SHOP", "processing_type": "order", "amount": 12.5}
NOW = "2026-03-01T08:30:00Z"


def unchanged(event: Any, _context: object) -> Any:
    results = [{"id": record["id"], "outcome": "ok"} for record in event["records"]]
    return {"results": results, "completed_at": NOW}


def with_data(change: Callable[[str], Any]) -> Any:
    """A stage that answers what ``change`` makes of each document's text."""

    def stage(event: Any, context: object) -> Any:
        answer = unchanged(event, context)
        for record, result in zip(event["records"], answer["results"], strict=True):
            if "transformed_pointer" not in record:
                result["data"] = change(record["transformed"])
        return answer

    return stage


def wrong(change: Callable[[Any], Any]) -> Any:
    """A stage whose answer is changed where there are records."""

    def stage(event: Any, context: object) -> Any:
        answer = unchanged(event, context)
        return change(answer) if event["records"] else answer

    return stage


def having(**change: Any) -> Any:
    """A stage of whose first result something is otherwise."""
    return wrong(lambda answer: {**answer, "results": [answer["results"][0] | change]})


def crashes(event: Any, context: object) -> Any:
    if any(
        "f-0" in record["id"] or "1e400" in record["transformed"] for record in event["records"]
    ):
        raise OverflowError("1e400")
    return unchanged(event, context)


def hangs(event: Any, context: object) -> Any:
    time.sleep(5 if event["records"] else 0)
    return unchanged(event, context)


def answers_for_neighbours(event: Any, context: object) -> Any:
    answer = unchanged(event, context)
    if len(answer["results"]) > 5:
        reason = {"type": "Busy", "message": "too many at once"}
        answer["results"] = [r | {"outcome": "failed", "reason": reason} for r in answer["results"]]
    return answer


_calls = count()


def answers_differently(text: str) -> str:
    return f'{text[:-1]},"call":{next(_calls)}}}'


def rounds(text: str) -> str:
    return json.dumps(json.loads(text))


BROKEN: dict[str, tuple[Any, str]] = {
    "a result is missing": (wrong(result_missing), "no result for 1 records, such as m-1"),
    "a result twice": (wrong(result_doubled), "more than one result for a record"),
    "a foreign result": (wrong(result_foreign), "results for records it was not given"),
    "no object": (wrong(not_an_object), "not an object with 'results' and 'completed_at'"),
    "no JSON": (wrong(not_json), "the answer is no JSON"),
    "too large": (wrong(too_large), "it may have 900000"),
    "no time": (wrong(lambda a: {"results": a["results"]}), "'results' and 'completed_at'"),
    "a time without offset": (
        wrong(lambda a: {**a, "completed_at": "2026-03-01T08:30:00"}),
        "not an ISO-8601 time with an offset",
    ),
    "no such outcome": (having(outcome="done"), "a result is malformed"),
    "rejected without reason": (having(outcome="rejected"), "a result is malformed"),
    "errors that are no list": (
        having(outcome="failed", reason={"type": "T", "message": "m", "errors": "m"}),
        "a result is malformed",
    ),
    "superseded, and no object": (
        having(outcome="superseded"),
        "answered superseded of what is no object in S3",
    ),
    "data that is no text": (with_data(json.loads), "a result is malformed"),
    "data that is no JSON": (with_data(lambda text: text + "}"), "data that is no exact JSON"),
    "data that is no object": (with_data(lambda text: f"[{text}]"), "data that is no JSON object"),
    "data without its source": (with_data(lambda _: "{}"), "data_source is missing"),
    "data too large": (
        with_data(lambda text: f'{text[:-1]},"more":"{"x" * 350_000}"}}'),
        "put the document into S3",
    ),
    "a pointer alone": (having(pointer={"bucket": "b", "key": "k"}), "a pointer without data"),
    "numbers rounded": (with_data(rounds), "was answered as 1.2345678901234567E+19"),
    "poison": (crashes, "numbers that no float holds: it raised OverflowError: 1e400"),
    "a timeout": (hangs, "no answer within 0.05 seconds"),
    "neighbours": (answers_for_neighbours, "it has another result than alone"),
    "another answer each time": (with_data(answers_differently), "a repetition would store"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_function_that_breaks_the_contract_is_told_which_rule_and_when(case: str) -> None:
    handler, rule = BROKEN[case]
    seconds = 0.05 if case == "a timeout" else 60.0

    with pytest.raises(BrokenContract) as caught:
        StageContract(handler, [DOCUMENT], seconds=seconds).check()

    assert rule in str(caught.value)


@pytest.mark.parametrize(
    "handler",
    [unchanged, with_data(lambda text: f'{text[:-1]},"seen":true}}')],
    ids=["as is", "new"],
)
def test_a_function_that_keeps_the_contract_passes(handler: Any) -> None:
    StageContract(handler, [DOCUMENT, DOCUMENT | {"processing_type": "standard"}]).check()


@pytest.mark.parametrize("outcome", ["rejected", "failed"])
def test_a_function_may_reject_and_fail_what_it_likes(outcome: str) -> None:
    def refuses(event: Any, context: object) -> Any:
        answer = unchanged(event, context)
        reason = {"type": "T", "message": "m", "errors": ["m"]}
        answer["results"] = [r | {"outcome": outcome, "reason": reason} for r in answer["results"]]
        return answer

    StageContract(refuses, [DOCUMENT]).check()
