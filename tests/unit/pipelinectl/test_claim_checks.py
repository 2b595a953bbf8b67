import json

import pytest

from pipeline_core.messages import EXTENDED_CLIENT_CLASSES, Pointed, document_in
from pipelinectl import sending
from pipelinectl.objects import ObjectPath
from pipelinectl.sending import ClaimCheck, pointer_in

PAYLOAD = ObjectPath("payloads", "3f2a")
CHECK = ClaimCheck("line 1", PAYLOAD, 300_000)


def test_the_pipeline_takes_our_pointer_for_one() -> None:
    envelope = document_in(CHECK.text)

    assert isinstance(envelope, Pointed)
    assert envelope.pointer == {"bucket": "payloads", "key": "3f2a"}


def test_the_size_of_the_payload_is_in_the_reserved_attribute() -> None:
    assert CHECK.attributes == {
        "ExtendedPayloadSize": {"DataType": "Number", "StringValue": "300000"}
    }
    assert len(CHECK.text) < CHECK.size < len(CHECK.text) + 50


def test_the_pipeline_and_we_know_the_same_pointers() -> None:
    assert set(sending.POINTER_CLASSES) == EXTENDED_CLIENT_CLASSES


@pytest.mark.parametrize("name", sending.POINTER_CLASSES)
def test_a_pointer_is_found_also_in_an_envelope_of_sns(name: str) -> None:
    body = json.dumps([name, {"s3BucketName": "payloads", "s3Key": "3f2a"}])
    wrapped = {"Type": "Notification", "TopicArn": "t", "MessageId": "m", "Message": body}

    assert pointer_in(body) == PAYLOAD
    assert pointer_in(json.dumps(wrapped)) == PAYLOAD


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        "software.amazon.payloadoffloading.PayloadS3Pointer",
        '["software.amazon.payloadoffloading.PayloadS3Pointer"]',
        '["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": 1, "s3Key": "k"}]',
        '["other", {"s3BucketName": "PayloadS3Pointer", "s3Key": "k"}]',
        '{"Type": "Notification", "TopicArn": "t", "MessageId": "m", "Message": 1}',
        '"Notification',
    ],
)
def test_anything_else_is_none(body: str) -> None:
    assert pointer_in(body) is None
