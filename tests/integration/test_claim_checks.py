"""Pointers of the Amazon SQS Extended Client: the content is read where it is needed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from faults.stages import Crash
from pipeline_core.messages import ATTRIBUTE
from tests.events import (
    extended_client_pointer,
    order,
    sns_envelope,
    sqs_event,
    sqs_message,
    standard,
)
from tests.integration.conftest import Pipeline

UUID = "7f3c1d1e-58cf-4f8b-a9d2-0d4b36a1d0a1"
LARGE = "x" * 5_000_000


def pointer_event(bucket: str, key: str, **attributes: str) -> dict[str, Any]:
    sent = {"ExtendedPayloadSize": {"stringValue": "1", "dataType": "Number"}} | {
        name: {"stringValue": value} for name, value in attributes.items()
    }
    return sqs_event(sqs_message(extended_client_pointer(bucket, key), "m-1", attributes=sent))


def read_json(pipeline: Pipeline, pointer: dict[str, Any]) -> Any:
    response = pipeline.s3.get_object(Bucket=pointer["bucket"], Key=pointer["key"])
    return json.loads(response["Body"].read())


def test_a_large_document_is_stored_as_pointers_to_what_it_was_and_became(
    pipeline: Pipeline,
) -> None:
    pipeline.put(UUID, standard(text=LARGE), bucket="payloads")

    response = pipeline.process(pointer_event("payloads", UUID))

    item = pipeline.items["test-m-1"]
    assert response["summary"]["stored"] == 1
    assert item["data_source"] == "TEST.CSV"
    original = read_json(pipeline, item["original_data_pointer"])
    transformed = read_json(pipeline, item["transformed_data_pointer"])
    assert original["data_source"] == "test.csv"
    assert transformed["data_source"] == "TEST.CSV"
    assert original["text"] == transformed["text"] == LARGE


def test_the_payload_may_expire_once_its_item_is_stored(pipeline: Pipeline) -> None:
    pipeline.put(UUID, standard(text=LARGE), bucket="payloads")

    pipeline.process(pointer_event("payloads", UUID))

    item = pipeline.items["test-m-1"]
    assert item["original_data_pointer"]["bucket"] == "output"
    assert item["transformed_data_pointer"]["bucket"] == "output"


def test_the_content_is_in_no_checkpoint(pipeline: Pipeline) -> None:
    pipeline.put(UUID, standard(text=LARGE), bucket="payloads")

    result = pipeline.run(pointer_event("payloads", UUID))

    assert len(repr(result.get_all_operations())) < 20_000


def test_what_is_small_comes_into_the_item_as_ever(pipeline: Pipeline) -> None:
    pipeline.put(UUID, standard(amount=5), bucket="payloads")

    pipeline.process(pointer_event("payloads", UUID))

    assert pipeline.items["test-m-1"]["transformed_data"]["amount"] == 5


def test_the_producers_record_id_in_the_content_is_the_identity(pipeline: Pipeline) -> None:
    pipeline.put(UUID, standard(record_id="mine"), bucket="payloads")

    pipeline.process(pointer_event("payloads", UUID))

    assert list(pipeline.items) == ["mine"]


def test_a_redriven_pointer_keeps_its_identity(pipeline: Pipeline) -> None:
    pipeline.put(UUID, standard(record_id="mine"), bucket="payloads")
    (message,) = pointer_event("payloads", UUID)["Records"]
    carried = {"stringValue": json.dumps({"execution_id": "kept"}), "dataType": "String"}
    message["messageAttributes"] = {ATTRIBUTE: carried}
    message["eventSourceARN"] = message["eventSourceARN"].replace(":queue", ":internal")

    pipeline.process(sqs_event(message))

    assert list(pipeline.items) == ["kept"]


def test_pointers_and_documents_share_a_chunk(pipeline: Pipeline) -> None:
    pipeline.put(UUID, standard(), bucket="payloads")
    (pointed,) = pointer_event("payloads", UUID)["Records"]

    pipeline.process(sqs_event(pointed, sqs_message(standard(), "m-2")))

    assert set(pipeline.items) == {"test-m-1", "test-m-2"}
    assert pipeline.calls == [("validate", 2), ("transform", 2), ("store", 2)]


def test_a_document_or_a_pointer_may_come_through_a_topic(pipeline: Pipeline) -> None:
    pipeline.put(UUID, standard(), bucket="payloads")
    pointer = extended_client_pointer("payloads", UUID)

    pipeline.process(
        sqs_event(
            sqs_message(sns_envelope(standard(amount=7)), "m-1"),
            sqs_message(sns_envelope(pointer), "m-2"),
        )
    )

    assert pipeline.items["test-m-1"]["transformed_data"]["amount"] == 7
    assert "test-m-2" in pipeline.items


WRONG: dict[str, str] = {
    "what its schema does not allow": standard(record_id="mine", data_source=1),
    "no fields": '{"record_id": "mine"}',
    "an unknown type": standard(record_id="mine", processing_type="nope"),
    "what its type does not allow": order(record_id="mine", quantity=0),
    "what cannot be stored": standard(record_id="mine", key={"": 1}),
}


@pytest.mark.parametrize("others", [0, 30], ids=["alone", "in chunks"])
@pytest.mark.parametrize("document", WRONG.values(), ids=WRONG)
def test_a_rejected_claim_check_keeps_its_producers_record_id(
    pipeline: Pipeline, document: str, others: int
) -> None:
    pipeline.put(UUID, document, bucket="payloads")
    (pointed,) = pointer_event("payloads", UUID)["Records"]
    neighbours = [sqs_message(standard(text="x" * 20_000), f"n-{n}") for n in range(others)]

    pipeline.process(sqs_event(*neighbours, pointed))

    (letter,) = pipeline.dead_letters
    assert letter["execution_id"] == "mine"
    assert letter["original_message_id"] == "m-1"


@pytest.mark.parametrize("stage", ["transform", "store"])
def test_a_claim_check_that_a_stage_fails_keeps_its_producers_record_id(
    pipeline: Pipeline, stage: str
) -> None:
    pipeline.put(UUID, standard(record_id="mine"), bucket="payloads")
    pipeline.inject(stage, Crash())
    (pointed,) = pointer_event("payloads", UUID)["Records"]
    pointed["attributes"]["ApproximateReceiveCount"] = "3"

    pipeline.process(sqs_event(pointed))

    (letter,) = pipeline.dead_letters
    assert (letter["stage"], letter["execution_id"]) == (stage, "mine")


def test_a_claim_check_that_was_stored_before_its_execution_died_is_no_dead_letter(
    pipeline: Pipeline,
) -> None:
    pipeline.put(UUID, standard(record_id="mine"), bucket="payloads")
    (pointed,) = pointer_event("payloads", UUID)["Records"]
    pipeline.process(sqs_event(pointed))
    pipeline.inject("store", Crash())
    pointed["attributes"]["ApproximateReceiveCount"] = "3"

    assert pipeline.process(sqs_event(pointed))["summary"]["stored"] == 1
    assert pipeline.dead_letters == []


def test_a_corrected_claim_check_becomes_the_one_item_of_its_record_id(pipeline: Pipeline) -> None:
    pipeline.put(UUID, order(record_id="mine", quantity=0), bucket="payloads")
    pipeline.process(pointer_event("payloads", UUID))
    pipeline.put(UUID, order(record_id="mine", quantity=1), bucket="payloads")

    (letter,) = pipeline.redeliver(pipeline.dead_letter_queue_url)
    letter["eventSourceARN"] = letter["eventSourceARN"].replace(":dead-letters", ":internal")
    pipeline.process(sqs_event(letter))
    pipeline.process(pointer_event("payloads", UUID))

    assert list(pipeline.items) == ["mine"]


@pytest.mark.parametrize("inline", [True, False])
def test_a_record_id_of_the_pipelines_own_shape_is_refused_and_not_taken_over(
    pipeline: Pipeline, inline: bool
) -> None:
    document = standard(record_id=f"test-{UUID}")
    pipeline.put(UUID, document, bucket="payloads")
    event = sqs_event(sqs_message(document, "m-1"))

    pipeline.process(event if inline else pointer_event("payloads", UUID))

    (letter,) = pipeline.dead_letters
    assert (letter["error_type"], letter["execution_id"]) == ("ReservedId", "test-m-1")


REJECTED = {
    "a bucket of others' objects": ("input", UUID, "ForeignBucket", "allowed are: payloads"),
    "a key of others": ("payloads", "offloaded/x.json", "InvalidPointer", "with messages/"),
    "another bucket": ("foreign", UUID, "ForeignBucket", "'foreign'"),
    "a missing object": ("payloads", "messages/nowhere", "PayloadMissing", "does not exist"),
    "too large": ("payloads", "messages/large", "PayloadTooLarge", "a document may have 10000000"),
    "not UTF-8": ("payloads", "messages/latin-1", "NotUtf8", "at byte 1"),
    "no key": ("payloads", "", "InvalidPointer", "without s3BucketName or s3Key"),
    "a long key": ("payloads", "k" * 1025, "InvalidPointer", "1025 bytes"),
    "content that is not JSON": ("payloads", "messages/text", "InvalidJson", "not JSON"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_a_pointer_that_leads_nowhere_good_is_rejected_with_the_reason(
    pipeline: Pipeline, case: str
) -> None:
    bucket, key, error_type, says = REJECTED[case]
    pipeline.put("messages/large", "x" * 10_000_001, bucket="payloads")
    pipeline.put("messages/latin-1", "aä".encode("latin-1"), bucket="payloads")
    pipeline.put("messages/text", "hello", bucket="payloads")

    response = pipeline.process(pointer_event(bucket, key))

    assert response["batchItemFailures"] == []
    (letter,) = pipeline.dead_letters
    assert letter["error_type"] == error_type
    assert says in letter["error_message"]
    assert letter["body"] == extended_client_pointer(bucket, key)


def test_a_bucket_that_does_not_answer_is_a_failure_not_a_rejection(pipeline: Pipeline) -> None:
    pipeline.s3.delete_bucket(Bucket="payloads")

    response = pipeline.process(pointer_event("payloads", UUID))

    assert response["batchItemFailures"] == [{"itemIdentifier": "m-1"}]
    assert not pipeline.dead_letters
