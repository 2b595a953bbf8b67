"""Count until every message sent is accounted for: an item, or a dead letter with its reason."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mypy_boto3_sqs.client import SQSClient

    from pipelinectl.dead_letter_queue import DeadLetterQueue
    from pipelinectl.dead_letters import DeadLetter
    from pipelinectl.items import Items

_POLL_SECONDS = 0.4


@dataclass(frozen=True)
class SentMessage:
    """A message of this run and the key that its item will have."""

    message_id: str
    execution_id: str


@dataclass(frozen=True)
class Tally:
    """Where the messages are: `waiting` and `in_flight` as SQS estimates them."""

    sent: int
    stored: int
    dead: int
    waiting: int
    in_flight: int

    @property
    def settled(self) -> bool:
        """Whether nothing is under way and everything seems to have arrived."""
        return self.waiting + self.in_flight == 0 and self.stored + self.dead >= self.sent


@dataclass(frozen=True)
class Account:
    """What became of each message; `missing` and `doubled` are the messages' execution ids."""

    sent: int
    stored: frozenset[str]
    dead_letters: tuple[DeadLetter, ...]
    missing: tuple[str, ...]
    doubled: tuple[str, ...]

    @property
    def balanced(self) -> bool:
        """Whether each message is in exactly one place."""
        return not self.missing and not self.doubled


@dataclass
class Settlement:
    """Watches the messages of one run.

    `dead_before` is the size of the dead-letter queue before they were sent; `sleep` and `clock`
    are in seconds.
    """

    sqs: SQSClient
    queue_url: str
    dead_letters: DeadLetterQueue
    items: Items
    messages: tuple[SentMessage, ...]
    dead_before: int
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _stored: set[str] = field(default_factory=set)

    def watch(self, deadline_seconds: float) -> Iterator[Tally]:
        """Tallies until all is settled or the time is up."""
        end = self.clock() + deadline_seconds
        while True:
            tally = self.tally()
            yield tally
            if tally.settled or self.clock() >= end:
                return
            self.sleep(_POLL_SECONDS)

    def tally(self) -> Tally:
        """Count now. Dead letters are counted by the queue's size, so as not to disturb it."""
        waiting, in_flight = self._queued()
        return Tally(
            sent=len(self.messages),
            stored=len(self._refresh_stored()),
            dead=max(0, self.dead_letters.about() - self.dead_before),
            waiting=waiting,
            in_flight=in_flight,
        )

    def account(self) -> Account:
        """Look for each single message."""
        stored = frozenset(self._refresh_stored())
        by_message = dict(self._own_dead_letters())
        return account(self.messages, stored, by_message)

    def _refresh_stored(self) -> set[str]:
        unseen = (message.execution_id for message in self.messages)
        self._stored |= self.items.existing(id_ for id_ in unseen if id_ not in self._stored)
        return self._stored

    def _own_dead_letters(self) -> Iterator[tuple[str, DeadLetter]]:
        """By the id that each was sent with; one that was handed over has another one by now."""
        own = {message.message_id: message.message_id for message in self.messages}
        own |= {message.execution_id: message.message_id for message in self.messages}
        for letter in self.dead_letters.peek():
            found = own.get(letter.original_message_id) or own.get(letter.execution_id or "")
            if found:
                yield found, letter

    def _queued(self) -> tuple[int, int]:
        attributes = self.sqs.get_queue_attributes(
            QueueUrl=self.queue_url,
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesDelayed",
                "ApproximateNumberOfMessagesNotVisible",
            ],
        )["Attributes"]
        in_flight = int(attributes.pop("ApproximateNumberOfMessagesNotVisible", 0))
        return sum(int(count) for count in attributes.values()), in_flight


def account(
    messages: Iterable[SentMessage], stored: frozenset[str], dead: Mapping[str, DeadLetter]
) -> Account:
    """Compare what was sent with what was stored (keys) and given up (by message id)."""
    sent = tuple(messages)
    places = {m: (m.execution_id in stored) + (m.message_id in dead) for m in sent}
    return Account(
        sent=len(sent),
        stored=stored,
        dead_letters=tuple(dead.values()),
        missing=tuple(m.execution_id for m, count in places.items() if count == 0),
        doubled=tuple(m.execution_id for m, count in places.items() if count > 1),
    )
