"""What the rules find, and how rules are declared."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from pipelinectl.diagnosis.facts import Facts, Unread, UnreadError

S = TypeVar("S")


class Level(Enum):
    """How bad it is, from good to bad."""

    OK = "ok"
    UNCHECKED = "unchecked"
    WARNING = "warning"
    PROBLEM = "problem"

    @property
    def rank(self) -> int:
        """A number that grows from good to bad."""
        return list(Level).index(self)


@dataclass(frozen=True)
class Finding:
    """What was found of one thing, and what to do about it; what is ok needs no remedy."""

    level: Level
    subject: str
    found: str
    remedy: str = ""


def ok(subject: str, found: str) -> Finding:
    """It keeps the rule."""
    return Finding(Level.OK, subject, found)


def warning(subject: str, found: str, remedy: str) -> Finding:
    """It works, but not as well, or not for ever."""
    return Finding(Level.WARNING, subject, found, remedy)


def problem(subject: str, found: str, remedy: str) -> Finding:
    """Something is lost, delayed or repeated, or will be."""
    return Finding(Level.PROBLEM, subject, found, remedy)


@dataclass(frozen=True)
class Rule:
    """One check: what it holds to, where that is from, and how each of its subjects is judged.

    `subjects` names the things that the rule is about; a subject that could not be read is
    `Unread`. `says` is one sentence, `source` a URL or a file of this project.
    """

    name: str
    says: str
    source: str
    subjects: Callable[[Facts], Iterable[tuple[str, Any]]]
    judge: Callable[[Any, Facts], Finding]

    def findings(self, facts: Facts) -> list[Finding]:
        """One finding for each subject; none where there is nothing to judge."""
        try:
            subjects = list(self.subjects(facts))
        except UnreadError as error:
            return [_unchecked("", str(error))]
        return [self._finding(name, subject, facts) for name, subject in subjects]

    def _finding(self, name: str, subject: Any, facts: Facts) -> Finding:
        if isinstance(subject, Unread):
            return _unchecked(name, subject.why)
        try:
            return self.judge(subject, facts)
        except UnreadError as error:
            return _unchecked(name, str(error))


def rule(
    name: str, *, says: str, source: str, of: Callable[[Facts], Iterable[tuple[str, S | Unread]]]
) -> Callable[[Callable[[S, Facts], Finding]], Rule]:
    """Declare a rule by the function that judges one subject."""

    def declare(judge: Callable[[S, Facts], Finding]) -> Rule:
        return Rule(name, says, source, of, judge)

    return declare


def _unchecked(subject: str, why: str) -> Finding:
    return Finding(
        Level.UNCHECKED, subject, f"could not be checked: {why}", "see to that, and ask again"
    )
