"""The words of the durable function: record, batch, outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from shared.contracts import Reason


@dataclass(frozen=True)
class Record:
    """One message, as read.

    ``id`` is its SQS message id, ``body`` its JSON text, unparsed, ``sent_timestamp`` when its
    producer sent it, in milliseconds since 1970. ``by_producer`` says that the producer chose its
    ``execution_id``, so that another message may have the same.
    """

    id: str
    execution_id: str
    body: str
    sent_timestamp: int = 0
    receive_count: int = 1
    receipt_handle: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    by_producer: bool = False


def body_size(record: Record) -> int:
    """Bytes of the record's body."""
    return len(record.body.encode("utf-8", "surrogatepass"))


class Outcome(TypedDict):
    """What became of one record, and for one that was not stored where and why."""

    outcome: Literal["stored", "rejected", "failed"]
    stage: str
    reason: Reason | None


Outcomes = dict[str, Outcome]
"""Outcome of each record, by record id."""

STORED: Outcome = {"outcome": "stored", "stage": "store", "reason": None}


@dataclass(frozen=True)
class Batch:
    """What one event brought: all its records, and the outcomes of those that cannot travel on."""

    all_records: Sequence[Record]
    unreadable: Outcomes

    @property
    def records(self) -> list[Record]:
        """The records to take through the stages."""
        return [record for record in self.all_records if record.id not in self.unreadable]


def given_up(record: Record, outcome: Outcome, max_receive_count: int) -> bool:
    """Whether ``record`` failed on its last delivery."""
    return outcome["outcome"] == "failed" and record.receive_count >= max_receive_count
