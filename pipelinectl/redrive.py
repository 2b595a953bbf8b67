"""Send dead letters to the internal queue, and delete them once it has accepted them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from pipelinectl import interruption, redelivery
from pipelinectl.dead_letter_queue import MAX_ENTRIES
from pipelinectl.dead_letters import DeadLetter
from pipelinectl.sending import requests

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from pipelinectl.dead_letter_queue import DeadLetterQueue, Held
    from pipelinectl.pace import Pace
    from pipelinectl.redelivery import Read, Redelivery
    from pipelinectl.sending import Refused, Sender, Sent

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
    read: Read = redelivery.no_payloads

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
            with interruption.held_back():
                self._send(held, batch, by_id, account)
            yield len(batch)
        if len(messages) < len(letters):
            yield len(letters) - len(messages)

    def _message(self, held: Held, letter: DeadLetter, account: Account) -> Redelivery | None:
        if self.mend is None:
            return redelivery.of_letter(letter, self.environment, read=self.read)
        held.hide(letter, MENDING_SECONDS)
        body = self.mend(letter)
        if body is None:
            account.left.append(letter.message_id)
            return None
        return redelivery.of_letter(letter, self.environment, body, read=self.read)

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
