"""The words of the durable function: record, batch, outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, NotRequired, TypedDict, cast

from pipeline_core.contract import Reason
from pipeline_core.files import FILE_SUFFIXES, Counts, Cursor
from pipeline_core.messages import FIFO, Carried, Door
from pipeline_core.objects import ObjectState, Pointer
from pipeline_core.sizes import POINTED_BYTES, checkpoint_size


@dataclass(frozen=True)
class Record:
    """One message, as read: a document, inline or in S3, or a file of many rows.

    ``id`` is its SQS message id, ``body`` the message's text, untouched, ``sent_timestamp`` when
    its producer sent it, in milliseconds since 1970. ``by_producer`` says that the producer chose
    its ``execution_id``, so that another message may have the same, ``identified`` that it came
    along with the message and stays. ``queue_url`` is the queue it came from; an event that S3 sent
    without a queue between has none. ``door`` is where it first came in, ``handed_over`` how often
    the pipeline has sent it on because of its neighbours, ``attributes`` are its producer's.
    ``offloaded`` says that the body was too large to be sent on, and is a pointer to what it was.
    ``replaces`` is ``stored_at`` of the item that it is processed again from, the only one that it
    may replace. ``message_group_id`` is the group that its message is in, empty of none: it says
    whose turn it is in a fair queue, and nothing is believed because of it.

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
    identified: bool = False
    queue_url: str = ""
    door: Door | None = None
    handed_over: int = 0
    offloaded: bool = False
    replaces: str = ""
    message_group_id: str = ""
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

    @cached_property
    def travelling_size(self) -> int:
        """Bytes that it brings into a checkpoint, at most."""
        return POINTED_BYTES if self.content is None else checkpoint_size(self.content)

    @property
    def is_in_order(self) -> bool:
        """Whether it came from a FIFO queue: what is later in its group waits until it is settled.

        It goes back to that queue and nowhere else: sent on in another message it would be last.
        """
        return self.queue_url.endswith(FIFO)

    @property
    def is_suspect(self) -> bool:
        """Whether it has failed before, or was delivered to an execution that did."""
        return self.receive_count > 1 or self.handed_over > 0

    def with_record_id(self, record_id: str) -> Record:
        """The record with the identity that its producer chose; one sent again keeps its own."""
        kept = self.execution_id if self.identified else record_id
        return replace(self, execution_id=kept, by_producer=True)

    def carried(self, **more: Any) -> Carried:
        """What a message that sends the record on carries along.

        ``more`` goes before; what is None in it is left out.
        """
        carried: Carried = {"execution_id": self.execution_id}
        if self.sent_timestamp:
            carried["sent_timestamp"] = self.sent_timestamp
        if self.door:
            carried["door"] = self.door
        if self.handed_over:
            carried["handed_over"] = self.handed_over
        if self.offloaded:
            carried["offloaded"] = True
        if self.start:
            carried["continue_from"] = self.start
        if self.replaces:
            carried["replaces"] = self.replaces
        if self.attributes:
            carried["message_attributes"] = self.attributes
        carried = cast("Carried", carried | more)
        return cast(
            "Carried", {name: value for name, value in carried.items() if value is not None}
        )


MAX_INLINE_BYTES = 320_000
"""Of a document that travels along, in a checkpoint. The store stage is sent it twice in one, as it
was and as it became. A larger one travels as a pointer."""

OFFLOADED = "offloaded/"
"""Below it lie, in the bucket of payloads, bodies that the pipeline itself has put there."""

MAX_HANDED_OVER = 100
"""How often a record may be sent on that its neighbours kept from an answer of its own, or that is
untold. Each time it has all of its deliveries again, and is among the first to be alone; so this
only ends what would never end."""


OutcomeName = Literal["stored", "rejected", "failed", "handed_over", "superseded", "ignored"]


class Outcome(TypedDict):
    """What became of one record, and for one that was not stored where and why.

    ``stored``: it has an item. ``rejected``: it is wrong and stays wrong. ``failed``: another
    attempt may succeed. ``handed_over``: a queue accepted a message that carries it on.
    ``superseded``: its object was replaced or removed since. ``ignored``: it says nothing.

    ``in_company`` is there where a neighbour may be at fault: the record failed together with
    others, or waited for them until there was no time left. ``held_back`` is there where it was not
    tried, because an earlier one of its group must be settled first. ``untold`` is there where the
    topic of events took no announcement of it. ``record_id`` is what a stage has read in a document
    that lies in S3, which is not known before. An outcome is never replaced by what went wrong
    later.
    """

    outcome: OutcomeName
    stage: str
    reason: Reason | None
    summary: NotRequired[FileSummary]
    in_company: NotRequired[Literal[True]]
    held_back: NotRequired[Literal[True]]
    untold: NotRequired[Literal[True]]
    record_id: NotRequired[str]


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


HELD_BACK: Outcome = {
    **failure("read", "HeldBack", "an earlier record of its group must be settled first"),
    "held_back": True,
}

MAX_ERRORS = 50
MAX_CHARACTERS = 1024
"""Of a reason: a stage may find ten thousand things wrong, and an outcome travels on."""


def bounded(reason: Reason) -> Reason:
    """``reason`` with texts and a number of errors that no stage can blow up."""
    short: Reason = {"type": shortened(reason["type"]), "message": shortened(reason["message"])}
    if "errors" in reason:
        errors = reason["errors"]
        more = len(errors) - MAX_ERRORS
        short["errors"] = [shortened(error) for error in errors[:MAX_ERRORS]]
        short["errors"] += [f"and {more} more"] if more > 0 else []
    return short


def shortened(text: str) -> str:
    """At most so many characters of ``text``."""
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 3]}..."


@dataclass(frozen=True)
class Batch:
    """What one event brought: all its records, and the outcomes of those that cannot travel on.

    ``crowds`` are records whose message tells of several objects, by record id: the bodies that
    tell of one each.
    """

    all_records: Sequence[Record]
    unreadable: Outcomes
    crowds: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def identified(self, outcomes: Outcomes) -> Batch:
        """The batch with the identities that the stages have found in what lies in S3."""
        found = {key: one["record_id"] for key, one in outcomes.items() if "record_id" in one}
        if not found:
            return self
        records = [
            record.with_record_id(found[record.id]) if record.id in found else record
            for record in self.all_records
        ]
        return replace(self, all_records=records)

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


Fate = Literal["acknowledge", "dead letter", "back", "onwards"]
"""What is to be done about a record: nothing more; a dead letter with its reason; leave it in its
queue, which delivers it again; or, on its last delivery, send it on in a message of its own."""


def fate(record: Record, outcome: Outcome, max_receive_count: int) -> Fate:
    """What is to be done about ``record``.

    It is given up for what it is, and for what failed of it alone on its last delivery, and never
    because of its neighbours as long as it may still be sent on.
    """
    last = record.receive_count >= max_receive_count
    onwards = record.handed_over < MAX_HANDED_OVER and not record.is_in_order
    match outcome["outcome"]:
        case "rejected":
            return "dead letter" if last or "untold" not in outcome else "back"
        case "failed" if "held_back" in outcome:
            return "back"
        case "failed" if last:
            return "onwards" if onwards and "in_company" in outcome else "dead letter"
        case "failed":
            return "back"
    if "untold" not in outcome:
        return "acknowledge"
    return "back" if not last else "onwards" if onwards else "dead letter"


def given_up(record: Record, outcome: Outcome, max_receive_count: int) -> bool:
    """Whether ``record`` failed for good."""
    return (
        outcome["outcome"] == "failed" and fate(record, outcome, max_receive_count) == "dead letter"
    )
