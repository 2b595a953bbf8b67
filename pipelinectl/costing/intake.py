"""What an execution was given to work on: the records in its input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from pipelinectl import claim_checks, envelopes, exact_json, identity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FILE_SUFFIXES = (".csv", ".jsonl", ".ndjson")
"""Objects of many rows, as the pipeline's reader has them: there the rows are the records."""

POINTED_BYTES = 32 * 1024
"""What a document that lies in S3 counts for in a chunk, by the pipeline's rules."""

_REQUEST_BYTES = 64 * 1024
_MESSAGES_A_REQUEST = 10


@dataclass(frozen=True)
class Intake:
    """An execution's input.

    `record_ids` are those of the documents in it; files, and messages that tell of several
    objects, are none. `queue_requests` are what SQS counts for its messages: each sent alone,
    received and deleted by tens.
    """

    record_ids: frozenset[str]
    event_bytes: int
    travelling_bytes: int
    queue_requests: int


def intake(payload: str) -> Intake | None:
    """The intake of an execution started with `payload`; None where that is no event."""
    try:
        event = exact_json.parse(payload)
    except exact_json.NotJsonError:
        return None
    match event:
        case {"Records": [{"eventSource": "aws:sqs"}, *_] as messages} if all(
            map(_is_message, messages)
        ):
            return _of_messages(messages, payload)
        case {"Records": [{"eventSource": "aws:s3"}, *_] as entries}:
            ids = frozenset(_object_id(entry) for entry in entries if not _is_file(entry))
            return Intake(ids, _size(payload), len(ids) * POINTED_BYTES, 0)
    return None


def _is_message(entry: object) -> bool:
    match entry:
        case {"messageId": str(), "body": str()}:
            return True
    return False


def _of_messages(messages: Sequence[Mapping[str, str]], payload: str) -> Intake:
    bodies = [message["body"] for message in messages]
    sizes = [_size(body) for body in bodies]
    tens = math.ceil(len(messages) / _MESSAGES_A_REQUEST)
    received = max(tens, math.ceil(sum(sizes) / _REQUEST_BYTES))
    sent = sum(max(1, math.ceil(size / _REQUEST_BYTES)) for size in sizes)
    return Intake(
        frozenset(m["messageId"] for m in messages if _is_document(m["body"])),
        _size(payload),
        sum(map(_travelling, bodies)),
        sent + received + tens,
    )


def _travelling(body: str) -> int:
    points = claim_checks.pointer_in(body) is not None or identity.is_s3_event(body)
    return POINTED_BYTES if points else _size(body)


def _is_document(body: str) -> bool:
    if not identity.is_s3_event(body):
        return True
    entries = exact_json.parse(envelopes.unwrapped(body))["Records"]
    return len(entries) == 1 and not _is_file(entries[0])


def _is_file(entry: object) -> bool:
    return unquote_plus(_object_id(entry)).lower().endswith(FILE_SUFFIXES)


def _object_id(entry: object) -> str:
    match entry:
        case {"s3": {"bucket": {"name": str(bucket)}, "object": {"key": str(key), **rest}}}:
            return f"{rest.get('sequencer', '')} {bucket}/{key}"
    return exact_json.dumps(entry, indent=None)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
