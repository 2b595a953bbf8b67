from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline_core import events
from pipeline_core.events import (
    MAX_CHARACTERS,
    MAX_ERRORS,
    ProcessingEvent,
    door_of,
    is_processing_event,
    message_attributes,
)
from pipeline_core.objects import ObjectState

SNS_BYTES = 256 * 1024

STATE: ObjectState = {
    "bucket": "in",
    "key": "input/größe.csv",
    "version_id": "v",
    "etag": "e",
    "size": 7,
    "sequencer": "0055AED6DCD90281E500000000000000",
}

DONE: ProcessingEvent = {
    "event": "done",
    "object": STATE,
    "execution_id": "dev-1",
    "durable_execution_arn": "arn",
    "at": "2026-03-01T00:00:00.000000Z",
    "counts": {"rows": 3, "results": 2, "rejects": 1},
    "manifest": {"bucket": "out", "key": "results/x/manifest.json"},
}

FAILED: ProcessingEvent = {
    "event": "failed",
    "object": STATE,
    "execution_id": "dev-1",
    "durable_execution_arn": "arn",
    "at": "2026-03-01T00:00:00Z",
    "stage": "store",
    "reason": {"type": "T", "message": "m", "errors": ["one", "two"]},
}


@pytest.mark.parametrize("event", [DONE, FAILED, FAILED | {"reason": {"type": "T", "message": ""}}])
def test_an_event_arrives_as_it_was_sent(event: ProcessingEvent) -> None:
    assert events.parse(events.dump(event)) == event


def test_what_else_is_in_an_event_is_left_out() -> None:
    body = json.dumps({**DONE, "colour": "red", "object": {**STATE, "colour": "red"}})

    assert events.parse(body) == DONE


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"event": "gone"}, "event is 'gone'; it must be one of: done, failed, processing"),
        ({"event": None}, "event is missing"),
        ({"object": None}, "object.sequencer is missing"),
        ({"object": {**STATE, "key": ""}}, "object.key is empty"),
        ({"object": {**STATE, "sequencer": "0055aed6"}}, "object.sequencer is not normalized"),
        ({"execution_id": 7}, "execution_id is not of that type; it must be text"),
        ({"durable_execution_arn": None}, "durable_execution_arn is missing"),
        ({"at": "yesterday"}, "at is 'yesterday'; it must be an ISO-8601 time with an offset"),
        ({"counts": {"rows": 1, "results": 1}}, "counts.rejects is missing; it must be a number"),
        ({"manifest": {"bucket": "out"}}, "manifest.key is missing"),
        ({"reason": {"message": "m"}}, "reason.type is missing"),
        ({"reason": {"type": "T", "errors": [1]}}, "reason.errors is not a list of texts"),
    ],
)
def test_what_is_wrong_with_an_event_is_named(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=f"not a processing event: {says}"):
        events.parse(json.dumps({**DONE, **change}))


def test_a_body_that_is_not_json_is_named() -> None:
    with pytest.raises(ValueError, match="not JSON"):
        events.parse("nope")


def test_a_long_reason_fits_what_sns_takes() -> None:
    errors = ["\x01" * 5000] * 500
    event: ProcessingEvent = {
        **FAILED,
        "reason": {"type": "T", "message": "m" * 10**6, "errors": errors},
    }

    message = events.dump(event)

    assert len(message.encode()) < SNS_BYTES
    reason = events.parse(message)["reason"]
    assert len(reason["message"]) == MAX_CHARACTERS
    assert reason["message"].endswith("m...")
    assert len(reason["errors"]) == MAX_ERRORS + 1
    assert reason["errors"][-1] == "and 480 more"


def test_a_reason_with_what_utf8_cannot_hold_can_be_sent() -> None:
    event: ProcessingEvent = {**FAILED, "reason": {"type": "T", "message": "\ud800"}}

    assert events.parse(events.dump(event))["reason"]["message"] == "?"


@pytest.mark.parametrize(
    ("key", "door"),
    [
        ("input/a/b.csv", "input"),
        ("direct/a.json", "direct"),
        ("messages/a.json", "messages"),
        ("input", "other"),
        ("inputs/a", "other"),
        ("other/a", "other"),
        ("/input/a", "other"),
    ],
)
def test_the_first_part_of_a_key_is_its_door(key: str, door: str) -> None:
    assert door_of(key) == door


def test_subscriptions_can_filter_by_event_and_door() -> None:
    assert message_attributes(DONE) == {
        "event": {"DataType": "String", "StringValue": "done"},
        "door": {"DataType": "String", "StringValue": "input"},
    }


@pytest.mark.parametrize(("document", "is_one"), [({"event": 1}, True), ({}, False), ([], False)])
def test_an_event_is_told_from_other_messages(document: object, is_one: bool) -> None:
    assert is_processing_event(document) is is_one
