"""Reads an event into records. No I/O, and no exception for what a producer can send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from durable_pipeline.records import Batch, Outcome, Record, body_size
from shared import exact_json

MAX_TIMESTAMP_DIGITS = 15

MAX_BODY_BYTES = 400 * 1024
"""A longer body cannot become an item, which DynamoDB bounds at 400 KB."""


def read(event: Mapping[str, Any], environment: str) -> Batch:
    """The records of an SQS event.

    A message that cannot travel through the stages is rejected here, with the reason.

    Raises:
        ValueError: the event is none of SQS's, which only an invocation by hand can cause.
    """
    # SQS may deliver a message twice in one batch; the later receipt handle is the one that counts.
    records = {
        message["messageId"]: _record(message, environment) for message in _messages(event)
    }.values()
    unreadable = {r.id: _too_large(r) for r in records if body_size(r) > MAX_BODY_BYTES}
    return Batch(list(records), unreadable)


def _messages(event: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    match event:
        case {"Records": [*messages]} if all(_is_of_sqs(message) for message in messages):
            return messages
    raise ValueError(
        "the event is not one of SQS's, an object with 'Records' of eventSource aws:sqs; "
        "invoke the function with such an event, or send the message to the queue"
    )


def _is_of_sqs(message: object) -> bool:
    return isinstance(message, dict) and message.get("eventSource") == "aws:sqs"


def _record(message: Mapping[str, Any], environment: str) -> Record:
    """The record of one message, with the identity that it has at every delivery.

    Its ``execution_id`` is the attribute that a redriven message brings along, else the producer's
    own ``record_id``, else the id that SQS gave the message.
    """
    record_id = _record_id(message["body"])
    return Record(
        id=message["messageId"],
        execution_id=_attribute(message, "execution_id")
        or record_id
        or f"{environment}-{message['messageId']}",
        body=message["body"],
        sent_timestamp=_sent_timestamp(message),
        receive_count=int(message["attributes"].get("ApproximateReceiveCount", 1)),
        receipt_handle=message["receiptHandle"],
        attributes=message.get("messageAttributes", {}),
        by_producer=record_id is not None,
    )


def _attribute(message: Mapping[str, Any], name: str) -> str | None:
    value = message.get("messageAttributes", {}).get(name, {}).get("stringValue")
    return value if isinstance(value, str) else None


def _sent_timestamp(message: Mapping[str, Any]) -> int:
    """When the message was first sent: a redriven one brings the time along."""
    first_sent = _attribute(message, "sent_timestamp") or ""
    if first_sent.isascii() and first_sent.isdecimal() and len(first_sent) <= MAX_TIMESTAMP_DIGITS:
        return int(first_sent)
    return int(message["attributes"].get("SentTimestamp", 0))


def _record_id(body: str) -> str | None:
    """The producer's ``record_id``, if the body has a usable one; validate has the last word."""
    if '"record_id"' not in body:
        return None
    try:
        document = exact_json.loads(body)
    except exact_json.JsonError:
        return None
    record_id = document.get("record_id") if isinstance(document, dict) else None
    return record_id if isinstance(record_id, str) else None


def _too_large(record: Record) -> Outcome:
    message = (
        f"body has {body_size(record)} bytes; an item holds {MAX_BODY_BYTES}. "
        "Upload large payloads to S3 and send a pointer"
    )
    return {
        "outcome": "rejected",
        "stage": "read",
        "reason": {"type": "RecordTooLarge", "message": message, "errors": [message]},
    }
