"""Delete dead letters for good, with a line that says who did it and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipelinectl.audit import subject_of
from pipelinectl.redrive import HOLD_SECONDS, held_back

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from pipelinectl.audit import Audit
    from pipelinectl.dead_letters import DeadLetter, DeadLetterQueue, Held


@dataclass
class Discarded:
    """What became of the dead letters so far, as message ids; `not_deleted` are there still."""

    deleted: list[str] = field(default_factory=list)
    not_deleted: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Discard:
    """Discards dead letters of one queue; `note` says why.

    `environment` is the prefix of the ids that the pipeline gives. `discarded` says what became of
    the dead letters so far.
    """

    queue: DeadLetterQueue
    audit: Audit
    environment: str | None
    note: str
    discarded: Discarded = field(default_factory=Discarded)

    def run(self, message_ids: Iterable[str]) -> Generator[int, None, None]:
        """Delete these messages; yields how many were dealt with each time.

        None is deleted without its line. Repeated, it finds nothing more to do: of a message that
        has its line, and was not deleted because the work was interrupted, there are two lines.

        Raises:
            NotWritten: the log group took no line; what it was about stays.
        """
        held = self.queue.hold(HOLD_SECONDS)
        try:
            for letters in held.those(set(message_ids)):
                with held_back():
                    self._delete(held, letters)
                yield len(letters)
        finally:
            held.release()

    def _delete(self, held: Held, letters: list[DeadLetter]) -> None:
        subjects = [subject_of(letter, self.environment) for letter in letters]
        self.audit.before("discard", subjects, self.note)
        kept = {letter.message_id for letter in held.delete(letters)}
        ids = [letter.message_id for letter in letters]
        self.discarded.deleted += [one for one in ids if one not in kept]
        self.discarded.not_deleted += sorted(kept)
