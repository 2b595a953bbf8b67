"""Cuts a sequence into what one request takes: so many entries, and so many bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Entry = TypeVar("Entry")


def batches(
    entries: Iterable[Entry],
    size: Callable[[Entry], int],
    *,
    max_bytes: int,
    max_entries: int | None = None,
) -> Iterator[list[Entry]]:
    """``entries`` in order, in runs of at most ``max_entries`` and ``max_bytes``.

    An entry that is larger than a run may be is a run of its own: to refuse it is its sender's
    business, who knows the rule and the remedy.
    """
    batch: list[Entry] = []
    total = 0
    for entry in entries:
        entry_size = size(entry)
        if batch and (len(batch) == max_entries or total + entry_size > max_bytes):
            yield batch
            batch, total = [], 0
        batch.append(entry)
        total += entry_size
    if batch:
        yield batch
