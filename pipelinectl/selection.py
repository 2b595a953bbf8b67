"""Find the dead letters that an operator means by a part of an id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelinectl.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipelinectl.dead_letters import DeadLetter


def meant(letters: Iterable[DeadLetter], references: Sequence[str]) -> list[DeadLetter]:
    """The dead letters that `references` mean, each once, in the order of `letters`.

    A reference is a message id (here or, before, in the queue), an execution_id, or the beginning
    of a message id. Of one record there may be several dead letters: its execution_id means all.

    Raises:
        NotFoundError: a reference means none.
        UsageError: a reference is the beginning of several message ids.
    """
    candidates = [letter for letter in letters if any(_fits(letter, r) for r in references)]
    chosen = {letter.message_id for r in references for letter in _meant_by(r, candidates)}
    return [letter for letter in candidates if letter.message_id in chosen]


def _meant_by(reference: str, candidates: list[DeadLetter]) -> list[DeadLetter]:
    if exact := [letter for letter in candidates if _is(letter, reference)]:
        return exact
    found = [letter for letter in candidates if _fits(letter, reference)]
    if not found:
        msg = f"no dead letter '{reference}': see 'pipelinectl dlq list'"
        raise NotFoundError(msg)
    if len(found) > 1:
        msg = f"{len(found)} message ids begin with '{reference}': give more of the one you mean"
        raise UsageError(msg)
    return found


def _is(letter: DeadLetter, reference: str) -> bool:
    return reference in (letter.message_id, letter.original_message_id, letter.execution_id)


def _fits(letter: DeadLetter, reference: str) -> bool:
    return _is(letter, reference) or letter.message_id.startswith(reference)
