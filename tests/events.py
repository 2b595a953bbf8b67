"""Builds the events that AWS sends."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline_core.objects import ObjectState, created_event

STANDARD = {"data_source": "test.csv", "processing_type": "standard"}

ORDER = {
    "data_source": "shop",
    "processing_type": "order",
    "order_id": "a-1001",
    "sku": "tea-01",
    "quantity": 3,
    "unit_price": "12.5",
    "currency": "eur",
    "ordered_at": "2026-03-01T09:30:00+01:00",
}


def standard(**more: Any) -> str:
    """The body of a record of type standard."""
    return json.dumps(STANDARD | more)


def order(**more: Any) -> str:
    """The body of a record of type order."""
    return json.dumps(ORDER | more)


def sqs_message(
    body: str,
    message_id: str = "m-0",
    *,
    receive_count: int = 1,
    attributes: Mapping[str, Any] | None = None,
    queue: str = "queue",
    group: str = "",
) -> dict[str, Any]:
    """A message, as the event source mapping of ``queue`` delivers it; in a ``group``, or none."""
    return {
        "messageId": message_id,
        "receiptHandle": f"receipt-{message_id}",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": str(receive_count),
            "SentTimestamp": "1772354400000",
            "SenderId": "000000000000",
            "ApproximateFirstReceiveTimestamp": "1772354400100",
            **({"MessageGroupId": group} if group else {}),
        },
        "messageAttributes": dict(attributes or {}),
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:us-east-1:000000000000:{queue}",
        "awsRegion": "us-east-1",
    }


def sqs_event(*messages: Mapping[str, Any]) -> dict[str, Any]:
    """A batch of messages."""
    return {"Records": list(messages)}


def sqs_event_of(bodies: Iterable[str]) -> dict[str, Any]:
    """A batch with one message per body: m-0, m-1, ..."""
    return sqs_event(*(sqs_message(body, f"m-{index}") for index, body in enumerate(bodies)))


def s3_event(state: ObjectState, name: str = "ObjectCreated:Put") -> dict[str, Any]:
    """The notification that S3 sends of ``state``."""
    event = created_event(state, "2026-03-01T08:00:00.000Z")
    event["Records"][0]["eventName"] = name
    return event


def sns_envelope(message: str) -> str:
    """``message`` as SNS puts it into a queue."""
    envelope = {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:us-east-1:123456789012:topic",
        "Subject": "Amazon S3 Notification",
        "Message": message,
        "Timestamp": "2026-03-01T08:00:00.000Z",
    }
    return json.dumps(envelope)


def extended_client_pointer(bucket: str, key: str) -> str:
    """The body that the Amazon SQS Extended Client sends for one too large."""
    return json.dumps(
        [
            "software.amazon.payloadoffloading.PayloadS3Pointer",
            {"s3BucketName": bucket, "s3Key": key},
        ]
    )
