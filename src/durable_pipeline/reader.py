"""Reads an event into records. No I/O, and no exception for what a producer can send.

What a message says is found out by `durable_pipeline.envelopes`; here it becomes a record, with the
identity that it has at every delivery.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from durable_pipeline.envelopes import Inline, Objects, Pointed, Silent, open_envelope
from durable_pipeline.records import (
    FILE_SUFFIXES,
    IGNORED,
    Batch,
    Outcome,
    Record,
    rejection,
    text_size,
)
from durable_pipeline.settings import Settings
from shared import exact_json, s3_events
from shared.objects import ObjectId, ObjectState, Pointer
from shared.s3_events import S3Event

MAX_DIGITS = 15

MAX_BODY_BYTES = 400 * 1024
"""A longer document travels as a claim check."""

MAX_KEY_BYTES = 1024

DOCUMENT_SUFFIX = ".json"


@dataclass(frozen=True)
class Reading:
    """A record, its outcome if it has one already, and the bodies if it tells of many objects."""

    record: Record
    outcome: Outcome | None = None
    bodies: Sequence[str] = ()


def read(event: Mapping[str, Any], settings: Settings) -> Batch:
    """The records of an event of SQS, or of S3 without a queue between.

    What cannot travel through the stages is rejected here, with the reason.

    Raises:
        ValueError: the event is neither's, which only an invocation by hand can cause.
    """
    # SQS may deliver a message twice in one batch; the later receipt handle is the one that counts.
    readings = {reading.record.id: reading for reading in _readings(event, settings)}
    return Batch(
        [reading.record for reading in readings.values()],
        {key: reading.outcome for key, reading in readings.items() if reading.outcome},
        {key: reading.bodies for key, reading in readings.items() if reading.bodies},
    )


def _readings(event: Mapping[str, Any], settings: Settings) -> Iterable[Reading]:
    match event:
        case {"Records": [*messages]} if all(_is_from("aws:sqs", entry) for entry in messages):
            return [_of_message(message, settings) for message in messages]
        case {"Records": [*entries]} if all(_is_from("aws:s3", entry) for entry in entries):
            return [_without_queue(entry, settings) for entry in entries]
    raise ValueError(
        "the event is not one of SQS's or S3's, an object with 'Records' of eventSource aws:sqs or "
        "aws:s3; invoke the function with such an event, or send the message to the queue"
    )


def _is_from(source: str, entry: object) -> bool:
    return isinstance(entry, dict) and entry.get("eventSource") == source


def _of_message(message: Mapping[str, Any], settings: Settings) -> Reading:
    try:
        envelope = open_envelope(message["body"])
    except ValueError as error:
        return Reading(_record(message, settings), rejection("read", "InvalidEvent", str(error)))
    match envelope:
        case Inline(text):
            return _inline(_record(message, settings, text), text)
        case Silent():
            return Reading(_record(message, settings), IGNORED)
        case Pointed(pointer):
            return _pointed(_record(message, settings), pointer, settings)
        case Objects([event], _, start):
            return _of_object(replace(_record(message, settings), start=start), event, settings)
        case Objects(_, bodies):
            return Reading(_record(message, settings), bodies=bodies)


def _record(message: Mapping[str, Any], settings: Settings, content: str | None = None) -> Record:
    """The record of a message; with the ``content`` of most at once, since a copy takes as long."""
    attributes = message.get("messageAttributes", {})
    return Record(
        id=message["messageId"],
        execution_id=_attribute(attributes, "execution_id")
        or f"{settings.environment}-{message['messageId']}",
        body=message["body"],
        sent_timestamp=_sent_timestamp(message),
        receive_count=int(message["attributes"].get("ApproximateReceiveCount", 1)),
        receipt_handle=message["receiptHandle"],
        attributes=attributes,
        queue_url=_queue_url(message, settings),
        content=content,
    )


def _without_queue(entry: Mapping[str, Any], settings: Settings) -> Reading:
    body = json.dumps({"Records": [entry]})
    try:
        (event,) = s3_events.read({"Records": [entry]})
    except ValueError as error:
        digest = hashlib.sha256(body.encode()).hexdigest()[:32]
        record = Record(id=digest, execution_id=f"{settings.environment}-{digest}", body=body)
        return Reading(record, rejection("read", "InvalidEvent", str(error)))
    state = event.state
    record = Record(
        id=f"{state['sequencer']}-{ObjectId.of(state).name}",
        execution_id=ObjectId.of(state).execution_id(settings.environment),
        body=body,
    )
    return _of_object(record, event, settings)


def _of_object(record: Record, event: S3Event, settings: Settings) -> Reading:
    """The record of one object: of its kind, its bucket and its key nothing else is a record."""
    state = event.state
    key = state["key"]
    record = replace(
        record,
        execution_id=ObjectId.of(state).execution_id(settings.environment),
        pointer=state,
    )
    if not event.is_creation:
        message = f"{event.name} is not the creation of an object; only those are processed here"
        return Reading(record, rejection("read", "UnsupportedEvent", message))
    if key.endswith("/"):
        return Reading(record, IGNORED)  # what consoles make to show a folder
    if not key.lower().endswith((DOCUMENT_SUFFIX, *FILE_SUFFIXES)):
        known = ", ".join((DOCUMENT_SUFFIX, *FILE_SUFFIXES))
        message = f"{key[-80:]!r} is of no type that is processed; its name must end in: {known}"
        return Reading(record, rejection("read", "UnsupportedType", message))
    return _checked(record, state, settings)


def _pointed(record: Record, pointer: Pointer, settings: Settings) -> Reading:
    size = _attribute(record.attributes, "ExtendedPayloadSize") or ""
    if _is_number(size):
        pointer["size"] = int(size)
    return _checked(replace(record, pointer=pointer), pointer, settings)


def _checked(record: Record, pointer: Pointer | ObjectState, settings: Settings) -> Reading:
    if pointer["bucket"] not in settings.buckets:
        known = ", ".join(sorted(settings.buckets))
        message = f"it points into the bucket {pointer['bucket'][:80]!r}; allowed are: {known}"
        return Reading(record, rejection("read", "ForeignBucket", message))
    if not 0 < text_size(pointer["key"]) <= MAX_KEY_BYTES:
        message = f"its key has {text_size(pointer['key'])} bytes; S3's have 1 to {MAX_KEY_BYTES}"
        return Reading(record, rejection("read", "InvalidPointer", message))
    return Reading(record)


def _inline(record: Record, text: str) -> Reading:
    if (size := text_size(text)) > MAX_BODY_BYTES:
        message = (
            f"body has {size} bytes; inline it may have {MAX_BODY_BYTES}. "
            "Upload large payloads to S3 and send a pointer"
        )
        return Reading(record, rejection("read", "RecordTooLarge", message))
    record_id = record_id_in(text)
    if record_id is None:
        return Reading(record)
    return Reading(with_record_id(record, record_id))


def with_record_id(record: Record, record_id: str) -> Record:
    """``record`` with the identity that its producer chose; one redriven keeps what it had."""
    kept = _attribute(record.attributes, "execution_id")
    return replace(record, execution_id=kept or record_id, by_producer=True)


def _attribute(attributes: Mapping[str, Any], name: str) -> str | None:
    value = attributes.get(name, {}).get("stringValue")
    return value if isinstance(value, str) else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS


def _sent_timestamp(message: Mapping[str, Any]) -> int:
    """When the message was first sent: a redriven one brings the time along."""
    first_sent = _attribute(message.get("messageAttributes", {}), "sent_timestamp") or ""
    if _is_number(first_sent):
        return int(first_sent)
    return int(message["attributes"].get("SentTimestamp", 0))


def _queue_url(message: Mapping[str, Any], settings: Settings) -> str:
    """The queue that the message came from: of files, or of everything."""
    name = message["eventSourceARN"].rsplit(":", 1)[-1]
    of_files = settings.files_queue_url.rsplit("/", 1)[-1] == name
    return settings.files_queue_url if of_files else settings.queue_url


def record_id_in(body: str) -> str | None:
    """The producer's ``record_id``, if the body has a usable one; validate has the last word."""
    if '"record_id"' not in body:
        return None
    try:
        document = exact_json.loads(body)
    except exact_json.JsonError:
        return None
    record_id = document.get("record_id") if isinstance(document, dict) else None
    return record_id if isinstance(record_id, str) and record_id else None
