"""What Lambda sends to an on-failure destination."""

from typing import Any

from shared.s3_events import created_event

EVENT: dict[str, Any] = created_event(
    {"bucket": "s-input", "key": "direct/orders.csv", "size": 8, "sequencer": "0066" + "0" * 28}
)


def record(**changes: Any) -> dict[str, Any]:
    """The record of an event of S3 that the function failed for three times."""
    return {
        "version": "1.0",
        "timestamp": "2026-03-01T12:00:00.000Z",
        "requestContext": {
            "requestId": "e4b46cbf-b738-xmpl-8880-a18cdf61200e",
            "functionArn": "arn:aws:lambda:us-east-1:1:function:s-durable-pipeline:live",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": EVENT,
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "4",
            "functionError": "Unhandled",
        },
        "responsePayload": {"errorType": "KeyError", "errorMessage": "'OUTPUT_BUCKET'"},
    } | changes
