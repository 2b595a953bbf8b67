"""What a message says, what one of the pipeline's own carries along, and whose record it is.

Which of it is believed is a matter of the door that a message came through, and is decided by
whoever reads it: `durable_pipeline.intake`, and pipelinectl for what operators send again. The
queue that anybody may send to takes documents, and believes nothing that is said about them. Whose
record a message is, and how old, is only read in the queues that the pipeline and its operators
send to: it stands in one attribute, so that the ten that SQS allows stay the producer's.

Requests to SQS: what one message and one request may have.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NotRequired, TypedDict, TypeGuard, cast

from pipeline_core import exact_json, objects
from pipeline_core.files import Cursor
from pipeline_core.objects import Pointer, S3Event, is_s3_event, sent_through_sns
from pipeline_core.sizes import batches, text_size

ATTRIBUTE = "durable_pipeline.record"
"""The name of the message attribute, of type String; its value is a `Carried` as JSON."""

Door = Literal["messages", "objects"]
"""Where a record came in: the queue that anybody may send to, or S3."""


class Carried(TypedDict):
    """What is known of a record that is sent again, or handed over; all of it is optional.

    ``execution_id`` is the key of its item, ``sent_timestamp`` when its producer sent it, in
    milliseconds since 1970. ``door`` is where it came in: its body is read by that door's rules, so
    that nothing is believed of it now that was not then; without one by those of either.
    ``handed_over`` counts how often the pipeline itself has sent it on because of its neighbours.
    ``offloaded`` says that the body is a pointer that the pipeline has put in the body's place.
    ``continue_from`` is where a follow-up execution goes on in a file. ``replaces`` is
    ``stored_at`` of the item that is processed again: only that one is replaced.
    ``message_attributes`` are the producer's, as Lambda has them in an event.
    """

    execution_id: NotRequired[str]
    sent_timestamp: NotRequired[int]
    door: NotRequired[Door]
    handed_over: NotRequired[int]
    offloaded: NotRequired[Literal[True]]
    continue_from: NotRequired[Cursor]
    replaces: NotRequired[str]
    message_attributes: NotRequired[Mapping[str, Any]]


def attributes(carried: Carried) -> dict[str, Any]:
    """The message attributes of a message that carries ``carried``, as SendMessage takes them."""
    # In what somebody else made there may be decimals, which need not keep their type.
    text = json.dumps(carried, ensure_ascii=False, separators=(",", ":"), default=str)
    return {ATTRIBUTE: {"DataType": "String", "StringValue": text}}


LETTER_ATTRIBUTES = frozenset({"stage", "error_type", "execution_id", "original_message_id"})
"""What each of the pipeline's own dead letters has; those of other systems have not all of them."""

MAX_ID_BYTES = 2048
MAX_TIME_CHARACTERS = 64


def carried_in(attributes: Mapping[str, Any]) -> Carried | None:
    """What a message carries along: as it is sent again, or as a dead letter that was moved.

    None where it carries nothing. ``attributes`` are as Lambda has them in an event, and must be of
    a message that only the pipeline and its operators can have sent.

    Raises:
        Unreadable: InvalidEvent, it is malformed.
    """
    try:
        if ATTRIBUTE in attributes:
            return _checked_carried(exact_json.loads(_attribute(attributes, ATTRIBUTE) or ""))
        if is_dead_letter(attributes):
            own = {
                "execution_id": _attribute(attributes, "execution_id"),
                "message_attributes": producers_in(attributes),
            }
            return _checked_carried(_original(attributes) | own)
    except ValueError as error:
        raise Unreadable("InvalidEvent", f"its attribute {ATTRIBUTE}: {error}") from None
    return None


def is_dead_letter(attributes: Mapping[str, Any]) -> bool:
    """Whether these are the attributes of a dead letter of the pipeline's, or meant to look so."""
    return attributes.keys() >= LETTER_ATTRIBUTES


def producers_in(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The attributes that the record's producer gave it, which are kept and never believed.

    A dead letter that was sent again as it was has them inside its own; as often as it was.
    """
    while is_dead_letter(attributes):
        inner = _original(attributes).get("message_attributes")
        attributes = inner if isinstance(inner, dict) else {}
    return attributes


def _original(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What a dead letter kept of the message that it was."""
    original = _json(_attribute(attributes, "original") or "")
    return original if isinstance(original, dict) else {}


def _attribute(attributes: Mapping[str, Any], name: str) -> str | None:
    value = attributes.get(name)
    text = value.get("stringValue") if isinstance(value, Mapping) else None
    return text if isinstance(text, str) else None


def _checked_carried(value: object) -> Carried:
    """``value``, if it is what a message may carry along."""
    match value:
        case {**fields}:
            carried = {name: fields[name] for name in Carried.__annotations__ if name in fields}
        case _:
            raise ValueError("it must be a JSON object")
    for name, right in _RIGHT.items():
        if name in carried and not right(carried[name]):
            raise ValueError(f"{name} is not of the right type: {str(carried[name])[:50]!r}")
    if "continue_from" in carried:
        carried["continue_from"] = cursor(carried["continue_from"])
    return cast("Carried", carried)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**15


_RIGHT: Mapping[str, Callable[[Any], bool]] = {
    "execution_id": lambda value: isinstance(value, str) and 0 < text_size(value) <= MAX_ID_BYTES,
    "sent_timestamp": _is_count,
    "door": lambda value: value in ("messages", "objects"),
    "handed_over": _is_count,
    "offloaded": lambda value: value is True,
    "replaces": lambda value: isinstance(value, str) and 0 < len(value) <= MAX_TIME_CHARACTERS,
    "message_attributes": lambda value: isinstance(value, dict),
}


POINTER_CLASS = "software.amazon.payloadoffloading.PayloadS3Pointer"

EXTENDED_CLIENT_CLASSES = frozenset(
    {POINTER_CLASS, "com.amazon.sqs.javamessaging.MessageS3Pointer"}
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


class Unreadable(ValueError):
    """What the message is meant to be it is not; ``type`` is the reason's."""

    def __init__(self, reason_type: str, message: str) -> None:
        super().__init__(message)
        self.type = reason_type


def may_be_other(body: str) -> bool:
    """Whether ``body`` may be something else than simply a document."""
    return any(mark in body for mark in _MARKS)


def envelope_of(body: str, door: Door | None) -> Envelope:
    """What ``body`` says by the rules of the door that it came in by; of either if none is known.

    Raises:
        Unreadable: it is not what it is meant to be.
    """
    if door == "messages":
        return document_in(body)
    return objects_in(body) if door == "objects" else anything_in(body)


def pointer_to(bucket: str, key: str) -> str:
    """The message that points to an object, as the Amazon SQS Extended Client writes it."""
    return json.dumps([POINTER_CLASS, {"s3BucketName": bucket, "s3Key": key}])


def document_in(body: str) -> Inline | Pointed:
    """What ``body`` says where only documents and pointers are believed.

    What is neither is a document, right or wrong; but of what others send by mistake it is said at
    once what to do.

    Raises:
        Unreadable: InvalidPointer, or UnsupportedEvent for an event of S3's.
    """
    if not may_be_other(body):
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
        events = objects.read_events(document)
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
    if may_be_other(body):
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


UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


MADE_HERE = re.compile(
    rf"{UUID.pattern}|[0-9a-f]{{32}}|[A-Za-z0-9._-]{{0,64}}-[0-9a-f]{{16}}(?:-row-[0-9]+)?"
)
"""What follows on the environment's name in an id of a message, of an event, of an object, of a row
of one."""


def why_reserved(execution_id: str, environment: str) -> str | None:
    """Why no producer may choose ``execution_id`` for a record, if none may.

    Whoever chose one of those that the pipeline makes would overwrite another's item.
    """
    prefix = f"{environment}-"
    rest = execution_id.removeprefix(prefix)
    if rest == execution_id or not MADE_HERE.fullmatch(rest):
        return None
    return (
        f"record_id {execution_id[:100]!r} has the shape of the ids that the pipeline makes "
        f"itself: {prefix} and a message's id, or an object's name and digest; choose another one"
    )


def given_id(environment: str, message_id: str) -> str:
    """The execution_id of a message's record whose producer gave it none."""
    return f"{environment}-{message_id}"


def may_be_identified(body: str) -> bool:
    """Whether ``body`` may have a ``record_id``, as far as its text alone tells."""
    return '"record_id"' in body


def record_id_in(body: str) -> str | None:
    """The producer's ``record_id``, if the body has a usable one; validate has the last word.

    Usable is what can be the key of an item, and travel in an attribute of a dead letter.
    """
    if not may_be_identified(body):
        return None
    try:
        document = exact_json.loads(body)
    except exact_json.JsonError:
        return None
    return usable_record_id(document)


def usable_record_id(document: object) -> str | None:
    """The same of a document that was read already."""
    match document:
        case {"record_id": str(record_id)} if 0 < text_size(
            record_id
        ) <= MAX_ID_BYTES and not NOT_ALLOWED.search(record_id):
            return record_id
    return None


MAX_MESSAGE_BYTES = 1024 * 1024
MAX_ENTRIES = 10
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html

NOT_ALLOWED = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What SQS refuses in a message: https://www.w3.org/TR/REC-xml/#charsets"""


MESSAGE_GROUP_ID: Final = "MessageGroupId"
"""What SQS calls the group of a message; in a standard queue, a fair queue, its tenant's name."""

MAX_GROUP_CHARACTERS = 128
_GROUP = re.compile(rf"[!-~]{{1,{MAX_GROUP_CHARACTERS}}}")
"""Letters, digits and punctuation of ASCII:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"""


def is_message_group_id(value: object) -> TypeGuard[str]:
    """Whether SQS takes ``value`` as the group of a message."""
    return isinstance(value, str) and _GROUP.fullmatch(value) is not None


def message_group_id_in(attributes: object) -> str:
    """The group among the attributes that SQS itself gives a message; empty where it has none.

    What SQS would not take again is none: a group is a help, and no record is lost for its sake.
    """
    value = attributes.get(MESSAGE_GROUP_ID) if isinstance(attributes, Mapping) else None
    return value if is_message_group_id(value) else ""


def in_group(message: dict[str, Any], message_group_id: str) -> dict[str, Any]:
    """``message``, for SendMessage, in that group; of none, with nothing added."""
    return message | {MESSAGE_GROUP_ID: message_group_id} if message_group_id else message


FIFO: Final = ".fifo"
"""How the name of each FIFO queue ends, and of no other."""


def in_order(message: dict[str, Any], deduplication_id: str) -> dict[str, Any]:
    """``message``, for a FIFO queue, which takes one of that id in five minutes and no second."""
    return message | {"MessageDeduplicationId": deduplication_id} if deduplication_id else message


def requests(entries: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """``entries`` in requests that SQS takes: 10 entries, and 1 MiB with their attributes."""
    return batches(entries, message_size, max_bytes=MAX_MESSAGE_BYTES, max_entries=MAX_ENTRIES)


def message_size(entry: Mapping[str, Any]) -> int:
    """Bytes of a message as SQS counts them: body, and attributes' names, types and values."""
    return len(entry["MessageBody"].encode("utf-8", "surrogatepass")) + sum(
        len(name.encode()) + len(value["DataType"]) + len(value["StringValue"].encode())
        for name, value in entry["MessageAttributes"].items()
    )
