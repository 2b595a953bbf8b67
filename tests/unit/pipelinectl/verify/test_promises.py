from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelinectl.items import Item
from pipelinectl.verify.judging import Run, Seen, Verdict
from pipelinectl.verify.promises import LINES, judged_code, judged_file
from pipelinectl.verify.seen import Execution, denials
from pipelinectl.verify.sent import COUNTS, IN_ORDER
from tests.documents import ROOT
from tests.unit.pipelinectl.verify.runs import NAMES, item, letter, run, told

BY_NAME = {line.name: line for line in LINES}
DENIED = (
    "User: arn:aws:sts::123456789012:assumed-role/prod-StoreRole-1/prod-store is not authorized "
    "to perform: dynamodb:PutItem because no identity-based policy allows it"
)


def look(one: Run, name: str) -> Seen:
    return BY_NAME[name].look(one)


def execution(payload: str, *stages: str, result: str = "") -> Execution:
    """One that has ended, with a chained invoke of each stage."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    events: list[dict[str, Any]] = [
        {"EventType": "ExecutionStarted", "Id": "e", "EventTimestamp": at}
    ]
    for number, stage in enumerate(stages):
        name = f"arn:aws:lambda:eu-west-1:123456789012:function:prod-{stage}"
        common = {
            "Id": str(number),
            "Name": stage,
            "EventTimestamp": at + timedelta(seconds=number),
        }
        events += [
            {
                "EventType": "ChainedInvokeStarted",
                "ChainedInvokeStartedDetails": {"FunctionName": name},
                **common,
            },
            {
                "EventType": "ChainedInvokeSucceeded",
                "ChainedInvokeSucceededDetails": {"Result": {"Payload": result}},
                **common,
            },
        ]
    return Execution("arn", "SUCCEEDED", payload, tuple(events))


def test_every_line_says_what_it_promises_and_where_that_is_written() -> None:
    assert len(BY_NAME) == len(LINES)
    assert [line.name for line in LINES if not (ROOT / line.source).is_file()] == []
    assert all(set(line.after) <= BY_NAME.keys() for line in LINES)


def test_an_item_with_what_was_sent_holds() -> None:
    one = run()
    told(one).items[NAMES.record_id("message")] = item("message")

    assert look(one, "message").verdict is Verdict.HOLDS


@pytest.mark.parametrize(
    ("times", "verdict"),
    [("123", Verdict.HOLDS), ("132", Verdict.DIFFERS), ("113", Verdict.DIFFERS)],
)
def test_items_that_were_not_stored_one_after_the_other_differ(
    times: str, verdict: Verdict
) -> None:
    one = run()
    for name, at in zip(IN_ORDER, times, strict=True):
        told(one).items[NAMES.record_id(name)] = item(name, stored_at=at)

    assert look(one, "in-order").verdict is verdict


def test_one_in_order_that_is_missing_is_awaited() -> None:
    assert look(run(), "in-order").verdict is Verdict.AWAITED


def test_an_item_of_something_else_differs() -> None:
    one = run()
    told(one).items[NAMES.record_id("message")] = item("message", data_source="OTHER")

    assert look(one, "message").verdict is Verdict.DIFFERS


@pytest.mark.parametrize(
    ("more", "verdict", "said"),
    [
        ({"message_group_id": NAMES.prefix}, Verdict.HOLDS, f"is in group {NAMES.prefix}"),
        ({"message_group_id": "another"}, Verdict.DIFFERS, "is in group another, sent in verify-"),
        ({}, Verdict.DIFFERS, "is in no group, sent in verify-"),
    ],
)
def test_a_message_that_lost_its_group_on_the_way_differs(
    more: dict[str, str], verdict: Verdict, said: str
) -> None:
    one = run()
    assert look(one, "message-group").verdict is Verdict.AWAITED
    told(one).items[NAMES.record_id("message")] = item("message", **more)

    assert look(one, "message-group").verdict is verdict
    assert said in look(one, "message-group").text


def test_no_item_is_awaited_until_something_tells_why() -> None:
    one = run()
    assert look(one, "message").verdict is Verdict.AWAITED

    payload = NAMES.record_id("message")
    told(one).executions["arn"] = execution(payload, "store", result=DENIED)

    assert look(one, "message").verdict is Verdict.DIFFERS
    assert "prod-store: dynamodb:PutItem was denied" in look(one, "message").text


def test_a_dead_letter_instead_of_an_item_differs() -> None:
    one = run()
    told(one).letters["x"] = letter("message", stage="read", error_type="InvalidPointer")

    assert look(one, "message").text == "a dead letter: read, InvalidPointer"


def test_what_is_right_about_a_dead_letter_holds() -> None:
    one = run()
    one.sent.message_ids["rejected"] = ["m-rejected"]
    told(one).letters["x"] = letter("rejected")

    assert look(one, "rejected").verdict is Verdict.HOLDS


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"stage": "store"}, "store, ValidationError; right is validate"),
        ({"error_type": "Other"}, "right is validate, ValidationError"),
        ({"errors": '["order_id, sku, unit_price, currency, ordered_at"]'}, "names quantity"),
        ({"original_message_id": "another"}, "original_message_id"),
        ({"body": f'{{"record_id": "{NAMES.record_id("rejected")}"}}'}, "the body is not what"),
        ({"durable_execution_arn": ""}, "no durable_execution_arn"),
    ],
)
def test_each_thing_that_a_dead_letter_says_wrongly_is_named(
    wrong: Mapping[str, str], said: str
) -> None:
    one = run()
    one.sent.message_ids["rejected"] = ["m-rejected"]
    told(one).letters["x"] = letter("rejected", **wrong)

    seen = look(one, "rejected")

    assert seen.verdict is Verdict.DIFFERS
    assert said in seen.text


def test_a_second_item_of_one_record_differs() -> None:
    one = run()
    one.sent.message_ids["same-record"] = ["m-1", "m-2"]
    told(one).items = {
        NAMES.record_id("same-record"): item("same-record"),
        "test-m-2": item("same-record"),
    }

    assert look(one, "same-record").text == "items test-m-2 beside that of the record_id"


def test_one_item_is_only_known_once_both_messages_were_worked_on() -> None:
    one = run()
    one.sent.message_ids["same-record"] = ["m-1", "m-2"]
    told(one).items[NAMES.record_id("same-record")] = item("same-record")
    told(one).executions["a"] = execution("m-1")

    assert look(one, "same-record").verdict is Verdict.AWAITED
    told(one).executions["b"] = execution("m-2")
    assert look(one, "same-record").verdict is Verdict.HOLDS


def test_without_a_dead_letter_to_redrive_nothing_is_seen_of_redriving() -> None:
    assert look(run(), "redriven").otherwise is Verdict.UNSEEN


def test_done_with_the_right_counts_is_what_notify_enters() -> None:
    one = run()
    for name in ("input-document", "input-file"):
        told(one).entries[NAMES.objects[name].path] = {"state": "done", "counts": COUNTS}

    assert look(one, "notified").verdict is Verdict.HOLDS
    told(one).entries[NAMES.objects["input-file"].path]["counts"] = {**COUNTS, "rejects": 0}
    assert look(one, "notified").verdict is Verdict.DIFFERS
    told(one).entries[NAMES.objects["input-file"].path]["state"] = "processing"
    assert look(one, "notified").verdict is Verdict.AWAITED


def test_the_history_of_a_good_record_shows_three_stages_and_of_a_wrong_one_the_first() -> None:
    one, good = run(), NAMES.record_id("message")
    told(one).executions["a"] = execution(NAMES.record_id("rejected"), "validate")
    told(one).executions["b"] = execution(good, "validate", "transform")

    assert look(one, "timeline").text.endswith("shows store")
    told(one).executions["c"] = execution(good, "validate", "transform", "store")
    assert look(one, "timeline").verdict is Verdict.HOLDS


@pytest.mark.parametrize(
    ("live", "beside", "hashes", "verdict"),
    [
        ("2", [], {"$LATEST": "b", "1": "a", "2": "b"}, Verdict.HOLDS),
        ("10", [], {"$LATEST": "b", "9": "a", "10": "b"}, Verdict.HOLDS),
        ("1", [], {"$LATEST": "b", "1": "a", "2": "b"}, Verdict.DIFFERS),
        ("2", ["1"], {"$LATEST": "b", "1": "a", "2": "b"}, Verdict.DIFFERS),
        ("2", [], {"$LATEST": "c", "1": "a", "2": "b"}, Verdict.DIFFERS),
    ],
)
def test_the_alias_must_be_all_of_the_newest_version_with_the_newest_code(
    live: str, beside: list[str], hashes: Mapping[str, str], verdict: Verdict
) -> None:
    assert judged_code(live, beside, hashes).verdict is verdict


@pytest.mark.parametrize(
    ("results", "counts", "verdict"),
    [
        (2, COUNTS, Verdict.HOLDS),
        (1, COUNTS, Verdict.DIFFERS),
        (2, {**COUNTS, "rows": 2}, Verdict.DIFFERS),
    ],
)
def test_a_file_s_lines_and_its_manifest_must_both_count_right(
    results: int, counts: Mapping[str, int], verdict: Verdict
) -> None:
    manifest = {"parts": [{"results_key": "results", "rejects_key": "rejects"}], "counts": counts}
    content = {"results": b"{}\n" * results, "rejects": b"{}\n"}

    assert judged_file(manifest, content.__getitem__).verdict is verdict


def test_who_was_denied_what_is_read_out_of_any_text() -> None:
    text = json.dumps({"message": DENIED, "again": DENIED})

    assert list(denials(text)) == ["prod-store: dynamodb:PutItem"]
    assert list(denials("nothing of that kind")) == []


def test_rows_of_a_file_that_asks_for_it_must_be_items() -> None:
    one = run()
    keys = NAMES.row_ids("input-file", "test")
    told(one).items[keys[0]] = Item({"execution_id": keys[0]})

    assert look(one, "row-items").verdict is Verdict.AWAITED
    told(one).items[keys[1]] = Item({"execution_id": keys[1]})
    assert look(one, "row-items").verdict is Verdict.HOLDS
