import contextlib
import json

import pytest

from pipeline_core.messages import (
    EXTENDED_CLIENT_CLASSES,
    Envelope,
    Pointed,
    Unreadable,
    document_in,
    pointer_to,
)

POINTED = Pointed({"bucket": "payloads", "key": "3f2a"})


def test_what_points_there_is_read_as_a_pointer() -> None:
    assert document_in(pointer_to("payloads", "3f2a")) == POINTED


@pytest.mark.parametrize("name", sorted(EXTENDED_CLIENT_CLASSES))
def test_a_pointer_is_found_also_in_an_envelope_of_sns(name: str) -> None:
    body = json.dumps([name, {"s3BucketName": "payloads", "s3Key": "3f2a"}])
    wrapped = {"Type": "Notification", "TopicArn": "t", "MessageId": "m", "Message": body}

    assert document_in(body) == document_in(json.dumps(wrapped)) == POINTED


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
def test_nothing_else_is_a_pointer(body: str) -> None:
    found: Envelope | None = None
    with contextlib.suppress(Unreadable):
        found = document_in(body)

    assert not isinstance(found, Pointed)
