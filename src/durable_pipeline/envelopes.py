"""What a message says, whatever it is wrapped in: a document, a pointer to one, or S3's events."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from durable_pipeline.records import Cursor
from shared import exact_json
from shared.objects import Pointer
from shared.s3_events import S3Event, is_s3_event
from shared.s3_events import read as read_s3_events

EXTENDED_CLIENT_CLASSES = frozenset(
    {
        "software.amazon.payloadoffloading.PayloadS3Pointer",
        "com.amazon.sqs.javamessaging.MessageS3Pointer",
    }
)
"""How the Amazon SQS Extended Client marks a pointer, now and in its first version."""

CONTINUE_FROM = "continueFrom"
"""Beside an S3 event's records: where in the file its follow-up execution goes on."""

_MARKS = ("S3Pointer", '"Notification"', "aws:s3", "s3:TestEvent")
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
    """The message tells of objects in S3; ``bodies`` would tell of one each."""

    events: Sequence[S3Event]
    bodies: Sequence[str]
    start: Cursor | None = None


@dataclass(frozen=True)
class Silent:
    """The message says nothing: S3 tries whether it may send."""


Envelope = Inline | Pointed | Objects | Silent


def open_envelope(body: str) -> Envelope:
    """What ``body`` says. What is none of the known shapes is a document, right or wrong.

    Raises:
        ValueError: it is an S3 event, and malformed.
    """
    if not any(mark in body for mark in _MARKS):
        return Inline(body)
    message = _sent_through_sns(_json(body))
    return _content(body) if message is None else _content(message)


def _content(text: str) -> Envelope:
    document = _json(text)
    if is_s3_event(document):
        return _objects(document)
    pointer = _extended_client_pointer(document)
    return Inline(text) if pointer is None else Pointed(pointer)


def _objects(document: Any) -> Objects | Silent:
    events = read_s3_events(document)
    if not events:
        return Silent()
    bodies = [json.dumps({"Records": [record]}) for record in document["Records"]]
    return Objects(events, bodies, _start(document))


def _json(text: str) -> Any:
    try:
        return exact_json.loads(text)
    except exact_json.JsonError:
        return None


def _sent_through_sns(document: Any) -> str | None:
    match document:
        case {"Type": "Notification", "TopicArn": str(), "MessageId": str(), "Message": str(text)}:
            return text
    return None


def _extended_client_pointer(document: Any) -> Pointer | None:
    match document:
        case [str(name), {"s3BucketName": str(bucket), "s3Key": str(key)}]:
            return {"bucket": bucket, "key": key} if name in EXTENDED_CLIENT_CLASSES else None
    return None


def _start(document: Mapping[str, Any]) -> Cursor | None:
    match document.get(CONTINUE_FROM):
        case None:
            return None
        case {"offset": int(offset), "row": int(row), "line": int(line)} if (
            min(offset, row, line) >= 0
        ):
            return {"offset": offset, "row": row, "line": line}
    raise ValueError(f"{CONTINUE_FROM} must have the numbers offset, row and line")
