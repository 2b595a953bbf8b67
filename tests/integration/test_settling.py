"""A record is acknowledged only when it is stored or its dead letter was accepted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from faults.stages import Crash
from tests.events import sqs_event, sqs_event_of, sqs_message, standard
from tests.integration.conftest import Pipeline


def test_a_dead_letter_queue_that_is_gone_leaves_the_record_in_its_queue(
    pipeline: Pipeline,
) -> None:
    pipeline.sqs.delete_queue(QueueUrl=pipeline.dead_letter_queue_url)

    response = pipeline.process(sqs_event(sqs_message("bad", "m-1"), sqs_message(standard(), "ok")))

    assert response["batchItemFailures"] == [{"itemIdentifier": "m-1"}]
    assert list(pipeline.items) == ["test-ok"]


def test_a_queue_that_takes_no_visibility_changes_still_gets_its_record_back(
    pipeline: Pipeline,
) -> None:
    pipeline.table.delete()
    pipeline.sqs.delete_queue(QueueUrl=pipeline.queue_url)

    response = pipeline.process(sqs_event(sqs_message(standard(), "m-1")))

    assert response["batchItemFailures"] == [{"itemIdentifier": "m-1"}]


def test_a_failed_record_comes_back_within_its_delay(pipeline: Pipeline) -> None:
    pipeline.table.delete()
    pipeline.sqs.send_message(QueueUrl=pipeline.queue_url, MessageBody=standard())
    (message,) = pipeline.sqs.receive_message(QueueUrl=pipeline.queue_url, VisibilityTimeout=43200)[
        "Messages"
    ]
    delivered = sqs_message(standard(), message["MessageId"]) | {
        "receiptHandle": message["ReceiptHandle"]
    }

    pipeline.process(sqs_event(delivered))

    (again,) = pipeline.sqs.receive_message(
        QueueUrl=pipeline.queue_url, WaitTimeSeconds=10, AttributeNames=["All"]
    )["Messages"]
    assert again["MessageId"] == message["MessageId"]


def test_a_table_that_is_gone_is_a_failure_of_each_record_never_silence(
    pipeline: Pipeline,
) -> None:
    pipeline.table.delete()

    response = pipeline.process(sqs_event(sqs_message(standard(), "m-1", receive_count=3)))

    (letter,) = pipeline.dead_letters
    assert response["summary"] == {"stored": 0, "dead_letters": 1, "back_to_queue": 0}
    assert (letter["stage"], letter["error_type"]) == ("store", "ResourceNotFoundException")


@pytest.mark.parametrize("record_id", [None, "mine"])
def test_two_executions_with_the_same_record_at_once_are_one_item(
    pipeline: Pipeline, record_id: str | None
) -> None:
    more = {"record_id": record_id} if record_id else {}
    event = sqs_event_of([standard(**more)] * (1 if record_id is None else 5))

    with ThreadPoolExecutor(2) as pool:
        responses = list(pool.map(pipeline.process, [event, event]))

    assert [response["batchItemFailures"] for response in responses] == [[], []]
    assert len(pipeline.items) == 1


def test_a_record_that_an_earlier_delivery_stored_is_no_dead_letter(pipeline: Pipeline) -> None:
    pipeline.process(sqs_event(sqs_message(standard(), "m-1")))
    pipeline.inject("validate", Crash())

    response = pipeline.process(
        sqs_event(
            sqs_message(standard(), "m-1", receive_count=3),
            sqs_message(standard(), "m-2", receive_count=3),
        )
    )

    (letter,) = pipeline.dead_letters
    assert response["summary"] == {"stored": 1, "dead_letters": 1, "back_to_queue": 0}
    assert letter["original_message_id"] == "m-2"
