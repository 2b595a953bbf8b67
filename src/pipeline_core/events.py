"""The events that tell what becomes of an object: processing, done, rejected, failed, superseded.

They are published on the topic of processing events at least once, and arrive in any order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict, cast, get_args

from pipeline_core import exact_json
from pipeline_core.contract import Reason
from pipeline_core.files import Counts
from pipeline_core.objects import ObjectState, Pointer, normalized_sequencer
from pipeline_core.values import is_timestamp, optional_at, value_at

EventName = Literal["processing", "done", "rejected", "failed", "superseded"]

EVENT_NAMES: frozenset[str] = frozenset(get_args(EventName))

Door = Literal["input", "direct", "messages", "other"]

DOORS: frozenset[str] = frozenset(get_args(Door)) - {"other"}

MAX_ERRORS = 20
MAX_CHARACTERS = 1000
# SNS takes 256 KiB. The dead letter has the whole reason.


class ProcessingEvent(TypedDict):
    """What became of one state of an object, and when: ``at`` is ISO-8601 in UTC.

    ``counts`` and ``manifest`` come with a file that is done; ``reason`` and ``stage`` with an
    object that was rejected or failed. Superseded is an object of which a later state was known,
    so that this one was not stored.
    """

    event: EventName
    object: ObjectState
    execution_id: str
    durable_execution_arn: str
    at: str
    counts: NotRequired[Counts]
    manifest: NotRequired[Pointer]
    reason: NotRequired[Reason]
    stage: NotRequired[str]


def identity(event: ProcessingEvent) -> dict[str, Any]:
    """What a log line says of ``event``: whose it is, and nothing that it holds."""
    return {
        "event": event["event"],
        "object": event["object"],
        "execution_id": event["execution_id"],
        "durable_execution_arn": event["durable_execution_arn"],
    }


class MessageAttribute(TypedDict):
    """An attribute of a message, as SNS takes it."""

    DataType: str
    StringValue: str


def dump(event: ProcessingEvent) -> str:
    """The message for ``event``; what a reason says beyond what SNS takes is left out."""
    document: dict[str, Any] = dict(event)
    if "reason" in event:
        document["reason"] = _shortened(event["reason"])
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def message_attributes(event: ProcessingEvent) -> dict[str, MessageAttribute]:
    """The attributes that subscriptions filter by: event and door."""
    values = {"event": event["event"], "door": door_of(event["object"]["key"])}
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}


def door_of(key: str) -> Door:
    """Which door an object with this key came through."""
    door, slash, _ = key.partition("/")
    return cast("Door", door) if slash and door in DOORS else "other"


def parse(body: str) -> ProcessingEvent:
    """The event in a message's body; raises as `read` does, and for what is not JSON."""
    return read(exact_json.loads(body))


def read(document: object) -> ProcessingEvent:
    """The event in ``document``; what else is in it is left out.

    Raises:
        ValueError: names what is wrong.
    """
    try:
        return _event(document)
    except ValueError as error:
        raise ValueError(f"not a processing event: {error}") from None


def is_processing_event(document: object) -> bool:
    """Whether ``document`` means to be a processing event, well-formed or not."""
    return isinstance(document, Mapping) and "event" in document


def _event(document: object) -> ProcessingEvent:
    event: ProcessingEvent = {
        "event": _name(value_at(document, "event", str)),
        "object": _state(document),
        "execution_id": value_at(document, "execution_id", str),
        "durable_execution_arn": value_at(document, "durable_execution_arn", str),
        "at": _time(value_at(document, "at", str)),
    }
    if optional_at(document, "counts", dict) is not None:
        event["counts"] = _counts(document)
    if optional_at(document, "manifest", dict) is not None:
        event["manifest"] = _pointer(document, "manifest")
    if optional_at(document, "reason", dict) is not None:
        event["reason"] = _reason(document)
    if stage := optional_at(document, "stage", str):
        event["stage"] = stage
    return event


def _name(name: str) -> EventName:
    if name not in EVENT_NAMES:
        known = ", ".join(sorted(EVENT_NAMES))
        raise ValueError(f"event is {name[:50]!r}; it must be one of: {known}")
    return cast("EventName", name)


def _time(at: str) -> str:
    if not is_timestamp(at):
        raise ValueError(f"at is {at[:50]!r}; it must be an ISO-8601 time with an offset")
    return at


def _state(document: object) -> ObjectState:
    sequencer = value_at(document, "object.sequencer", str)
    if sequencer != normalized_sequencer(sequencer):
        raise ValueError(f"object.sequencer is not normalized: {sequencer[:50]!r}")
    return cast("ObjectState", {**_pointer(document, "object"), "sequencer": sequencer})


def _pointer(document: object, path: str) -> Pointer:
    pointer: Pointer = {
        "bucket": value_at(document, f"{path}.bucket", str),
        "key": value_at(document, f"{path}.key", str),
    }
    if version_id := optional_at(document, f"{path}.version_id", str):
        pointer["version_id"] = version_id
    if etag := optional_at(document, f"{path}.etag", str):
        pointer["etag"] = etag
    if (size := optional_at(document, f"{path}.size", int)) is not None:
        pointer["size"] = size
    return pointer


def _counts(document: object) -> Counts:
    counts: Counts = {
        "rows": value_at(document, "counts.rows", int),
        "results": value_at(document, "counts.results", int),
        "rejects": value_at(document, "counts.rejects", int),
    }
    if (items := optional_at(document, "counts.items", int)) is not None:
        counts["items"] = items
    return counts


def _reason(document: object) -> Reason:
    reason: Reason = {
        "type": value_at(document, "reason.type", str),
        "message": optional_at(document, "reason.message", str) or "",
    }
    errors = optional_at(document, "reason.errors", list)
    if errors is not None:
        if not all(isinstance(error, str) for error in errors):
            raise ValueError("reason.errors is not a list of texts")
        reason["errors"] = errors
    return reason


def _shortened(reason: Reason) -> Reason:
    short: Reason = {"type": _cut(reason["type"]), "message": _cut(reason["message"])}
    if "errors" in reason:
        errors = reason["errors"]
        short["errors"] = [_cut(error) for error in errors[:MAX_ERRORS]]
        if (more := len(errors) - MAX_ERRORS) > 0:
            short["errors"].append(f"and {more} more")
    return short


def _cut(text: str) -> str:
    """At most so many characters of ``text``, and none that UTF-8 cannot hold."""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 3]}..."
