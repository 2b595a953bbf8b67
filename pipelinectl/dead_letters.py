"""Dead letters: what they say of themselves, and which of them are wanted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pipelinectl import claim_checks, exact_json, identity, message_attributes
from pipelinectl.identity import Door

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipelinectl.message_attributes import Attributes
    from pipelinectl.objects import ObjectPath

UNKNOWN = "unknown"
EXECUTION = "execution"
"""The stage of what Lambda itself gave up: no stage of ours, all of the execution."""

REQUEST_ID = "RequestID"
ERROR_CODE = "ErrorCode"
ERROR_MESSAGE = "ErrorMessage"
_LAMBDAS = frozenset({REQUEST_ID, ERROR_CODE, ERROR_MESSAGE})
"""What Lambda's dead-letter queue gives an event, at least:
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-dlq"""

_BELIEVED = ("-internal", "-files")
"""How the names of the queues end that only the pipeline and its operators send to."""
_OBJECTS = "-objects"


@dataclass(frozen=True)
class DeadLetter:
    """A message in the dead-letter queue.

    The pipeline's own say why they are there, in message attributes. One that SQS itself moved
    there has the attributes that it was sent with, and says nothing. One that Lambda sent is the
    event of an execution that no queue brought and that failed as a whole; it says why in
    attributes of Lambda's own. `sent_timestamp` is in ms; `max_receives` is what the redrive policy
    allows, None where that is not known; `source` is the name of the queue that SQS moved it out
    of, None of what was sent here.
    """

    message_id: str
    receipt_handle: str
    body: str
    message_attributes: Attributes
    sent_timestamp: int
    max_receives: int | None = None
    source: str | None = None

    @cached_property
    def attributes(self) -> Mapping[str, str]:
        """Its message attributes as text, without binary ones."""
        return message_attributes.texts(self.message_attributes)

    @property
    def is_believed(self) -> bool:
        """Whether its attributes are the pipeline's own word: anybody may use the same names."""
        return self.source is None or self.source.endswith(_BELIEVED)

    @cached_property
    def record(self) -> Mapping[str, Any] | None:
        """What it carries of its record, if it comes from one of the pipeline's own queues."""
        if self.source is None or not self.is_believed:
            return None
        return _object_in(self.attributes.get(identity.RECORD, ""))

    @cached_property
    def original(self) -> Mapping[str, Any] | None:
        """What the pipeline kept of the producer's message, where it says why it is here."""
        if "error_type" not in self.attributes or not self.is_believed:
            return None
        return _object_in(self.attributes.get("original", ""))

    @property
    def kept(self) -> Mapping[str, Any] | None:
        """What is known of the record beside its body, from whichever of the two."""
        return self.original if self.record is None else self.record

    @property
    def request_id(self) -> str | None:
        """The invocation that Lambda gave up; None if it was not Lambda that sent it here."""
        by_lambda = self.source is None and self.attributes.keys() >= _LAMBDAS
        return self.attributes[REQUEST_ID] if by_lambda and self.original is None else None

    @property
    def door(self) -> Door | None:
        """Where the record came in; None where nobody noted it, as older versions did not."""
        if self.kept is not None:
            door = self.kept.get("door")
            return door if door in ("messages", "objects") else None
        if not self.is_believed:
            return "objects" if (self.source or "").endswith(_OBJECTS) else "messages"
        return "objects" if self.request_id and identity.is_s3_event(self.body) else None

    @property
    def payload(self) -> ObjectPath | None:
        """Where the record's content lies, if the body is only a pointer to it."""
        return claim_checks.pointer_in(self.body)

    @property
    def producers_attributes(self) -> Attributes:
        """The message attributes that its producer gave it."""
        if self.request_id:
            return {}
        if self.kept is None:
            return self.message_attributes
        producers = self.kept.get("message_attributes")
        return message_attributes.from_event(producers if isinstance(producers, dict) else {})

    @property
    def first_sent(self) -> int:
        """When the record was sent for the first time, in ms."""
        if self.kept is None:
            brought = self.attributes if self.is_believed else {}
            return identity.first_sent(brought, self.sent_timestamp)
        sent = self.kept.get("sent_timestamp")
        return int(sent) if isinstance(sent, Decimal) else self.sent_timestamp

    @property
    def stage(self) -> str:
        """The stage that rejected or failed the record."""
        return EXECUTION if self.request_id else self._said("stage", UNKNOWN)

    @property
    def error_type(self) -> str:
        """The kind of error, to group by."""
        if self.request_id:
            return f"{ERROR_CODE} {self.attributes[ERROR_CODE]}"
        return self._said("error_type", UNKNOWN)

    @property
    def error_message(self) -> str:
        """The reason as a sentence."""
        if self.original is not None:
            return self._said("error_message", "")
        if self.request_id:
            return self.attributes[ERROR_MESSAGE]
        times = "" if self.max_receives is None else f" after {self.max_receives} receives"
        return f"moved by the queue's redrive policy{times}: its execution ended as a whole"

    @property
    def errors(self) -> tuple[str, ...]:
        """Every single reason, where there are several."""
        try:
            errors = exact_json.parse(self._said("errors", "[]"))
        except exact_json.NotJsonError:
            return ()
        return tuple(map(str, errors)) if isinstance(errors, list) else ()

    @property
    def given_execution_id(self) -> str | None:
        """Identity of the record as the pipeline has noted it; None where it has not."""
        if self.record is not None:
            given = self.record.get(identity.EXECUTION_ID)
            return given if isinstance(given, str) else None
        return self.attributes.get(identity.EXECUTION_ID) if self.is_believed else None

    @property
    def execution_id(self) -> str | None:
        """Identity of the record, the same in each of its deliveries; None: by its message id."""
        return self.given_execution_id or identity.record_id(self.body)

    @property
    def original_message_id(self) -> str:
        """The id that the message had in the queue."""
        return self._said("original_message_id", self.message_id)

    @property
    def durable_execution_arn(self) -> str | None:
        """The execution that gave it up."""
        return self._said("durable_execution_arn", "") or None

    @property
    def attempts(self) -> int | None:
        """Deliveries before it came here; None where nobody recorded them."""
        if self.request_id:
            return None
        if self.original is None:
            return self.max_receives
        count = self._said("receive_count", "")
        return int(count) if count.isdecimal() else None

    @property
    def failed_at(self) -> datetime:
        """When it was given up, or else when it was sent."""
        try:
            moment = datetime.fromisoformat(self._said("failed_at", ""))
        except ValueError:
            return datetime.fromtimestamp(self.sent_timestamp / 1000, UTC)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def _said(self, name: str, default: str) -> str:
        """What the pipeline said; a producer may well use the same names for something else."""
        return default if self.original is None else self.attributes.get(name, default)


def _object_in(text: str) -> Mapping[str, Any] | None:
    try:
        found = exact_json.parse(text)
    except exact_json.NotJsonError:
        return None
    return found if isinstance(found, dict) else None


@dataclass(frozen=True)
class Filter:
    """Which dead letters are wanted: None takes all.

    `reason` is an error type, or a part of the error message; case does not matter.
    """

    stage: str | None = None
    reason: str | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Whether `letter` is wanted."""
        return self._takes_stage(letter) and self._takes_reason(letter)

    def _takes_stage(self, letter: DeadLetter) -> bool:
        return self.stage is None or letter.stage == self.stage

    def _takes_reason(self, letter: DeadLetter) -> bool:
        if self.reason is None:
            return True
        reason = self.reason.lower()
        return reason == letter.error_type.lower() or reason in letter.error_message.lower()


def grouped(letters: Iterable[DeadLetter]) -> list[tuple[str, str, int]]:
    """Stage, error type and how many, the most frequent first."""
    counts = Counter((letter.stage, letter.error_type) for letter in letters)
    return [(stage, error, count) for (stage, error), count in counts.most_common()]
