"""Group what is sent so that no request breaks the limits of SQS."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Entry = TypeVar("Entry")


def batches(
    entries: Iterable[Entry], *, size_of: Callable[[Entry], int], max_count: int, max_bytes: int
) -> Iterator[list[Entry]]:
    """Cut `entries` into lists of at most `max_count` and `max_bytes` together, order kept.

    An entry that is larger than `max_bytes` by itself stands alone: whether it may be sent at all
    is for the caller to check.
    """
    batch: list[Entry] = []
    batch_bytes = 0
    for entry in entries:
        size = size_of(entry)
        if batch and (len(batch) == max_count or batch_bytes + size > max_bytes):
            yield batch
            batch, batch_bytes = [], 0
        batch.append(entry)
        batch_bytes += size
    if batch:
        yield batch
