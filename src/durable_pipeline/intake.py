"""Reads an event into records. No I/O, and no exception for what anybody can send.

What a message says is found out by `pipeline_core.messages`; which of it is believed, and which
identity it has at every delivery, is decided here, by the door that it came through:

- The queues that anybody may send to, a FIFO one among them, bring documents and claim checks. A
  producer may give its record an id of its own; nothing else that is said about it is believed.
- S3, and the queue that only S3 and SNS may send to, bring objects.
- The queues of the pipeline's own bring what it handed over and what operators send again. There,
  and only there, a message says whose record it is and how old. What it says besides is read by the
  rules of the door that it first came through.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from durable_pipeline.records import (
    HELD_BACK,
    IGNORED,
    OFFLOADED,
    Batch,
    Outcome,
    Record,
    rejection,
)
from durable_pipeline.settings import Settings
from pipeline_core import objects
from pipeline_core.files import COMPRESSED, DOCUMENT_SUFFIX, FILE_SUFFIXES
from pipeline_core.messages import (
    ATTRIBUTE,
    UUID,
    Door,
    Envelope,
    Inline,
    Objects,
    Pointed,
    Silent,
    Unreadable,
    carried_in,
    envelope_of,
    given_id,
    may_be_identified,
    may_be_other,
    message_group_id_in,
    producers_in,
    record_id_in,
    why_reserved,
)
from pipeline_core.objects import MAX_KEY_BYTES, ObjectId, ObjectState, Pointer, S3Event
from pipeline_core.sizes import text_size, wire_json

MARKERS = frozenset({"_SUCCESS", ".DS_Store", "Thumbs.db"})
"""Names of what tools leave beside the files that they write; there is nothing in it to take in."""


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
    readings |= {record.id: Reading(record, HELD_BACK) for record in _behind(readings.values())}
    return Batch(
        [reading.record for reading in readings.values()],
        {key: reading.outcome for key, reading in readings.items() if reading.outcome},
        {key: reading.bodies for key, reading in readings.items() if reading.bodies},
    )


_last: dict[str, Batch] = {}


def read_once(execution_arn: str, event: Mapping[str, Any], settings: Settings) -> Batch:
    """What `read` makes of the event of an execution, which is the same at each resume.

    An environment that an execution is resumed in has most often begun it, and keeps what it has
    read. It works on one execution at a time, and keeps no more than that one's batch.

    Raises:
        ValueError: as `read` does.
    """
    batch = _last.get(execution_arn)
    if batch is None:
        _last.clear()  # before reading: two batches at once would be twice the memory
        batch = _last[execution_arn] = read(event, settings)
    return batch


def _behind(readings: Iterable[Reading]) -> list[Record]:
    """The records that another one of their group, in a FIFO queue, stands before.

    The mapping brings such records one by one. One that brings more, after a change by hand, must
    not break their order: whether the first is settled is known when this execution has ended.
    """
    seen: set[str] = set()
    behind = []
    for record in (reading.record for reading in readings if reading.record.is_in_order):
        if record.message_group_id in seen:
            behind.append(record)
        seen.add(record.message_group_id)
    return behind


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
    record = _record(message, settings)
    try:
        return _reading(record, message, settings)
    except Unreadable as error:
        return Reading(record, rejection("read", error.type, str(error)))
    except Exception as error:  # whatever reading one record raises belongs to that record
        return Reading(record, rejection("read", "InvalidEvent", _why(error)))


def _record(message: Mapping[str, Any], settings: Settings) -> Record:
    """The record of a message of which nothing is believed yet but the door that it came through.

    It is made in one piece, as far as that goes: of a thousand records that is felt.
    """
    queue_url = _queue_url(message, settings)
    door = _door(queue_url, settings)
    return Record(
        id=message["messageId"],
        execution_id=given_id(settings.environment, message["messageId"]),
        body=message["body"],
        sent_timestamp=_number(message["attributes"].get("SentTimestamp")),
        receive_count=int(message["attributes"].get("ApproximateReceiveCount", 1)),
        receipt_handle=message["receiptHandle"],
        attributes=producers_in(message.get("messageAttributes", {})),
        queue_url=queue_url,
        door=door,
        message_group_id=message_group_id_in(message["attributes"]),
        content=message["body"] if door == "messages" and _is_document(message["body"]) else None,
    )


def _door(queue_url: str, settings: Settings) -> Door | None:
    """The door that a queue is; of the pipeline's own queues a message says it itself."""
    if queue_url in (settings.data_processing_queue_url, settings.fifo_queue_url):
        return "messages"
    return "objects" if queue_url == settings.objects_queue_url else None


def _is_document(body: object) -> bool:
    """Whether a body is simply a document, as nearly all are, and nothing has to be looked up.

    It is not parsed: whatever that raised would be raised here for the whole batch.
    """
    if not isinstance(body, str) or not body.isascii():
        return False
    return not may_be_other(body) and not may_be_identified(body)


def _reading(record: Record, message: Mapping[str, Any], settings: Settings) -> Reading:
    if record.content is not None:
        return Reading(record)
    if record.door is None:
        record = _believed(record, message.get("messageAttributes", {}))
    if record.is_in_order:  # objects have an order of their own
        record = replace(record, door="messages")
    return _of_envelope(record, envelope_of(record.body, record.door), settings)


def _of_envelope(record: Record, envelope: Envelope, settings: Settings) -> Reading:
    match envelope:
        case Inline(text):
            return _inline(record, text, settings)
        case Silent():
            return Reading(record, IGNORED)
        case Pointed(pointer):
            return _pointed(record, pointer, settings)
        case Objects([event], _, start):
            if start and record.queue_url != settings.objects_queue_url:
                record = replace(record, start=start)
            return _of_object(record, event, settings)
        case Objects(_, bodies):
            return Reading(record, bodies=bodies)


def _believed(record: Record, attributes: Mapping[str, Any]) -> Record:
    """``record`` as the message says that it is; one of the pipeline's own queues brought it."""
    carried = carried_in(attributes) or {}
    others = {name: value for name, value in record.attributes.items() if name != ATTRIBUTE}
    execution_id = carried.get("execution_id")
    # Nothing can have been sent after the message that tells of it.
    sent = min(carried.get("sent_timestamp") or record.sent_timestamp, record.sent_timestamp)
    return replace(
        record,
        execution_id=execution_id or record.execution_id,
        identified=execution_id is not None,
        sent_timestamp=sent,
        door=carried.get("door"),
        handed_over=carried.get("handed_over", 0),
        start=carried.get("continue_from"),
        attributes=carried.get("message_attributes", others),
        offloaded=carried.get("offloaded", False),
        replaces=carried.get("replaces", ""),
    )


def _without_queue(entry: Mapping[str, Any], settings: Settings) -> Reading:
    try:
        (event,) = objects.read_events({"Records": [entry]})
        state = event.state
        record = Record(
            id=f"{state['sequencer']}-{ObjectId.of(state).name}",
            execution_id=ObjectId.of(state).execution_id(settings.environment),
            body=wire_json({"Records": [entry]}),
            door="objects",
        )
        return _of_object(record, event, settings)
    except Exception as error:  # whatever reading one entry raises belongs to that entry
        body = wire_json({"Records": [entry]})
        digest = hashlib.sha256(body.encode()).hexdigest()[:32]
        record = Record(id=digest, execution_id=f"{settings.environment}-{digest}", body=body)
        return Reading(record, rejection("read", "InvalidEvent", _why(error)))


def _why(error: Exception) -> str:
    if isinstance(error, ValueError):
        return str(error)
    return f"it cannot be read: {type(error).__name__}; correct it and send it again"


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
    if (key.endswith("/") and not state.get("size")) or key.rsplit("/", 1)[-1] in MARKERS:
        return Reading(record, IGNORED)  # what consoles make to show a folder, and tools as a mark
    if not key.lower().endswith((DOCUMENT_SUFFIX, *FILE_SUFFIXES)):
        return Reading(record, rejection("read", "UnsupportedType", _unsupported(key)))
    buckets = {settings.input_bucket, settings.payload_bucket}
    if why := _foreign(state, buckets) or _bad_key(state):
        return Reading(record, why)
    return Reading(record)


def _unsupported(key: str) -> str:
    known = ", ".join((DOCUMENT_SUFFIX, *FILE_SUFFIXES))
    of_no_type = f"the object {key[-80:]!r} is of no type that is processed"
    if key.lower().endswith(COMPRESSED):
        return f"{of_no_type}: decompress it, and upload what is in it with a name in: {known}"
    return f"{of_no_type}; its name must end in: {known}"


def _pointed(record: Record, pointer: Pointer, settings: Settings) -> Reading:
    """The record of a claim check: of what its producer may have put there, and nothing else.

    Whoever may send, but not read, would otherwise have any object of the pipeline's read to him.
    """
    record = replace(record, pointer=pointer)
    if why := _foreign(pointer, {settings.payload_bucket}) or _bad_key(pointer):
        return Reading(record, why)
    key = pointer["key"]
    if record.offloaded and key.startswith(OFFLOADED):
        return Reading(record)
    if not key.startswith("messages/") and not UUID.match(key.rsplit("/", 1)[-1]):
        message = (
            f"it points to {key[-80:]!r}; a key must begin with messages/, or its last part with a "
            "UUID, as the keys of the Amazon SQS Extended Client do"
        )
        return Reading(record, rejection("read", "InvalidPointer", message))
    return Reading(record)


def _foreign(pointer: Pointer | ObjectState, buckets: set[str]) -> Outcome | None:
    if pointer["bucket"] in buckets:
        return None
    known = ", ".join(sorted(buckets))
    message = f"it points into the bucket {pointer['bucket'][:80]!r}; allowed are: {known}"
    return rejection("read", "ForeignBucket", message)


def _bad_key(pointer: Pointer | ObjectState) -> Outcome | None:
    if 0 < (size := text_size(pointer["key"])) <= MAX_KEY_BYTES:
        return None
    message = f"its key has {size} bytes; S3's have 1 to {MAX_KEY_BYTES}"
    return rejection("read", "InvalidPointer", message)


def _inline(record: Record, text: str, settings: Settings) -> Reading:
    try:
        text.encode()
    except UnicodeEncodeError:
        message = "body: a lone surrogate, which is no Unicode character"
        return Reading(record, rejection("read", "InvalidJson", message))
    record = replace(record, content=text)
    if (record_id := record_id_in(text)) is None:
        return Reading(record)
    named = record.with_record_id(record_id)
    if why := reserved(named, settings):
        # It keeps its own: an operator who sends its dead letter again vouches for no other.
        return Reading(record, rejection("read", "ReservedId", why))
    return Reading(named)


def reserved(record: Record, settings: Settings) -> str | None:
    """Why ``record`` may not have the id that its producer chose, if it may not."""
    return None if record.identified else why_reserved(record.execution_id, settings.environment)


def _number(text: object) -> int:
    return int(text) if isinstance(text, str) and text.isascii() and text.isdecimal() else 0


def _queue_url(message: Mapping[str, Any], settings: Settings) -> str:
    """The queue that the message came from; of one that is not known the least is believed."""
    name = message["eventSourceARN"].rsplit(":", 1)[-1]
    urls = (
        settings.objects_queue_url,
        settings.internal_queue_url,
        settings.files_queue_url,
        settings.fifo_queue_url,
        settings.fifo_internal_queue_url,
    )
    return next(
        (url for url in urls if url and url.rsplit("/", 1)[-1] == name),
        settings.data_processing_queue_url,
    )
