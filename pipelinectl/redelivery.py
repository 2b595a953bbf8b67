"""Make of a message that was given up the message to send again: same identity, same attributes.

It goes to the pipeline's internal queue. What is known of its record, its producer's attributes
among it, stands there in one attribute (src/pipeline_core/messages.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from pipelinectl import claim_checks, exact_json, identity, message_attributes
from pipelinectl.dead_letters import DeadLetter
from pipelinectl.errors import OperationFailedError
from pipelinectl.message_attributes import Attributes
from pipelinectl.objects import ObjectPath

Read: TypeAlias = Callable[[ObjectPath], str | None]
"""The text of a payload that a message points to; None where it is not to be had."""

_PASSED_ON = ("continue_from", "offloaded")
"""What the pipeline notes for itself, which is no business of anybody else's."""


def no_payloads(_: ObjectPath) -> None:
    """Where there is nothing to read payloads from."""


@dataclass(frozen=True)
class Redelivery:
    """A message to send again.

    `origin` is the id it had in its old place; `record` is what is known of its record, as JSON.
    """

    origin: str
    text: str
    record: str

    @property
    def attributes(self) -> Attributes:
        """The one attribute."""
        return {identity.RECORD: message_attributes.string(self.record)}

    @cached_property
    def size(self) -> int:
        """Bytes that SQS counts."""
        return len(self.text.encode()) + message_attributes.size(self.attributes)

    @property
    def execution_id(self) -> str | None:
        """Key of the item that it will become; None of an object."""
        carried: dict[str, Any] = exact_json.parse(self.record)
        return carried.get(identity.EXECUTION_ID) or identity.record_id(self.text)


def of_letter(
    letter: DeadLetter,
    environment: str | None,
    body: str | None = None,
    *,
    read: Read = no_payloads,
) -> Redelivery:
    """What to send again for a dead letter, with `body` instead of its own where one is given.

    Raises:
        StackMissingError: its id is one that the pipeline gives, and `environment` is not known.
    """
    # By its own body: mending a record does not make another one of it.
    record = _record(letter, environment, read, mended=body is not None)
    return Redelivery(letter.message_id, letter.body if body is None else body, record)


def of_event(
    payload: str, environment: str | None, *, read: Read = no_payloads
) -> list[Redelivery]:
    """What to send again for the event of an execution: all of it.

    Of an SQS event, as an event source mapping delivered it, these are its messages. An event that
    S3 sent to the function itself is one message.

    Raises:
        OperationFailedError: `payload` is neither.
        StackMissingError: an id is one that the pipeline gives, and `environment` is not known.
    """
    if identity.is_s3_event(payload):
        return [Redelivery("the event of S3", payload, _text({"door": "objects"}))]
    try:
        event = exact_json.parse(payload)
    except exact_json.NotJsonError as error:
        raise _no_event(f"it is not JSON: {error}") from error
    match event:
        case {"Records": [_, *_] as records}:
            return [_of_record(record, environment, read) for record in records]
    raise _no_event("it has no 'Records'")


def _of_record(record: Any, environment: str | None, read: Read) -> Redelivery:
    """As of a dead letter: after some more deliveries, SQS would have made one of it."""
    match record:
        case {"messageId": str(message_id), "body": str(body)}:
            attributes = message_attributes.from_event(record.get("messageAttributes") or {})
        case _:
            raise _no_event("one of its records has no 'messageId' or no 'body'")
    sent = (record.get("attributes") or {}).get("SentTimestamp", "0")
    letter = DeadLetter(
        message_id,
        receipt_handle="",
        body=body,
        message_attributes=attributes,
        sent_timestamp=int(sent) if str(sent).isdecimal() else 0,
        source=str(record.get("eventSourceARN", "")).rpartition(":")[2],
    )
    return of_letter(letter, environment, read=read)


def _no_event(why: str) -> OperationFailedError:
    msg = f"the execution's input is no SQS event, {why}: there is no message to send again"
    return OperationFailedError(msg)


def _record(
    letter: DeadLetter, environment: str | None, read: Read, *, mended: bool = False
) -> str:
    if letter.record is not None:
        return letter.attributes[identity.RECORD]
    kept = letter.kept or {}
    known = {
        "execution_id": _execution_id(letter, environment, read),
        "sent_timestamp": letter.first_sent,
        "door": letter.door,
        "message_attributes": message_attributes.to_event(letter.producers_attributes),
        **{name: kept.get(name) for name in _PASSED_ON},
    }
    if mended:
        known.pop("offloaded")  # what is sent now is no pointer that the pipeline has put there
    return _text({name: value for name, value in known.items() if value not in (None, {})})


def _execution_id(letter: DeadLetter, environment: str | None, read: Read) -> str | None:
    """What is known already need not be read."""
    if letter.given_execution_id is not None:
        return letter.given_execution_id
    pointer = claim_checks.pointer_in(letter.body)
    content = letter.body if pointer is None else read(pointer) or letter.body
    return identity.execution_id_to_send(content, letter.message_id, environment, letter.door)


def _text(carried: dict[str, Any]) -> str:
    return exact_json.dumps(carried, indent=None)
