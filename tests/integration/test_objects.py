"""Documents that come through S3: whatever the envelope, whatever the order."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from faults.stages import Crash
from pipeline_core.objects import ObjectId, ObjectState
from tests.events import s3_event, sns_envelope, sqs_event, sqs_message, standard
from tests.integration.conftest import Pipeline, create_topic


def in_sqs(event: dict[str, Any]) -> dict[str, Any]:
    return sqs_event(sqs_message(json.dumps(event), "m-1", queue="objects"))


def in_sns_in_sqs(event: dict[str, Any]) -> dict[str, Any]:
    return sqs_event(sqs_message(sns_envelope(json.dumps(event)), "m-1", queue="objects"))


ENVELOPES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "S3 event": lambda event: event,
    "S3 event in SQS": in_sqs,
    "S3 event in SNS in SQS": in_sns_in_sqs,
}
TEST_EVENT = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "input"}


def execution_id(key: str, bucket: str = "input") -> str:
    return ObjectId(bucket, key).execution_id("test")


@pytest.mark.parametrize("envelope", ENVELOPES)
@pytest.mark.parametrize("key", ["input/a.json", "direct/ä b+c&d=1%20 ü.json", "input/數據.JSON"])
def test_an_object_in_any_envelope_becomes_its_item(
    pipeline: Pipeline, envelope: str, key: str
) -> None:
    state = pipeline.put(key, standard(amount=5))

    response = pipeline.process(ENVELOPES[envelope](s3_event(state)))

    item = pipeline.items[execution_id(key)]
    assert response["summary"] == {"stored": 1, "dead_letters": 0, "back_to_queue": 0}
    assert item["transformed_data"]["data_source"] == "TEST.CSV"
    assert item["original_data_pointer"]["key"] == key
    assert item["original_data_pointer"]["version_id"] == state["version_id"]
    assert item["object"] == f"input/{key}"
    assert item["sequencer"] == state["sequencer"]


@pytest.mark.parametrize("wrap", [in_sqs, in_sns_in_sqs])
def test_the_event_with_which_s3_tries_a_queue_is_acknowledged(
    pipeline: Pipeline, wrap: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    response = pipeline.process(wrap(TEST_EVENT))

    assert response["summary"]["ignored"] == 1
    assert response["batchItemFailures"] == []
    assert not pipeline.dead_letters


def test_a_processed_object_is_announced_once(pipeline: Pipeline) -> None:
    state = pipeline.put("input/a.json", standard())

    pipeline.process(in_sqs(s3_event(state)))

    (event,) = pipeline.events
    assert (event["event"], event["object"]) == ("done", state)
    assert event["execution_id"] == execution_id("input/a.json")


def test_a_wrong_object_is_a_dead_letter_with_its_reason_and_announced(pipeline: Pipeline) -> None:
    state = pipeline.put("input/a.json", '{"data_source": "a"}')

    pipeline.process(in_sqs(s3_event(state)))

    (letter,), (event,) = pipeline.dead_letters, pipeline.events
    assert letter["error_type"] == event["reason"]["type"] == "ValidationError"
    assert letter["body"] == json.dumps(s3_event(state))
    assert event["event"] == "rejected"


REJECTED: dict[str, tuple[dict[str, Any], str, str]] = {
    "another bucket": ({"bucket": "foreign"}, "ForeignBucket", "'foreign'"),
    "another type": ({"key": "input/a.pdf"}, "UnsupportedType", ".csv"),
    "no type": ({"key": "input/a"}, "UnsupportedType", "must end in"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_an_object_that_is_not_for_the_pipeline_is_rejected_unread(
    pipeline: Pipeline, case: str
) -> None:
    changes, error_type, says = REJECTED[case]
    state: Any = pipeline.put("input/a.json", standard()) | changes

    pipeline.process(in_sqs(s3_event(state)))

    (letter,) = pipeline.dead_letters
    assert letter["error_type"] == error_type
    assert says in letter["error_message"]
    assert not pipeline.calls


def test_a_removal_at_the_wrong_door_is_rejected(pipeline: Pipeline) -> None:
    state = pipeline.put("input/a.json", standard())

    pipeline.process(in_sqs(s3_event(state, "ObjectRemoved:Delete")))

    (letter,) = pipeline.dead_letters
    assert letter["error_type"] == "UnsupportedEvent"


def test_a_malformed_event_says_what_is_malformed(pipeline: Pipeline) -> None:
    event = s3_event(pipeline.put("input/a.json", standard()))
    del event["Records"][0]["s3"]["bucket"]

    pipeline.process(in_sqs(event))

    (letter,) = pipeline.dead_letters
    assert letter["error_type"] == "InvalidEvent"
    assert "s3.bucket.name is missing" in letter["error_message"]


def test_a_folder_made_by_a_console_is_ignored(pipeline: Pipeline) -> None:
    state = pipeline.put("input/folder/", "")

    response = pipeline.process(in_sqs(s3_event(state)))

    assert response["summary"]["ignored"] == 1


def test_a_message_of_several_objects_is_handed_over_as_one_message_each(
    pipeline: Pipeline,
) -> None:
    states = [pipeline.put(f"input/{name}.json", standard()) for name in "ab"]
    event = {"Records": [record for state in states for record in s3_event(state)["Records"]]}

    response = pipeline.process(in_sns_in_sqs(event))

    assert response["summary"]["handed_over"] == 1
    assert response["batchItemFailures"] == []
    for message in pipeline.redeliver(pipeline.internal_queue_url):
        pipeline.process(sqs_event(message))
    assert set(pipeline.items) == {execution_id("input/a.json"), execution_id("input/b.json")}


def test_an_older_event_that_comes_late_changes_nothing(pipeline: Pipeline) -> None:
    old = pipeline.put("input/a.json", standard(version=1))
    new = pipeline.put("input/a.json", standard(version=2))

    pipeline.process(in_sqs(s3_event(new)))
    response = pipeline.process(in_sqs(s3_event(old)))

    item = pipeline.items[execution_id("input/a.json")]
    assert item["transformed_data"]["version"] == 2
    assert response["summary"]["superseded"] == 1
    assert [event["event"] for event in pipeline.events] == ["done", "superseded"]


def test_the_same_event_twice_is_one_item(pipeline: Pipeline) -> None:
    state = pipeline.put("input/a.json", standard())

    first = pipeline.process(in_sqs(s3_event(state)))
    second = pipeline.process(in_sqs(s3_event(state)))

    assert first["summary"]["stored"] == second["summary"]["stored"] == 1
    assert len(pipeline.items) == 1


def test_a_late_event_of_a_removed_object_brings_nothing_back(pipeline: Pipeline) -> None:
    state = pipeline.put("input/a.json", standard())
    tombstone(state)

    response = pipeline.process(in_sqs(s3_event(state)))

    assert response["summary"]["superseded"] == 1
    assert not pipeline.items


def test_an_object_overwritten_before_it_is_read_is_left_to_its_own_event(
    pipeline: Pipeline,
) -> None:
    old = pipeline.put("messages/a.json", standard(version=1), bucket="payloads")
    new = pipeline.put("messages/a.json", standard(version=2), bucket="payloads")

    response = pipeline.process(in_sqs(s3_event(old)))
    pipeline.process(in_sqs(s3_event(new)))

    assert response["summary"]["superseded"] == 1
    item = pipeline.items[execution_id("messages/a.json", "payloads")]
    assert item["transformed_data"]["version"] == 2


def test_an_object_that_is_gone_before_it_is_read_is_no_error(pipeline: Pipeline) -> None:
    state = pipeline.put("messages/a.json", standard(), bucket="payloads")
    pipeline.s3.delete_object(Bucket="payloads", Key="messages/a.json")

    response = pipeline.process(in_sqs(s3_event(state)))

    assert response["summary"]["superseded"] == 1
    assert not pipeline.dead_letters


def tombstone(state: ObjectState) -> None:
    """The catalog's entry of an object that was removed after ``state``."""
    import boto3

    boto3.resource("dynamodb").Table("catalog").put_item(
        Item={
            "object": ObjectId.of(state).path,
            "state": "deleted",
            "sequencer": "F" * len(state["sequencer"]),
        }
    )


def test_an_event_without_a_queue_that_fails_is_given_to_one(pipeline: Pipeline) -> None:
    state = pipeline.put("direct/a.json", standard())
    pipeline.table.delete()

    response = pipeline.process(s3_event(state))

    assert response["batchItemFailures"] == []
    (entry,) = json.loads(pipeline.queued(pipeline.internal_queue_url))["Records"]
    assert entry == s3_event(state)["Records"][0]


def test_an_event_without_a_queue_that_no_queue_takes_fails_the_execution(
    pipeline: Pipeline,
) -> None:
    state = pipeline.put("direct/a.json", standard())
    pipeline.table.delete()
    pipeline.sqs.delete_queue(QueueUrl=pipeline.internal_queue_url)

    result = pipeline.run(s3_event(state))

    assert result.error is not None
    assert "NotSettled" in str(result.error.type)


def last(event: dict[str, Any]) -> dict[str, Any]:
    """The event, on its last delivery."""
    event["Records"][0]["attributes"]["ApproximateReceiveCount"] = "3"
    return event


def test_with_the_topic_gone_a_rejection_keeps_its_reason(pipeline: Pipeline) -> None:
    state = pipeline.put("input/a.json", "{}")
    pipeline.delete_topic()

    first = pipeline.process(in_sqs(s3_event(state)))
    pipeline.process(last(in_sqs(s3_event(state))))

    assert first["batchItemFailures"] == [{"itemIdentifier": "m-1"}]
    (letter,) = pipeline.dead_letters
    assert (letter["stage"], letter["error_type"]) == ("validate", "ValidationError")
    assert json.loads(letter["errors"])[-1] == "and the topic of events was not told"


def test_with_the_topic_gone_what_is_stored_is_told_later(pipeline: Pipeline) -> None:
    state = pipeline.put("input/a.json", standard())
    pipeline.delete_topic()

    response = pipeline.process(last(in_sqs(s3_event(state))))
    create_topic()
    (onwards,) = pipeline.redeliver(pipeline.internal_queue_url)
    pipeline.process(sqs_event(onwards))

    assert response["summary"] == {
        "stored": 0,
        "dead_letters": 0,
        "back_to_queue": 0,
        "handed_over": 1,
    }
    assert [event["event"] for event in pipeline.events] == ["done"]
    assert not pipeline.dead_letters


def test_what_an_earlier_delivery_stored_is_announced_as_done(pipeline: Pipeline) -> None:
    state = pipeline.put("input/a.json", standard())
    pipeline.delete_topic()
    pipeline.process(in_sqs(s3_event(state)))
    create_topic()
    pipeline.inject("validate", Crash())

    response = pipeline.process(last(in_sqs(s3_event(state))))

    assert response["summary"]["stored"] == 1
    assert [event["event"] for event in pipeline.events] == ["done"]


def test_a_topic_that_takes_no_announcement_sends_the_record_back(pipeline: Pipeline) -> None:
    state = pipeline.put("input/a.json", standard())
    pipeline.delete_topic()

    response = pipeline.process(in_sqs(s3_event(state)))

    assert response["batchItemFailures"] == [{"itemIdentifier": "m-1"}]
