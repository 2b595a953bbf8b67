"""S3's event notifications: which state of which object was created or removed.

They come as S3 sends them or in the envelope that SNS puts around them. What is not in the shape
that S3 documents is refused, with what is wrong about it:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from shared import exact_json
from shared.objects import SEQUENCER_DIGITS, ObjectState, normalized_sequencer
from shared.shapes import optional_at, value_at

SOURCE = "aws:s3"
TEST_EVENT = "s3:TestEvent"

MAX_KEY_BYTES = 1024

_SEQUENCER = re.compile(rf"[0-9A-Fa-f]{{1,{SEQUENCER_DIGITS}}}")


@dataclass(frozen=True)
class S3Event:
    """What happened to an object: ``name`` is S3's without ``s3:``, such as ObjectCreated:Put.

    ``time`` is when, ISO-8601, where the event says so. Of what was removed, ``state`` has the
    sequencer of the removal and the version that is gone, or that of the delete marker.
    """

    name: str
    state: ObjectState
    time: str | None = None

    @property
    def is_creation(self) -> bool:
        """Whether the object was created in this state."""
        return self.name.startswith("ObjectCreated:")

    @property
    def is_removal(self) -> bool:
        """Whether the object, or a version of it, was removed."""
        return self.name.startswith("ObjectRemoved:")


def parse(body: str) -> list[S3Event]:
    """The events in a message's body; raises as `read` does, and for what is not JSON."""
    return read(exact_json.loads(body))


def read(document: object) -> list[S3Event]:
    """The events in a notification; none in S3's test event.

    Raises:
        ValueError: names what is wrong.
    """
    document = _unwrapped(document)
    if is_test(document):
        return []
    records = value_at(document, "Records", list)
    if not records:
        raise ValueError("Records is empty; S3 sends at least one")
    return [_numbered(index, record) for index, record in enumerate(records)]


def is_s3_event(document: object) -> bool:
    """Whether ``document`` means to be a notification of S3's, well-formed or not."""
    try:
        document = _unwrapped(document)
    except ValueError:
        return False
    match document:
        case {"Records": [{"eventSource": "aws:s3"}, *_]}:
            return True
    return isinstance(document, Mapping) and document.get("Event") == TEST_EVENT


def created_event(state: ObjectState, time: str | None = None) -> dict[str, Any]:
    """The notification with which S3 would tell of ``state``, at ``time``."""
    found: dict[str, Any] = {"key": quote_plus(state["key"], safe="/")}
    if "size" in state:
        found["size"] = state["size"]
    if "etag" in state:
        found["eTag"] = state["etag"]
    if "version_id" in state:
        found["versionId"] = state["version_id"]
    found["sequencer"] = state["sequencer"]
    record: dict[str, Any] = {
        "eventVersion": "2.1",
        "eventSource": SOURCE,
        "eventName": "ObjectCreated:Put",
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": state["bucket"]}, "object": found},
    }
    if time is not None:
        record["eventTime"] = time
    return {"Records": [record]}


def _unwrapped(document: object) -> object:
    """What SNS has put into its envelope, or the document itself if there is none."""
    while (message := sent_through_sns(document)) is not None:
        document = exact_json.loads(message)
    return document


def sent_through_sns(document: object) -> str | None:
    """The message in the envelope that SNS puts around it; None if there is no envelope."""
    match document:
        case {"Type": "Notification", "TopicArn": str(), "Message": str(message)}:
            return message
    return None


def is_test(document: object) -> bool:
    """Whether ``document`` is what S3 sends when notifications are set up: that whole, no more.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
    """
    match document:
        case {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": str(), **rest}:
            return rest.keys() <= {"Time", "RequestId", "HostId"}
    return False


def _numbered(index: int, record: object) -> S3Event:
    try:
        return _event(record)
    except ValueError as error:
        raise ValueError(f"Records[{index}] is not an event of S3's: {error}") from None


def _event(record: object) -> S3Event:
    if (source := value_at(record, "eventSource", str)) != SOURCE:
        raise ValueError(f"eventSource is {source[:50]!r}; it must be {SOURCE!r}")
    return S3Event(
        name=value_at(record, "eventName", str).removeprefix("s3:"),
        state=_state(record),
        time=optional_at(record, "eventTime", str),
    )


def _state(record: object) -> ObjectState:
    state: ObjectState = {
        "bucket": value_at(record, "s3.bucket.name", str),
        "key": _decoded(value_at(record, "s3.object.key", str)),
        "sequencer": _sequencer(value_at(record, "s3.object.sequencer", str)),
    }
    if version_id := optional_at(record, "s3.object.versionId", str):
        state["version_id"] = version_id
    if etag := optional_at(record, "s3.object.eTag", str):
        state["etag"] = etag.strip('"')
    if (size := optional_at(record, "s3.object.size", int)) is not None:
        state["size"] = _not_negative(size)
    return state


def _decoded(key: str) -> str:
    """The key itself: in an event it is encoded as in a form, with ``+`` for a space."""
    try:
        decoded = unquote_plus(key, errors="strict")
        size = len(decoded.encode())
    except UnicodeError:
        raise ValueError("s3.object.key is not UTF-8, encoded as in a URL") from None
    if size > MAX_KEY_BYTES:
        raise ValueError(f"s3.object.key has {size} bytes; a key has at most {MAX_KEY_BYTES}")
    return decoded


def _sequencer(sequencer: str) -> str:
    if not _SEQUENCER.fullmatch(sequencer):
        raise ValueError(
            "s3.object.sequencer is not a hexadecimal number "
            f"of at most {SEQUENCER_DIGITS} digits: {sequencer[:50]!r}"
        )
    return normalized_sequencer(sequencer)


def _not_negative(size: int) -> int:
    if size < 0:
        raise ValueError(f"s3.object.size is {size}; it must not be negative")
    return size
