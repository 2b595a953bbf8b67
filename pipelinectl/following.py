"""What becomes of messages that were sent: an item, a dead letter, or not known yet.

An item is asked for by its key, a hundred in one request; the dead-letter queue is looked through
whenever nothing else told, ever more seldom, as each look hides its messages from others a while.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from pipelinectl.dead_letters import identity_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pipelinectl.dead_letters import DeadLetter, DeadLetterQueue
    from pipelinectl.items import Item, Items
    from pipelinectl.redrive import Redelivery
    from pipelinectl.sending import Sent

Fate = Literal["stored", "dead letter", "on its way"]

Version: TypeAlias = tuple[str, str]
"""What tells one writing of an item from another: the message that it came in, and when."""

_NEEDED = ("execution_id", "message_id", "sent_timestamp", "stored_at")
_PAUSE_SECONDS = 1.0
_LETTERS_FIRST = 2.0
_LETTERS_SLOWEST = 30.0


@dataclass(frozen=True)
class Followed:
    """A message that SQS accepted, and the key of the item that it is to become.

    `first_sent` is in ms since 1970, where it was sent before and keeps that time.
    """

    message_id: str
    execution_id: str
    first_sent: int | None = None


@dataclass(frozen=True)
class Became:
    """What one message became; `letter` is its dead letter, where it is one."""

    message: Followed
    fate: Fate
    letter: DeadLetter | None = None


@dataclass(frozen=True)
class Following:
    """Follows messages to their end.

    `before` are the items that the records had already; take it before anything is sent.
    """

    items: Items
    dead_letters: DeadLetterQueue
    environment: str | None
    before: Mapping[str, Version] = field(default_factory=dict)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def outcomes(self, messages: Iterable[Followed], seconds: float) -> Iterator[Became]:
        """What each became, as soon as it is known; the rest is on its way after `seconds`."""
        pending = {message.message_id: message for message in messages}
        own = frozenset(pending)
        start = self.clock()
        look_at, every = start + _LETTERS_FIRST, _LETTERS_FIRST
        while pending:
            over = self.clock() - start >= seconds
            yield from _taken(pending, self._stored(list(pending.values())))
            if pending and (over or self.clock() >= look_at):
                letters = self.dead_letters.peek()
                yield from _taken(pending, self._given_up(list(pending.values()), own, letters))
                every = min(every * 2, _LETTERS_SLOWEST)
                look_at = self.clock() + every
            if over:
                break
            if pending:
                self.sleep(_PAUSE_SECONDS)
        yield from (Became(message, "on its way") for message in pending.values())

    def now(self, messages: Iterable[Followed], letters: Iterable[DeadLetter]) -> list[Became]:
        """What each is now; `letters` are the dead letters, as they were read last."""
        pending = {message.message_id: message for message in messages}
        own = frozenset(pending)
        found = list(_taken(pending, self._stored(list(pending.values()))))
        found += _taken(pending, self._given_up(list(pending.values()), own, letters))
        return found + [Became(message, "on its way") for message in pending.values()]

    def _stored(self, messages: Sequence[Followed]) -> Iterator[Became]:
        keys = {message.execution_id for message in messages}
        found = {item.execution_id: item for item in self.items.some(keys, _NEEDED)}
        for message in messages:
            item = found.get(message.execution_id)
            if item is not None and self._is_of(item, message):
                yield Became(message, "stored")

    def _is_of(self, item: Item, message: Followed) -> bool:
        """Whether the item is the message's, or a newer one's, and not what was there before."""
        if item.text("message_id") == message.message_id:
            return True
        if message.first_sent is not None:
            # The table keeps the newest: this one may never be written.
            order = int(item.text("sent_timestamp") or 0), item.text("message_id")
            if order > (message.first_sent, message.message_id):
                return True
        return _version(item) != self.before.get(item.execution_id)

    def _given_up(
        self, messages: Sequence[Followed], own: frozenset[str], letters: Iterable[DeadLetter]
    ) -> Iterator[Became]:
        """Those that are dead letters; `own` are the ids of all messages that are followed."""
        letters = list(letters)
        by_message = {one.original_message_id: one for one in letters}
        # What the pipeline sent on in a message of its own has another id by now.
        by_record = {
            identity_of(one, self.environment): one
            for one in letters
            if one.failed_at >= self.began and one.original_message_id not in own
        }
        for message in messages:
            letter = by_message.get(message.message_id) or by_record.get(message.execution_id)
            if letter is not None:
                yield Became(message, "dead letter", letter)


def followed(sent: Iterable[Sent[Redelivery]]) -> list[Followed]:
    """What was sent again of records; of an object the pipeline alone knows the id."""
    return [
        Followed(one.message_id, execution_id, one.message.carried.get("sent_timestamp"))
        for one in sent
        if (execution_id := one.message.execution_id) is not None
    ]


def versions(items: Items, execution_ids: Iterable[str]) -> dict[str, Version]:
    """The items that these records have now."""
    return {item.execution_id: _version(item) for item in items.some(execution_ids, _NEEDED)}


def _version(item: Item) -> Version:
    return item.text("message_id"), item.text("stored_at")


def _taken(pending: dict[str, Followed], settled: Iterable[Became]) -> Iterator[Became]:
    for one in settled:
        del pending[one.message.message_id]
        yield one
