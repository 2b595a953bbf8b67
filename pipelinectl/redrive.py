"""Make of a message that was given up the message to send again: same identity, same attributes.

It goes to the pipeline's internal queue. What is known of its record, its producer's attributes
among it, stands there in one attribute.
"""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from pipeline_core import exact_json, messages
from pipeline_core.messages import (
    MAX_ENTRIES,
    Carried,
    Objects,
    Pointed,
    Silent,
    Unreadable,
    given_id,
    objects_in,
    record_id_in,
)
from pipeline_core.objects import Pointer, is_s3_event
from pipelinectl.audit import subject_of
from pipelinectl.dead_letters import DeadLetter, object_key
from pipelinectl.errors import OperationFailedError, StackMissingError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    from pipelinectl.audit import Audit, Subject
    from pipelinectl.dead_letters import DeadLetterQueue, Held
    from pipelinectl.sending import BatchOutcome, Pace, Refused, Sender, Sent


ReadPayload: TypeAlias = Callable[[Pointer], str | None]
"""The text of a payload that a message points to; None where it is not to be had."""


def no_payloads(_: Pointer) -> None:
    """Where there is nothing to read payloads from."""


@dataclass(frozen=True)
class Redelivery:
    """A message to send again.

    `origin` is the id it had in its old place; `carried` is what is known of its record.
    `object_key` is the key of the item of the object that it tells of, as far as that is known,
    `message_group_id` the group that it was in, and is sent in again, empty of none; with
    `is_in_order` it came through the FIFO door.
    """

    origin: str
    text: str
    carried: Carried
    object_key: str | None = None
    message_group_id: str = ""
    is_in_order: bool = False

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The one attribute."""
        return messages.attributes(self.carried)

    @property
    def execution_id(self) -> str | None:
        """Key of the item that it will become; None of an object."""
        return self.carried.get("execution_id")

    @property
    def subject(self) -> Subject:
        """What to say of it in an audit line; an event that S3 sent itself has no message's id."""
        subject: Subject = {} if self.origin == EVENT_OF_S3 else {"message_id": self.origin}
        if key := self.execution_id or self.object_key:
            subject["execution_id"] = key
        return subject


EVENT_OF_S3 = "the event of S3"
"""In place of the id that a message would have."""


def of_letter(
    letter: DeadLetter,
    environment: str | None,
    body: str | None = None,
    *,
    read: ReadPayload = no_payloads,
) -> Redelivery:
    """What to send again for a dead letter, with `body` instead of its own where one is given.

    Raises:
        StackMissingError: its id is one that the pipeline gives, and `environment` is not known.
    """
    known: dict[str, Any] = {
        **(letter.carried or {}),
        # By its own body: an edited record is still the same one.
        "execution_id": _execution_id(letter, environment, read),
        "sent_timestamp": letter.first_sent,
        "door": letter.door,
        "message_attributes": letter.producers_attributes,
    }
    if body is not None:
        known.pop("offloaded", None)  # what is sent now is no pointer that the pipeline put there
    if letter.says_why:
        known.pop("handed_over", None)  # it is sent on as often as any other again
    carried = {name: value for name, value in known.items() if value not in (None, {})}
    text = letter.body if body is None else body
    return Redelivery(
        letter.message_id,
        text,
        cast("Carried", carried),
        object_key(letter.envelope, environment),
        letter.message_group_id,
        letter.is_in_order,
    )


def _execution_id(letter: DeadLetter, environment: str | None, read: ReadPayload) -> str | None:
    """The identity that the pipeline gives to its record; None of an object, which has its own."""
    if letter.execution_id is not None:
        return letter.execution_id
    match letter.envelope:
        case Objects() | Silent():
            return None
        case Pointed(pointer) if chosen := record_id_in(read(pointer) or ""):
            return chosen
    if environment is None:
        msg = "the stack has no parameter 'Environment': deploy it again with this template.yaml"
        raise StackMissingError(msg)
    return given_id(environment, letter.message_id)


def of_event(
    payload: str, environment: str | None, *, read: ReadPayload = no_payloads
) -> list[Redelivery]:
    """What to send again for the event of an execution: all of it.

    Of an SQS event, as an event source mapping delivered it, these are its messages. An event that
    S3 sent to the function itself is one message.

    Raises:
        OperationFailedError: `payload` is neither: anybody who may invoke a function may give it
            any event.
        StackMissingError: an id is one that the pipeline gives, and `environment` is not known.
    """
    try:
        event = exact_json.loads(payload)
    except exact_json.JsonError as error:
        raise _no_event(f"it is not JSON: {error}") from error
    if is_s3_event(event):
        return [_of_s3(payload, environment)]
    match event:
        case {"Records": [_, *_] as records}:
            return [of_letter(as_letter(one), environment, read=read) for one in records]
    raise _no_event("it has no 'Records'")


def _of_s3(payload: str, environment: str | None) -> Redelivery:
    try:
        told = objects_in(payload)
    except Unreadable:  # sent again all the same: it becomes a dead letter that says so
        told = Silent()
    return Redelivery(EVENT_OF_S3, payload, {"door": "objects"}, object_key(told, environment))


def as_letter(record: Any) -> DeadLetter:
    """A message in an event of SQS's: after some more deliveries SQS would have made it one.

    Raises:
        OperationFailedError: it is no message.
    """
    match record:
        case {"messageId": str(message_id), "body": str(body)}:
            source = str(record.get("eventSourceARN", "")).rpartition(":")[2]
            group = messages.message_group_id_in(record.get("attributes"))
            return DeadLetter(
                message_id,
                receipt_handle="",
                body=body,
                message_attributes=_message_attributes(record),
                sent_timestamp=system_number(record, "SentTimestamp") or 0,
                source=source,
                message_group_id=group,
                is_in_order=source.endswith(messages.FIFO) and group != "",
            )
    raise _no_event("one of its records has no 'messageId' or no 'body'")


def _message_attributes(record: Mapping[str, Any]) -> Mapping[str, Any]:
    found = record.get("messageAttributes") or {}
    if isinstance(found, dict) and all(map(_is_attribute, found.values())):
        return found
    raise _no_event("the 'messageAttributes' of one of its records are none of SQS's")


def _is_attribute(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("stringValue", ""), str)


_COUNT = re.compile("[0-9]{1,15}")


def system_number(record: Mapping[str, Any], name: str) -> int | None:
    """An attribute of SQS's own of a message in an event; None where it is no count."""
    match record.get("attributes"):
        case {**attributes} if _COUNT.fullmatch(text := str(attributes.get(name))):
            return int(text)
    return None


def _no_event(why: str) -> OperationFailedError:
    msg = f"the execution's input is no SQS event, {why}: there is no message to send again"
    return OperationFailedError(msg)


@contextmanager
def held_back() -> Iterator[None]:
    """Let an interrupt wait until the block is done; a second one is obeyed at once.

    Raises:
        KeyboardInterrupt: there was one meanwhile.
    """
    # Only the main thread may set a signal's handler, and only it is ever interrupted.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def hold_back(number: int, _frame: object) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    before = signal.signal(signal.SIGINT, hold_back)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)
    if came:
        raise KeyboardInterrupt


# Long enough to send what one receive brought at the slowest rate, short enough that a redrive
# that was killed hides nothing for long.
HOLD_SECONDS = 300
# Nobody knows how long an editor stays open.
EDITING_SECONDS = 3600


Edit: TypeAlias = Callable[[DeadLetter], str | None]
"""The body to send for a dead letter, or None to leave it where it is."""


@dataclass
class Redriven:
    """What became of the dead letters so far; `left` and `not_deleted` are message ids.

    `left` were not to be sent as they are, `not_deleted` were sent and are dead letters still,
    `untold` were dealt with, and the log group took no line of how that ended. `stopped` are groups
    of the FIFO door of which one was refused: none of those behind it is sent before it.
    """

    sent: list[Sent[Redelivery]] = field(default_factory=list)
    refused: list[Refused[Redelivery]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    not_deleted: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    stopped: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Redrive:
    """Redrives from one queue to another; what came in order goes by `in_order`, if there is that.

    `environment` is the prefix of the ids that the pipeline gives. Without `edit` each dead letter
    is sent as it is. `read` reads what a dead letter points to. `note` goes into the audit lines.
    `redriven` says what became of the dead letters so far.
    """

    queue: DeadLetterQueue
    sender: Sender
    audit: Audit
    environment: str | None
    pace: Pace
    edit: Edit | None = None
    read: ReadPayload = no_payloads
    note: str | None = None
    in_order: Sender | None = None
    redriven: Redriven = field(default_factory=Redriven)

    def run(self, message_ids: Iterable[str]) -> Generator[int, None, None]:
        """Redrive these messages; yields how many were dealt with each time.

        Messages that came later are left alone: one that fails again would go round without end.
        Whatever ends it, a message is deleted if and only if its being accepted is known, and
        all others are visible again at once. What another reader holds is passed over. None is
        sent without its audit line.

        Raises:
            NotWritten: the log group took no line; what it was about stays.
        """
        held = self.queue.hold(HOLD_SECONDS)
        # While one is being edited, no others need be kept from their readers.
        at_once = 1 if self.edit else MAX_ENTRIES
        try:
            for letters in held.those(set(message_ids), at_once):
                yield from self._redrive(held, letters)
        finally:
            held.release()

    def _redrive(self, held: Held, letters: list[DeadLetter]) -> Iterator[int]:
        for letter in letters if self.edit else ():
            held.hide(letter, EDITING_SECONDS)
        again = [m for m in map(self._message, letters) if m]
        by_id = {letter.message_id: letter for letter in letters}
        sender = self._sender_of(letters[0])
        for batch in sender.requests(again, self.pace.batch(MAX_ENTRIES)):
            if going := self._without_stopped(sender, batch):
                self.pace.wait(len(going))
                with held_back():
                    self._send(held, sender, going, by_id)
            yield len(batch)
        if len(again) < len(letters):
            yield len(letters) - len(again)

    def _sender_of(self, letter: DeadLetter) -> Sender:
        """What one receive brings is of one queue, and goes to one."""
        return self.in_order if self.in_order and letter.is_in_order else self.sender

    def _without_stopped(self, sender: Sender, batch: list[Redelivery]) -> list[Redelivery]:
        if not sender.is_in_order:
            return batch
        stopped = [one for one in batch if one.message_group_id in self.redriven.stopped]
        self.redriven.left += [one.origin for one in stopped]
        return [one for one in batch if one not in stopped]

    def _message(self, letter: DeadLetter) -> Redelivery | None:
        if self.edit is None:
            return of_letter(letter, self.environment, read=self.read)
        body = self.edit(letter)
        if body is None:
            self.redriven.left.append(letter.message_id)
            return None
        return of_letter(letter, self.environment, body, read=self.read)

    def _send(
        self,
        held: Held,
        sender: Sender,
        batch: list[Redelivery],
        letters: dict[str, DeadLetter],
    ) -> None:
        subjects = [self._subject(again, letters[again.origin]) for again in batch]
        self.audit.before("redrive", subjects, self.note)
        outcome = sender.send_batch(batch)
        self.redriven.sent += outcome.sent
        self.redriven.refused += outcome.refused
        if sender.is_in_order:
            self.redriven.stopped |= {one.message.message_group_id for one in outcome.refused}
        if not self.audit.after("redrive", results_of(outcome)):
            self.redriven.untold += [again.origin for again in batch]
        kept = [letters[sent.message.origin] for sent in outcome.sent]
        try:
            kept = held.delete(kept)
        finally:
            self.redriven.not_deleted += [letter.message_id for letter in kept]

    def _subject(self, again: Redelivery, letter: DeadLetter) -> Subject:
        subject = subject_of(letter, self.environment)
        if again.execution_id is not None:
            subject["execution_id"] = again.execution_id
        if again.text != letter.body:
            subject["edited"] = True
        return subject


def results_of(outcome: BatchOutcome[Redelivery]) -> list[Subject]:
    """What to say of messages that were sent, or refused."""
    results: list[Subject] = []
    for sent in outcome.sent:
        result: Subject = {"result": "sent", "new_message_id": sent.message_id}
        results.append(result | sent.message.subject)
    refusals = ((f"refused: {one.code}", one.message.subject) for one in outcome.refused)
    return results + [{"result": said} | subject for said, subject in refusals]
