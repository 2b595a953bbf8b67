from __future__ import annotations

import json

import pytest

from pipeline_core import files, sizes
from pipeline_core.objects import ObjectState
from pipelinectl.costing import intake as intakes
from pipelinectl.costing.intake import Intake, intake
from tests.events import s3_event, sns_envelope, sqs_event_of, standard


def state(key: str) -> ObjectState:
    return {
        "bucket": "b",
        "key": key,
        "version_id": "1",
        "sequencer": "0A",
        "etag": "e",
        "size": 1,
    }


def of(*bodies: str) -> Intake:
    found = intake(json.dumps(sqs_event_of(bodies)))
    assert found is not None
    return found


def test_each_message_is_a_record() -> None:
    found = of(standard(), "not JSON at all")

    assert found.record_ids == {"m-0", "m-1"}
    assert found.travelling_bytes == len(standard()) + len("not JSON at all")


@pytest.mark.parametrize("wrap", [lambda text: text, sns_envelope])
def test_a_document_in_s3_is_a_record_and_a_file_is_none(wrap: object) -> None:
    assert callable(wrap)
    document, file = (
        wrap(json.dumps(s3_event(state(key)))) for key in ("input/one.json", "input/MANY rows.CSV")
    )

    assert of(document).record_ids == {"m-0"}
    assert of(file).record_ids == frozenset()


def test_a_message_that_tells_of_several_objects_is_no_record_they_come_back_one_by_one() -> None:
    event = s3_event(state("input/one.json"))
    event["Records"] *= 2

    assert of(json.dumps(event)).record_ids == frozenset()


def test_objects_that_s3_tells_of_itself_need_no_queue() -> None:
    found = intake(json.dumps(s3_event(state("direct/one.json"))))

    assert found is not None
    assert len(found.record_ids) == 1
    assert found.queue_requests == 0


@pytest.mark.parametrize(
    ("bodies", "requests"),
    [
        (["x"], 1 + 1 + 1),
        (["x"] * 10, 10 + 1 + 1),
        (["x"] * 11, 11 + 2 + 2),
        (["x" * 65_536], 1 + 1 + 1),
        (["x" * 65_537], 2 + 2 + 1),
    ],
)
def test_messages_are_sent_alone_and_received_and_deleted_by_tens(
    bodies: list[str], requests: int
) -> None:
    assert of(*bodies).queue_requests == requests


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "[]",
        '{"Records": []}',
        '{"Records": [{"eventSource": "aws:sns"}]}',
        '{"Records": [{"eventSource": "aws:sqs", "body": "x"}]}',
    ],
)
def test_what_is_no_event_has_no_intake(payload: str) -> None:
    assert intake(payload) is None


def test_what_lies_in_s3_counts_in_a_chunk_for_what_of_it_travels() -> None:
    event = json.dumps(s3_event(state("messages/one.json")))

    assert of(event, event).travelling_bytes == 2 * intakes.POINTED_BYTES


def test_the_rules_are_those_of_the_pipeline() -> None:
    assert intakes.POINTED_BYTES == sizes.POINTED_BYTES
    assert intakes.FILE_SUFFIXES == files.FILE_SUFFIXES
