"""Make of a message that was given up the message to send again: same identity, same attributes.

It goes to the pipeline's internal queue. What is known of its record, its producer's attributes
among it, stands there in one attribute (src/pipeline_core/messages.py).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from pipeline_core import exact_json
from pipelinectl import sending
from pipelinectl.dead_letters import MAX_ENTRIES, DeadLetter
from pipelinectl.errors import OperationFailedError
from pipelinectl.exact_json import dumps
from pipelinectl.objects import ObjectPath
from pipelinectl.sending import Attributes, requests

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from pipelinectl.dead_letters import DeadLetterQueue, Held
    from pipelinectl.sending import Pace, Refused, Sender, Sent


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
        return {sending.RECORD: sending.string(self.record)}

    @cached_property
    def size(self) -> int:
        """Bytes that SQS counts."""
        return len(self.text.encode()) + sending.size(self.attributes)

    @property
    def execution_id(self) -> str | None:
        """Key of the item that it will become; None of an object."""
        carried: dict[str, Any] = exact_json.loads(self.record)
        return carried.get(sending.EXECUTION_ID) or sending.record_id(self.text)


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
    if sending.is_s3_event(payload):
        return [Redelivery("the event of S3", payload, _text({"door": "objects"}))]
    try:
        event = exact_json.loads(payload)
    except exact_json.JsonError as error:
        raise _no_event(f"it is not JSON: {error}") from error
    match event:
        case {"Records": [_, *_] as records}:
            return [_of_record(record, environment, read) for record in records]
    raise _no_event("it has no 'Records'")


def _of_record(record: Any, environment: str | None, read: Read) -> Redelivery:
    """As of a dead letter: after some more deliveries, SQS would have made one of it."""
    match record:
        case {"messageId": str(message_id), "body": str(body)}:
            attributes = sending.from_event(record.get("messageAttributes") or {})
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
        return letter.attributes[sending.RECORD]
    kept = letter.kept or {}
    known = {
        "execution_id": _execution_id(letter, environment, read),
        "sent_timestamp": letter.first_sent,
        "door": letter.door,
        "message_attributes": sending.to_event(letter.producers_attributes),
        **{name: kept.get(name) for name in _PASSED_ON},
    }
    if mended:
        known.pop("offloaded")  # what is sent now is no pointer that the pipeline has put there
    return _text({name: value for name, value in known.items() if value not in (None, {})})


def _execution_id(letter: DeadLetter, environment: str | None, read: Read) -> str | None:
    """What is known already need not be read."""
    if letter.given_execution_id is not None:
        return letter.given_execution_id
    pointer = sending.pointer_in(letter.body)
    content = letter.body if pointer is None else read(pointer) or letter.body
    return sending.execution_id_to_send(content, letter.message_id, environment, letter.door)


def _text(carried: dict[str, Any]) -> str:
    return dumps(carried, indent=None)


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
MENDING_SECONDS = 3600


Mend: TypeAlias = Callable[[DeadLetter], str | None]
"""The body to send for a dead letter, or None to leave it where it is."""


@dataclass
class Account:
    """What became of the dead letters so far; `left` and `not_deleted` are message ids.

    `left` were not to be sent as they are, `not_deleted` were sent and are dead letters still.
    """

    sent: list[Sent[Redelivery]] = field(default_factory=list)
    refused: list[Refused[Redelivery]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    not_deleted: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Redrive:
    """Redrives from one queue to another.

    `environment` is the prefix of the ids that the pipeline gives. Without `mend` each dead letter
    is sent as it is. `read` reads what a dead letter points to.
    """

    queue: DeadLetterQueue
    sender: Sender
    environment: str | None
    pace: Pace
    mend: Mend | None = None
    read: Read = no_payloads

    def run(self, message_ids: Iterable[str], account: Account) -> Generator[int, None, None]:
        """Redrive these messages; yields how many were dealt with each time, as `account` has it.

        Messages that came later are left alone: one that fails again would go round for ever.
        Whatever ends it, a message is deleted if and only if its being accepted is known, and
        all others are visible again at once. What another reader holds is passed over.
        """
        wanted = set(message_ids)
        held = self.queue.hold(HOLD_SECONDS)
        try:
            for letters in self._received(held, wanted):
                yield from self._redrive(held, letters, account)
        finally:
            held.release()

    def _received(self, held: Held, wanted: set[str]) -> Iterator[list[DeadLetter]]:
        """Those wanted, as they come, each once."""
        # While one is being mended, no others need be kept from their readers.
        receives = held.receives(1 if self.mend else MAX_ENTRIES)
        while wanted and (letters := next(receives, None)):
            found = {m.message_id: m for m in letters if m.message_id in wanted}
            wanted.difference_update(found)
            yield list(found.values())

    def _redrive(self, held: Held, letters: list[DeadLetter], account: Account) -> Iterator[int]:
        messages = [m for m in (self._message(held, one, account) for one in letters) if m]
        by_id = {letter.message_id: letter for letter in letters}
        for batch in requests(messages, self.pace.batch(MAX_ENTRIES)):
            self.pace.wait(len(batch))
            with held_back():
                self._send(held, batch, by_id, account)
            yield len(batch)
        if len(messages) < len(letters):
            yield len(letters) - len(messages)

    def _message(self, held: Held, letter: DeadLetter, account: Account) -> Redelivery | None:
        if self.mend is None:
            return of_letter(letter, self.environment, read=self.read)
        held.hide(letter, MENDING_SECONDS)
        body = self.mend(letter)
        if body is None:
            account.left.append(letter.message_id)
            return None
        return of_letter(letter, self.environment, body, read=self.read)

    def _send(
        self,
        held: Held,
        batch: list[Redelivery],
        letters: dict[str, DeadLetter],
        account: Account,
    ) -> None:
        outcome = self.sender.send_batch(batch)
        account.sent += outcome.sent
        account.refused += outcome.refused
        kept = [letters[sent.message.origin] for sent in outcome.sent]
        try:
            kept = held.delete(kept)
        finally:
            account.not_deleted += [letter.message_id for letter in kept]
