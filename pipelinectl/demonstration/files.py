"""The demo's file: uploaded, watched, and its rows counted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipelinectl import catalog, objects, uploading, waiting
from pipelinectl.rejects import Reject
from pipelinectl.rejects import read as read_reject
from pipelinectl.results import Kind, Results
from pipelinectl.uploading import BucketDoor, Source, Uploaded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipelinectl.catalog import Catalog, Entry

FILE = "orders.csv"
_TYPE = "order"


@dataclass(frozen=True)
class FileAccount:
    """What became of a file, and its rejected rows; `entry` is None if it is not done yet."""

    uploaded: Uploaded
    entry: Entry | None
    rejects: tuple[Reject, ...] = ()

    @property
    def key(self) -> str:
        """The object's key."""
        return self.uploaded.path.key

    @property
    def counts(self) -> Mapping[str, int]:
        """`rows`, `results` and `rejects` once it is done."""
        return self.entry.counts if self.entry else {}

    @property
    def balanced(self) -> bool:
        """Whether it is done and each row is a result or a reject."""
        if self.entry is None or self.entry.state != catalog.DONE:
            return False
        return self.counts["rows"] == self.counts["results"] + len(self.rejects)


def source(folder: Path) -> Source:
    """The sample file.

    Raises:
        UsageError: it cannot be read.
    """
    path = folder / FILE
    metadata = {"processing-type": _TYPE}
    return Source(path, uploading.size_of(path), objects.content_type(path.name), metadata)


def upload(door: BucketDoor, file: Source, run: str) -> Uploaded:
    """Put the file below the door, under a key of this run."""
    return replace(door, key=f"demo-{run}/{file.path.name}").put(file, lambda _: None)


def account(
    known: Catalog, results: Results, uploaded: Uploaded, deadline_seconds: float
) -> FileAccount:
    """Wait until the pipeline is through with the file, and read which rows were rejected."""
    for _, entry in waiting.settled(known, (uploaded,), deadline_seconds, _is_newest):
        return FileAccount(uploaded, entry, _rejects(results, entry))
    return FileAccount(uploaded, None)


def _is_newest(_: Uploaded) -> bool:
    """Its key is of this run: nobody replaces it."""
    return True


def _rejects(results: Results, entry: Entry | None) -> tuple[Reject, ...]:
    if entry is None or entry.state != catalog.DONE:
        return ()
    return tuple(map(read_reject, results.lines(results.parts(entry, Kind.REJECTS))))
