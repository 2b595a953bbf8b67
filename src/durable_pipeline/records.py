"""The words of the durable function: record, batch, outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, TypedDict, cast

from shared.contracts import Reason
from shared.objects import ObjectState, Pointer
from shared.processing_events import Counts


class Cursor(TypedDict):
    """Where the next row of a file starts: its byte, its number, and its physical line."""

    offset: int
    row: int
    line: int


@dataclass(frozen=True)
class Record:
    """One message, as read: a document, inline or in S3, or a file of many rows.

    ``id`` is its SQS message id, ``body`` the message's text, untouched, ``sent_timestamp`` when
    its producer sent it, in milliseconds since 1970. ``by_producer`` says that the producer chose
    its ``execution_id``, so that another message may have the same. ``queue_url`` is the queue it
    came from; an event that S3 sent without a queue between has none.

    ``content`` is the document's JSON text, or ``pointer`` says where it lies. ``start`` is where a
    follow-up execution goes on in a file.
    """

    id: str
    execution_id: str
    body: str
    sent_timestamp: int = 0
    receive_count: int = 1
    receipt_handle: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    by_producer: bool = False
    queue_url: str = ""
    content: str | None = None
    pointer: Pointer | ObjectState | None = None
    start: Cursor | None = None

    @property
    def state(self) -> ObjectState | None:
        """The state of the object that S3 told of, if the record is one."""
        if self.pointer is None or "sequencer" not in self.pointer:
            return None
        return cast("ObjectState", self.pointer)

    @property
    def is_file(self) -> bool:
        """Whether it has many rows, and so an execution of its own."""
        return self.state is not None and self.state["key"].lower().endswith(FILE_SUFFIXES)


FILE_SUFFIXES = (".csv", ".jsonl", ".ndjson")

POINTED_BYTES = 32 * 1024
"""What a document that lies in S3 counts for in a chunk: at most so much of it travels."""


def travelling_size(record: Record) -> int:
    """Bytes that the record brings into a payload, at most."""
    return POINTED_BYTES if record.content is None else text_size(record.content)


def text_size(text: str) -> int:
    """Bytes of ``text``."""
    return len(text.encode("utf-8", "surrogatepass"))


OutcomeName = Literal["stored", "rejected", "failed", "handed_over", "superseded", "ignored"]


class Outcome(TypedDict):
    """What became of one record, and for one that was not stored where and why.

    ``stored``: it has an item. ``rejected``: it is wrong and stays wrong. ``failed``: another
    attempt may succeed. ``handed_over``: a queue accepted a message that carries it on.
    ``superseded``: its object was replaced or removed since. ``ignored``: it says nothing.
    """

    outcome: OutcomeName
    stage: str
    reason: Reason | None
    summary: NotRequired[FileSummary]


class FileSummary(TypedDict):
    """What a file came to: rows, results, rejects; and where the manifest of its results lies."""

    counts: Counts
    manifest: Pointer


Outcomes = dict[str, Outcome]
"""Outcome of each record, by record id."""

STORED: Outcome = {"outcome": "stored", "stage": "store", "reason": None}
SUPERSEDED: Outcome = {"outcome": "superseded", "stage": "read", "reason": None}
HANDED_OVER: Outcome = {"outcome": "handed_over", "stage": "read", "reason": None}
IGNORED: Outcome = {"outcome": "ignored", "stage": "read", "reason": None}


def rejection(stage: str, reason_type: str, message: str) -> Outcome:
    """The outcome of a record that is wrong and stays wrong."""
    reason: Reason = {"type": reason_type, "message": message, "errors": [message]}
    return {"outcome": "rejected", "stage": stage, "reason": reason}


def failure(stage: str, error_type: str, message: str) -> Outcome:
    """The outcome of a record for which another attempt may succeed."""
    return {"outcome": "failed", "stage": stage, "reason": {"type": error_type, "message": message}}


@dataclass(frozen=True)
class Batch:
    """What one event brought: all its records, and the outcomes of those that cannot travel on.

    ``crowds`` are records whose message tells of several objects, by record id: the bodies that
    tell of one each.
    """

    all_records: Sequence[Record]
    unreadable: Outcomes
    crowds: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def records(self) -> list[Record]:
        """The documents, to take through the stages together."""
        return [record for record in self._readable() if not record.is_file]

    @property
    def files(self) -> list[Record]:
        """The files, each of which wants an execution of its own."""
        return [record for record in self._readable() if record.is_file]

    def _readable(self) -> list[Record]:
        return [
            record
            for record in self.all_records
            if record.id not in self.unreadable and record.id not in self.crowds
        ]


def given_up(record: Record, outcome: Outcome, max_receive_count: int) -> bool:
    """Whether ``record`` failed on its last delivery."""
    return outcome["outcome"] == "failed" and record.receive_count >= max_receive_count
