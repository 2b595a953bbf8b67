"""What a message says, whatever it is wrapped in: a document, a pointer to one, or S3's events.

Which of them are believed is a matter of the door that the message came through, and is decided
by `durable_pipeline.reader`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared import exact_json, s3_events
from shared.carried import Cursor
from shared.objects import Pointer
from shared.s3_events import S3Event, is_s3_event, sent_through_sns

EXTENDED_CLIENT_CLASSES = frozenset(
    {
        "software.amazon.payloadoffloading.PayloadS3Pointer",
        "com.amazon.sqs.javamessaging.MessageS3Pointer",
    }
)
"""How the Amazon SQS Extended Client marks a pointer, now and in its first version."""

CONTINUE_FROM = "continueFrom"
"""Where earlier versions said, beside an S3 event's records, where in a file to go on."""

_MARKS = ("S3Pointer", '"Notification"', "aws:s3", "aws.s3", "s3:TestEvent")
"""One of them stands in everything that is not simply a document; most messages have none."""


@dataclass(frozen=True)
class Inline:
    """The message is the document."""

    text: str


@dataclass(frozen=True)
class Pointed:
    """The message is the pointer that the Amazon SQS Extended Client sends for a large body."""

    pointer: Pointer


@dataclass(frozen=True)
class Objects:
    """The message tells of objects in S3; ``bodies`` tell of one each, if they are several."""

    events: Sequence[S3Event]
    bodies: Sequence[str] = ()
    start: Cursor | None = None


@dataclass(frozen=True)
class Silent:
    """The message says nothing: S3 tries whether it may send."""


Envelope = Inline | Pointed | Objects | Silent


class Unreadable(ValueError):  # noqa: N818 - a record is rejected with it, it is not our error
    """What the message is meant to be it is not; ``type`` is the reason's."""

    def __init__(self, reason_type: str, message: str) -> None:
        super().__init__(message)
        self.type = reason_type


def document_in(body: str) -> Inline | Pointed:
    """What ``body`` says where only documents and pointers are believed.

    What is neither is a document, right or wrong; but of what others send by mistake it is said at
    once what to do.

    Raises:
        Unreadable: InvalidPointer, or UnsupportedEvent for an event of S3's.
    """
    if not any(mark in body for mark in _MARKS):
        return Inline(body)
    document = _json(body)
    inner = sent_through_sns(document)
    text, document = (body, document) if inner is None else (inner, _json(inner))
    if (pointer := _extended_client_pointer(document)) is not None:
        return Pointed(pointer)
    if isinstance(document, Mapping) and "data_source" not in document:
        _refuse_events(document)
    return Inline(text)


def _refuse_events(document: Mapping[Any, Any]) -> None:
    if is_s3_event(document):
        raise Unreadable(
            "UnsupportedEvent",
            "it looks like an event of S3's, and those are believed only from S3 itself: upload "
            "the object below input/ or direct/ of the input bucket, or messages/ of the payload "
            "bucket",
        )
    if document.get("source") == "aws.s3" and "detail-type" in document:
        raise Unreadable(
            "UnsupportedEvent",
            "it is an event of S3's as EventBridge sends them; the pipeline takes S3's own "
            "notifications: upload the object below input/ of the input bucket",
        )


def objects_in(body: str) -> Objects | Silent:
    """What ``body`` says where S3 sends its events, with SNS or without.

    Raises:
        Unreadable: InvalidEvent, with what is wrong about it.
    """
    try:
        document = exact_json.loads(body)
        while (inner := sent_through_sns(document)) is not None:
            document = exact_json.loads(inner)
        events = s3_events.read(document)
        start = _start(document)
    except ValueError as error:
        raise Unreadable("InvalidEvent", str(error)) from None
    if not events:
        return Silent()
    if len(events) == 1:
        return Objects(events, start=start)
    return Objects(events, [_alone(record) for record in document["Records"]])


def _alone(record: Any) -> str:
    # What S3 sends has no decimals; in what somebody else made they need not keep their type.
    return json.dumps({"Records": [record]}, ensure_ascii=False, default=str)


def anything_in(body: str) -> Envelope:
    """What ``body`` says where all of that is believed; raises as `objects_in` does."""
    if any(mark in body for mark in _MARKS):
        document = _json(body)
        inner = sent_through_sns(document)
        if is_s3_event(document if inner is None else _json(inner)):
            return objects_in(body)
    return document_in(body)


def _json(text: str) -> Any:
    try:
        return exact_json.loads(text)
    except exact_json.JsonError:
        return None


def _extended_client_pointer(document: Any) -> Pointer | None:
    match document:
        case [str(name), {"s3BucketName": str(bucket), "s3Key": str(key)}] if bucket and key:
            known = name in EXTENDED_CLIENT_CLASSES
            pointer: Pointer | None = {"bucket": bucket, "key": key} if known else None
        case [str(name), _] if name in EXTENDED_CLIENT_CLASSES:
            raise Unreadable(
                "InvalidPointer",
                "it is a pointer of the Amazon SQS Extended Client without s3BucketName or s3Key; "
                "both must be texts",
            )
        case _:
            return None
    if pointer is None and name.endswith("S3Pointer"):
        known_names = " or ".join(sorted(EXTENDED_CLIENT_CLASSES))
        raise Unreadable(
            "InvalidPointer", f"it is a pointer of class {name[:100]!r}; it must be {known_names}"
        )
    return pointer


def _start(document: Mapping[str, Any]) -> Cursor | None:
    return None if (start := document.get(CONTINUE_FROM)) is None else cursor(start)


def cursor(value: object) -> Cursor:
    """``value`` as a place in a file.

    Raises:
        ValueError: it is none.
    """
    match value:
        case {"offset": int(offset), "row": int(row), "line": int(line)} if (
            min(offset, row, line) >= 0
        ):
            return {"offset": offset, "row": row, "line": line}
    raise ValueError(f"{CONTINUE_FROM} must have the numbers offset, row and line")
