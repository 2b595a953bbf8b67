"""S3 objects: which one, in which state, what S3's event notifications say of it, derived names.

Notifications come as S3 sends them or in the envelope that SNS puts around them. What is not in the
shape that S3 documents is refused, with what is wrong about it:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict, cast
from urllib.parse import quote_plus, unquote_plus

from pipeline_core import exact_json
from pipeline_core.values import optional_at, value_at

SEQUENCER_DIGITS = 32

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_READABLE = 64


class Pointer(TypedDict):
    """Where content lies: one state of one object, as functions pass it to each other.

    ``version_id`` and ``etag`` (without quotes) pin the state, where they are known; ``size`` is
    in bytes.
    """

    bucket: str
    key: str
    version_id: NotRequired[str]
    etag: NotRequired[str]
    size: NotRequired[int]


class ObjectState(Pointer):
    """One state of an object of which S3 told; ``sequencer`` orders the states of one key."""

    sequencer: str


@dataclass(frozen=True)
class ObjectId:
    """An object, whatever its state."""

    bucket: str
    key: str

    @classmethod
    def of(cls, pointer: Pointer) -> ObjectId:
        """The object that ``pointer`` points into."""
        return cls(pointer["bucket"], pointer["key"])

    @property
    def path(self) -> str:
        """``bucket/key``, the object's key in the catalog."""
        return f"{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """The last part of its key, for people, and a digest, for uniqueness: safe in any key.

        Keys hold any character and up to 1,024 bytes; what is derived from an object needs names
        that cannot be mistaken for those of another, and fit.
        """
        readable = _NOT_IN_NAMES.sub("_", self.key.rsplit("/", 1)[-1])[-_MAX_READABLE:]
        digest = hashlib.sha256(self.path.encode()).hexdigest()[:16]
        return f"{readable}-{digest}"

    def execution_id(self, environment: str) -> str:
        """The key of its item: the same for all of its states, so that the newest replaces."""
        return f"{environment}-{self.name}"

    def row_execution_id(self, environment: str, number: int) -> str:
        """The key of the item of its row ``number``: the same for all of its states, too."""
        return f"{self.execution_id(environment)}-row-{number}"

    @property
    def results_prefix(self) -> str:
        """Below it, in the output bucket, lies all that was made of it, one folder per state."""
        return f"results/{self.name}/"


def results_folder(state: ObjectState) -> str:
    """The key prefix, in the output bucket, of what was made of one state of an object."""
    return f"{ObjectId.of(state).results_prefix}{state['sequencer']}/"


def derived_folder(pointer: Pointer | ObjectState) -> str:
    """The key prefix, in the output bucket, of what a record's document becomes.

    For a state that S3 told of it is `results_folder`, which goes with the object. What a message
    points to is the message's, whatever becomes of the object.
    """
    if "sequencer" in pointer:
        return results_folder(cast("ObjectState", pointer))
    return f"payloads/{ObjectId.of(pointer).name}/{pointer.get('etag') or '-'}/"


def normalized_sequencer(sequencer: str) -> str:
    """``sequencer`` so that comparing as text tells which event came later.

    S3 gives hexadecimal numbers of varying length, to be compared as if the shorter one had zeros
    on its right: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    return sequencer.upper().ljust(SEQUENCER_DIGITS, "0")


def following(sequencer: str) -> str:
    """The sequencer next to ``sequencer``: later than it, and earlier than all that S3 will give.

    S3's have about 18 digits of the 32, so there is room between any two of them.
    """
    return f"{int(sequencer, 16) + 1:0{SEQUENCER_DIGITS}X}"


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


def parse_events(body: str) -> list[S3Event]:
    """The events in a message's body; raises as `read_events` does, and for what is not JSON."""
    return read_events(exact_json.loads(body))


def read_events(document: object) -> list[S3Event]:
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
