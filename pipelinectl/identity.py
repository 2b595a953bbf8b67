"""A record's identity: the same at every delivery, by the rules of the pipeline's reader."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelinectl import envelopes, exact_json
from pipelinectl.errors import StackMissingError

if TYPE_CHECKING:
    from collections.abc import Mapping

EXECUTION_ID = "execution_id"
SENT_TIMESTAMP = "sent_timestamp"
_RECORD_ID = "record_id"
_MAX_TIMESTAMP_DIGITS = 15


def execution_id_to_send(
    texts: Mapping[str, str], content: str, message_id: str, environment: str | None
) -> str | None:
    """The `execution_id` that a message needs as an attribute when it is sent again.

    None where its `content` (its body, or what that points to) brings the identity along: there
    the producer's `record_id` counts, or the object that S3 tells of. `texts` are its attributes,
    `environment` is the prefix of the ids that the pipeline gives.

    Raises:
        StackMissingError: the id is one that the pipeline gives, and `environment` is not known.
    """
    if EXECUTION_ID in texts:
        return texts[EXECUTION_ID]
    if record_id(content) or is_s3_event(content):
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
