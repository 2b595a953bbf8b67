"""Tells the operators of an object: by mail, by SMS, or whatever subscribes to their topic.

Keys and reasons are other people's text. Whatever in them is not printable is shown as an escape,
so that it can neither fake a line of the message nor steer a terminal.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_core.events import ProcessingEvent, door_of, message_attributes
from pipeline_core.objects import Pointer

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

MAX_SUBJECT_CHARACTERS = 99
# "less than 100 characters long": https://docs.aws.amazon.com/sns/latest/api/API_Publish.html

MAX_ERRORS = 10


@dataclass(frozen=True)
class Operators:
    """The operators' topic; ``environment`` says to them which deployment it is about."""

    client: SNSClient
    topic_arn: str
    environment: str

    def tell(self, event: ProcessingEvent) -> None:
        """Publish what ``event`` tells, with the attributes event and door to filter by."""
        self.client.publish(
            TopicArn=self.topic_arn,
            Subject=subject_of(event, self.environment),
            Message=text_of(event, self.environment),
            MessageAttributes=message_attributes(event),  # type: ignore[arg-type]  # the same by another name
        )


def subject_of(event: ProcessingEvent, environment: str) -> str:
    """One line of printable ASCII; of a long key the end, which tells more than its beginning."""
    start = f"{environment}: {event['event']}: "
    key = "".join(c if c.isascii() and c.isprintable() else "?" for c in event["object"]["key"])
    room = MAX_SUBJECT_CHARACTERS - len(start)
    return start + (key if len(key) <= room else f"...{key[3 - room :]}")


def text_of(event: ProcessingEvent, environment: str) -> str:
    """What happened to which object, why, where its results lie, and how to look further."""
    return "\n".join(
        [
            f"{event['event']}: {_location(event['object'])}",
            "",
            *_facts(event, environment),
            "",
            "Look further:",
            f"  pipelinectl objects show {_argument(_reference(event['object']))}",
            "",
        ]
    )


def _facts(event: ProcessingEvent, environment: str) -> Iterator[str]:
    yield f"environment: {environment}"
    yield f"at: {event['at']}"
    if "size" in event["object"]:
        yield f"size: {event['object']['size']} bytes"
    if "version_id" in event["object"]:
        yield f"version: {printable(event['object']['version_id'])}"
    yield from _results(event) if event["event"] == "done" else _why(event)
    yield f"execution: {printable(event['durable_execution_arn'])}"


def _results(event: ProcessingEvent) -> Iterator[str]:
    if "counts" in event:
        yield ", ".join(f"{name}: {count}" for name, count in event["counts"].items())
    if "manifest" in event:
        yield f"results: {_location(event['manifest'])}"
    yield f"item: pipelinectl items --id {_argument(event['execution_id'])}"


def _why(event: ProcessingEvent) -> Iterator[str]:
    if "stage" in event:
        yield f"stage: {printable(event['stage'])}"
    if "reason" not in event:
        return
    reason = event["reason"]
    yield f"reason: {printable(reason['type'])}: {printable(reason['message'])}"
    errors = reason.get("errors", [])
    if len(errors) > 1:
        yield from (f"  - {printable(error)}" for error in errors[:MAX_ERRORS])
    if len(errors) > MAX_ERRORS:
        yield f"  and {len(errors) - MAX_ERRORS} more"


def printable(text: str) -> str:
    """``text`` with an escape for each character that does not show."""
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _location(pointer: Pointer) -> str:
    return printable(f"s3://{pointer['bucket']}/{pointer['key']}")


def _reference(pointer: Pointer) -> str:
    """The object as pipelinectl takes it: behind a door the key says enough."""
    if door_of(pointer["key"]) == "other":
        return f"s3://{pointer['bucket']}/{pointer['key']}"
    return pointer["key"]


def _argument(text: str) -> str:
    """``text`` as one word of a shell's command line, printable whatever it holds."""
    if text.isprintable():
        return shlex.quote(text)
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{printable(escaped)}'"
