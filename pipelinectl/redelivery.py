"""Make of a message that was given up the message to send again: same identity, same attributes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from pipelinectl import claim_checks, exact_json, identity, message_attributes
from pipelinectl.errors import OperationFailedError
from pipelinectl.message_attributes import MAX_ATTRIBUTES, Attributes
from pipelinectl.objects import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelinectl.dead_letters import DeadLetter

_IDENTITY = (identity.EXECUTION_ID, identity.SENT_TIMESTAMP)

Read: TypeAlias = Callable[[ObjectPath], str | None]
"""The text of a payload that a message points to; None where it is not to be had."""


def no_payloads(_: ObjectPath) -> None:
    """Where there is nothing to read payloads from."""


@dataclass(frozen=True)
class Redelivery:
    """A message to send again.

    `origin` is the id it had in its old place. `dropped` names attributes of its producer that it
    cannot carry: SQS takes ten, and up to two of them are needed for the record's identity.
    """

    origin: str
    text: str
    attributes: Attributes
    dropped: tuple[str, ...] = ()

    @cached_property
    def size(self) -> int:
        """Bytes that SQS counts."""
        return len(self.text.encode()) + message_attributes.size(self.attributes)

    @property
    def execution_id(self) -> str | None:
        """Key of the item that it will become."""
        texts = message_attributes.texts(self.attributes)
        return texts.get(identity.EXECUTION_ID) or identity.record_id(self.text)


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
    return _redelivery(
        letter.message_id,
        letter.body if body is None else body,
        letter.producers_attributes,
        # By its own body: mending a record does not make another one of it.
        identity.execution_id_to_send(
            letter.attributes,
            _content(letter.attributes, letter.body, read),
            letter.message_id,
            environment,
        ),
        letter.first_sent,
    )


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
        return [Redelivery("the event of S3", payload, {})]
    try:
        event = exact_json.parse(payload)
    except exact_json.NotJsonError as error:
        raise _no_event(f"it is not JSON: {error}") from error
    match event:
        case {"Records": [_, *_] as records}:
            return [_of_record(record, environment, read) for record in records]
    raise _no_event("it has no 'Records'")


def _of_record(record: Any, environment: str | None, read: Read) -> Redelivery:
    match record:
        case {"messageId": str(message_id), "body": str(body)}:
            attributes = message_attributes.from_event(record.get("messageAttributes") or {})
        case _:
            raise _no_event("one of its records has no 'messageId' or no 'body'")
    texts = message_attributes.texts(attributes)
    sent = (record.get("attributes") or {}).get("SentTimestamp", "0")
    return _redelivery(
        message_id,
        body,
        attributes,
        identity.execution_id_to_send(texts, _content(texts, body, read), message_id, environment),
        identity.first_sent(texts, int(sent) if str(sent).isdecimal() else 0),
    )


def _content(texts: Mapping[str, str], body: str, read: Read) -> str:
    """What tells the record's identity; what is known already need not be read."""
    if identity.EXECUTION_ID in texts:
        return body
    pointer = claim_checks.pointer_in(body)
    return body if pointer is None else read(pointer) or body


def _no_event(why: str) -> OperationFailedError:
    msg = f"the execution's input is no SQS event, {why}: there is no message to send again"
    return OperationFailedError(msg)


def _redelivery(
    origin: str,
    body: str,
    producers: Attributes,
    execution_id: str | None,
    sent_timestamp: int,
) -> Redelivery:
    """Put together what is sent; `producers` are the attributes that the producer gave it."""
    own = {identity.SENT_TIMESTAMP: message_attributes.string(str(sent_timestamp))}
    if execution_id is not None:
        own[identity.EXECUTION_ID] = message_attributes.string(execution_id)
    others = _to_keep(producers, body)
    room = MAX_ATTRIBUTES - len(own)
    return Redelivery(
        origin=origin,
        text=body,
        attributes={name: producers[name] for name in others[:room]} | own,
        dropped=tuple(others[room:]),
    )


def _to_keep(producers: Attributes, body: str) -> list[str]:
    """Names of the producer's attributes, most needed first.

    What says that the body is a pointer comes first where it is one, and is left out where the
    record was mended and it is none any more.
    """
    reserved = [name for name in claim_checks.SIZE_ATTRIBUTES if name in producers]
    others = [name for name in producers if name not in (*_IDENTITY, *reserved)]
    return [*reserved, *others] if claim_checks.pointer_in(body) else others
