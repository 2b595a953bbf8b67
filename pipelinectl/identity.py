"""A record's identity: the same at every delivery, by the rules of the pipeline's reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from pipelinectl import envelopes, exact_json
from pipelinectl.errors import StackMissingError

if TYPE_CHECKING:
    from collections.abc import Mapping

RECORD = "durable_pipeline.record"
"""The message attribute by which a message in one of the pipeline's own queues says whose it is.

Its value is JSON: `execution_id`, `sent_timestamp`, `door`, `message_attributes` and others.
"""

EXECUTION_ID = "execution_id"
SENT_TIMESTAMP = "sent_timestamp"
_RECORD_ID = "record_id"
_MAX_TIMESTAMP_DIGITS = 15

Door: TypeAlias = Literal["messages", "objects"]
"""Where a record came in: from whoever may send, or from S3. That decides what is believed."""


def execution_id_to_send(
    content: str, message_id: str, environment: str | None, door: Door | None
) -> str | None:
    """The `execution_id` that the pipeline gives to a message that came in by `door`.

    By its `content` (its body, or what that points to), because there the producer's `record_id`
    counts; None of an object, which is known by its key. `environment` is the prefix of the ids
    that come from the message id.

    Raises:
        StackMissingError: the id is one of these, and `environment` is not known.
    """
    if chosen := record_id(content):
        return chosen
    if door != "messages" and is_s3_event(content):
        return None
    if environment is None:
        msg = "the stack has no parameter 'Environment': deploy it again with this template.yaml"
        raise StackMissingError(msg)
    return f"{environment}-{message_id}"


def record_id(body: str) -> str | None:
    """The producer's own id of the record, if the body is a JSON object with one that is text."""
    body = envelopes.unwrapped(body)
    # Most bodies have none, and then need not be parsed.
    if f'"{_RECORD_ID}"' not in body:
        return None
    try:
        content = exact_json.parse(body)
    except exact_json.NotJsonError:
        return None
    found = content.get(_RECORD_ID) if isinstance(content, dict) else None
    return found if isinstance(found, str) else None


def is_s3_event(body: str) -> bool:
    """Whether `body` is a notification of S3, whose objects are known by their keys."""
    body = envelopes.unwrapped(body)
    if '"aws:s3"' not in body:
        return False
    try:
        content = exact_json.parse(body)
    except exact_json.NotJsonError:
        return False
    match content:
        case {"Records": [{"eventSource": "aws:s3"}, *_]}:
            return True
    return False


def first_sent(texts: Mapping[str, str], sent_timestamp: int) -> int:
    """When the record was first sent, in ms: what it brings along, or else when SQS got it."""
    brought = texts.get(SENT_TIMESTAMP, "")
    if brought.isascii() and brought.isdecimal() and len(brought) <= _MAX_TIMESTAMP_DIGITS:
        return int(brought)
    return sent_timestamp
