"""Promises and verdicts: each look at a line says that it holds, differs, or cannot be seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from pipelinectl import errors
from pipelinectl.errors import UsageError
from pipelinectl.verify.seen import is_denial, said

if TYPE_CHECKING:
    from pipelinectl.verify.seen import Observations
    from pipelinectl.verify.sent import Deployed, Names, Sent


class Verdict(Enum):
    """What became of a promise; `AWAITED` is none yet."""

    HOLDS = "holds"
    DIFFERS = "differs"
    UNSEEN = "cannot be seen"
    AWAITED = "awaited"


@dataclass(frozen=True)
class Seen:
    """A verdict and what was seen, in one line; `remedy` where it differs.

    `otherwise` is the verdict of what is awaited and has not come in time.
    """

    verdict: Verdict
    text: str
    remedy: str = ""
    otherwise: Verdict = Verdict.DIFFERS


def holds(text: str) -> Seen:
    """It is as the docs say."""
    return Seen(Verdict.HOLDS, text)


def differs(text: str, remedy: str) -> Seen:
    """It is not, and never will be."""
    return Seen(Verdict.DIFFERS, text, remedy)


def unseen(text: str) -> Seen:
    """Nobody can tell from here."""
    return Seen(Verdict.UNSEEN, text)


def awaited(text: str, remedy: str = "", otherwise: Verdict = Verdict.DIFFERS) -> Seen:
    """What has not come; once the time is up it differs, or cannot be seen."""
    return Seen(Verdict.AWAITED, text, remedy, otherwise)


_SERVICE = "this is the service's own message"

Look: TypeAlias = Callable[["Run"], Seen]


@dataclass(frozen=True)
class Line:
    """One promise of the docs: what is right, where it is written, what must be sent to see it.

    `after` are lines that are judged before it, where they are part of the run.
    """

    name: str
    promise: str
    source: str
    needs: tuple[str, ...]
    look: Look
    after: tuple[str, ...] = ()


@dataclass
class Run:
    """A run as it goes: what was sent, what has been seen, and the verdicts so far.

    `redriven` is the message id of the dead letter that was sent again; `removed` are the objects
    that were removed, by what they were sent as.
    """

    deployed: Deployed
    lines: Sequence[Line]
    observed: Observations
    results: dict[str, Seen] = field(default_factory=dict)
    redriven: str = ""
    removed: set[str] = field(default_factory=set)

    @property
    def sent(self) -> Sent:
        """What was sent."""
        return self.observed.sent

    @property
    def names(self) -> Names:
        """How it is called."""
        return self.sent.names

    @property
    def pending(self) -> list[Line]:
        """The lines without a verdict."""
        return [line for line in self.lines if line.name not in self.results]

    def judge(self, *, last: bool = False) -> None:
        """Look at each line that has no verdict; the `last` time, what is awaited differs."""
        for line in self.pending:
            waits_for = {other.name for other in self.pending} & set(line.after)
            if waits_for and not last:
                continue
            seen = self._look(line)
            if seen.verdict is not Verdict.AWAITED:
                self.results[line.name] = seen
            elif last:
                self.results[line.name] = replace(seen, verdict=seen.otherwise)

    def _look(self, line: Line) -> Seen:
        """A line's verdict; what the caller has no right to see cannot be seen."""
        refused = [self.sent.refused[name] for name in line.needs if name in self.sent.refused]
        if refused:
            text = f"it could not be sent: {said(refused[0])}"
            return unseen(text) if is_denial(refused[0]) else differs(text, _SERVICE)
        try:
            return line.look(self)
        except errors.expected() as error:
            if is_denial(error):
                return unseen(f"you may not look: {said(error)}")
            return awaited(said(error), _SERVICE)


def chosen(lines: Sequence[Line], only: Sequence[str]) -> list[Line]:
    """The lines called so, or all.

    Raises:
        UsageError: there is no line of such a name.
    """
    known = [line.name for line in lines]
    for name in only:
        if name not in known:
            raise UsageError(
                f"--only {name}: there is no such line: take one of {', '.join(known)}"
            )
    return [line for line in lines if not only or line.name in only]
