"""Dead letters: what they say of themselves, and which of them are wanted."""

from __future__ import annotations

import base64
import itertools
import json
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pipeline_core import exact_json
from pipeline_core.messages import (
    FIFO,
    MAX_ENTRIES,
    MESSAGE_GROUP_ID,
    Inline,
    Objects,
    Pointed,
    Unreadable,
    carried_in,
    envelope_of,
    is_dead_letter,
    message_group_id_in,
    producers_in,
    record_id_in,
)
from pipeline_core.objects import ObjectId
from pipelinectl.errors import NotFoundError, ambiguous

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType
    from mypy_boto3_sqs.type_defs import MessageTypeDef

    from pipeline_core.messages import Carried, Door, Envelope
    from pipelinectl.aws import Connection, Stack


UNKNOWN = "unknown"
EXECUTION = "execution"
"""The stage of what Lambda itself gave up: no stage of ours, all of the execution."""

REQUEST_ID = "RequestID"
ERROR_CODE = "ErrorCode"
ERROR_MESSAGE = "ErrorMessage"
_LAMBDAS = frozenset({REQUEST_ID, ERROR_CODE, ERROR_MESSAGE})
"""What Lambda's dead-letter queue gives an event, at least:
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-dlq"""

_BELIEVED = ("-internal", "-files", "-internal.fifo")
"""How the names of the queues end that only the pipeline and its operators send to."""
_OBJECTS = "-objects"


@dataclass(frozen=True)
class DeadLetter:
    """A message in the dead-letter queue.

    The pipeline's own say why they are there, in message attributes. One that SQS itself moved
    there has the attributes that it was sent with, and says nothing. One that Lambda sent is the
    event of an execution that no queue brought and that failed as a whole; it says why in
    attributes of Lambda's own. `message_attributes` are in the form that Lambda has them in an
    event, `sent_timestamp` is in ms; `max_receives` is what the redrive policy allows, None where
    that is not known; `source` is the name of the queue that SQS moved it out of, None of what was
    sent here. `message_group_id` is the group that its record was sent in, empty of none;
    `is_in_order` says that it came through the FIFO door.
    """

    message_id: str
    receipt_handle: str
    body: str
    message_attributes: Mapping[str, Any]
    sent_timestamp: int
    max_receives: int | None = None
    source: str | None = None
    message_group_id: str = ""
    is_in_order: bool = False

    @cached_property
    def attributes(self) -> Mapping[str, str]:
        """Its message attributes as text, without binary ones."""
        return {
            name: value["stringValue"]
            for name, value in self.message_attributes.items()
            if "stringValue" in value
        }

    @property
    def is_believed(self) -> bool:
        """Whether its attributes are the pipeline's own word: anybody may use the same names."""
        return self.source is None or self.source.endswith(_BELIEVED)

    @property
    def says_why(self) -> bool:
        """Whether the pipeline itself has sent it, with the reason in its attributes."""
        return self.is_believed and is_dead_letter(self.message_attributes)

    @cached_property
    def carried(self) -> Carried | None:
        """What the pipeline noted of the record; None where it did not, or somebody else did."""
        try:
            return carried_in(self.message_attributes) if self.is_believed else None
        except Unreadable:
            return None

    @property
    def request_id(self) -> str | None:
        """The invocation that Lambda gave up; None if it was not Lambda that sent it here."""
        by_lambda = self.source is None and self.attributes.keys() >= _LAMBDAS
        return self.attributes[REQUEST_ID] if by_lambda and not self.says_why else None

    @property
    def door(self) -> Door | None:
        """Where the record came in; None where nobody noted it, as older versions did not."""
        if self.carried is not None:
            return self.carried.get("door")
        if not self.is_believed:
            return "objects" if (self.source or "").endswith(_OBJECTS) else "messages"
        tells_of_objects = isinstance(_read(self.body, None), Objects)
        return "objects" if self.request_id and tells_of_objects else None

    @cached_property
    def envelope(self) -> Envelope | None:
        """What its body says, as the pipeline reads it; None where the pipeline cannot."""
        return _read(self.body, self.door)

    @property
    def payload(self) -> ObjectId | None:
        """Where the record's content lies, if the body is only a pointer to it."""
        if isinstance(self.envelope, Pointed):
            return ObjectId.of(self.envelope.pointer)
        return None

    @property
    def producers_attributes(self) -> Mapping[str, Any]:
        """The message attributes that its producer gave it, in the same form."""
        if self.request_id:
            return {}
        if self.carried is None:
            return producers_in(self.message_attributes)
        return self.carried.get("message_attributes", {})

    @property
    def first_sent(self) -> int:
        """When the record was sent for the first time, in ms; not after this message was."""
        known = (self.carried or {}).get("sent_timestamp", self.sent_timestamp)
        return min(known, self.sent_timestamp or known)

    @property
    def execution_id(self) -> str | None:
        """Identity of the record, where the pipeline noted it or the body says it."""
        known = (self.carried or {}).get("execution_id")
        if known is None and isinstance(self.envelope, Inline):
            return record_id_in(self.envelope.text)
        return known

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
        if self.says_why:
            return self._said("error_message", "")
        if self.request_id:
            return self.attributes[ERROR_MESSAGE]
        times = "" if self.max_receives is None else f" after {self.max_receives} receives"
        return f"moved by the queue's redrive policy{times}: its execution ended as a whole"

    @property
    def errors(self) -> tuple[str, ...]:
        """Every single reason, where there are several."""
        try:
            errors = exact_json.loads(self._said("errors", "[]"))
        except exact_json.JsonError:
            return ()
        return tuple(map(str, errors)) if isinstance(errors, list) else ()

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
        if not self.says_why:
            return self.max_receives
        count = self._said("receive_count", "")
        return int(count) if count.isdecimal() else None

    @property
    def failed_at(self) -> datetime:
        """When it was given up, or else when it was sent."""
        try:
            moment = datetime.fromisoformat(self._said("failed_at", ""))
        except ValueError:
            return moment_of(self.sent_timestamp)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def _said(self, name: str, default: str) -> str:
        """What the pipeline said; a producer may well use the same names for something else."""
        return self.attributes.get(name, default) if self.says_why else default


_LATEST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


def moment_of(milliseconds: int) -> datetime:
    """The time so many ms after 1970 began; the last there is, where somebody made one up."""
    return datetime.fromtimestamp(min(milliseconds / 1000, _LATEST), UTC)


def identity_of(letter: DeadLetter, environment: str | None) -> str:
    """The execution_id of a message's record, as far as the message alone tells.

    Of a claim check that carries nothing it is the message's own: the content is not read.
    """
    if letter.execution_id is not None:
        return letter.execution_id
    return object_key(letter.envelope, environment) or f"{environment}-{letter.message_id}"


def object_key(envelope: Envelope | None, environment: str | None) -> str | None:
    """The key of the item of the object that a message tells of; None where it is of none."""
    match envelope:
        case Objects([event, *_]) if environment is not None:
            return ObjectId.of(event.state).execution_id(environment)
    return None


def _read(body: str, door: Door | None) -> Envelope | None:
    try:
        return envelope_of(body, door)
    except Unreadable:
        return None


@dataclass(frozen=True)
class Filter:
    """Which dead letters are wanted: None takes all.

    `reason` is an error type, or a part of the error message; case does not matter. `since` and
    `until` are about when they were given up, `group` is a `message_group_id`.
    """

    stage: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    group: str | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Whether `letter` is wanted."""
        in_group = self.group in (None, letter.message_group_id)
        return in_group and all(
            takes(letter) for takes in (self._takes_stage, self._takes_reason, self._takes_time)
        )

    def _takes_time(self, letter: DeadLetter) -> bool:
        since, until = self.since, self.until
        return not (since and letter.failed_at < since) and not (
            until and letter.failed_at >= until
        )

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


def by_group(letters: Iterable[DeadLetter]) -> list[tuple[str, int]]:
    """Each group and how many of its records are dead letters, the most first; "" is of none."""
    return Counter(letter.message_group_id for letter in letters).most_common()


# Long enough to look at a few thousand messages, short enough that a reader that was killed
# hides them from nobody for long.
PEEK_SECONDS = 20
# Long enough to read `MOST_LETTERS` on AWS.
READ_SECONDS = 60
# A receive that waits asks all of SQS's servers, one that does not asks a sample of them.
LONG_POLL_SECONDS = 1


MOST_LETTERS = 5_000
MOST_BYTES = 256 * 1024 * 1024
"""Of dead letters that one process keeps."""


@dataclass(frozen=True)
class Letters:
    """Dead letters that were read; `complete` says that these were all."""

    letters: tuple[DeadLetter, ...]
    complete: bool

    def without(self, message_ids: Iterable[str]) -> Letters:
        """Those that are left when these are gone."""
        gone = set(message_ids)
        kept = tuple(letter for letter in self.letters if letter.message_id not in gone)
        return Letters(kept, self.complete)


@dataclass(frozen=True)
class DeadLetterQueue:
    """The dead-letter queue; `long_poll` is in seconds, `source_url` the queue it belongs to.

    With the FIFO door there is another one beside it, `fifo_url`. Of a group in there SQS shows
    what one receive has room for, ten at most, until these are gone; `cut_groups` are those of
    which there may be more than the last reading has seen.
    """

    sqs: SQSClient
    url: str
    long_poll: int | None = None
    source_url: str | None = None
    fifo_url: str = ""
    cut_groups: set[str] = field(default_factory=set, compare=False)

    @classmethod
    def of(cls, connection: Connection, stack: Stack) -> DeadLetterQueue:
        """That of a stack; in a cloud on this machine one server has all, so no receive waits."""
        return cls(
            connection.sqs,
            stack.dead_letter_queue_url,
            long_poll=0 if connection.at else None,
            source_url=stack.queue_url,
            fifo_url=stack.fifo_dead_letter_queue_url,
        )

    @property
    def urls(self) -> Sequence[str]:
        """The one, and the other if there is one."""
        return (self.url, self.fifo_url) if self.fifo_url else (self.url,)

    def about(self) -> int:
        """Roughly how many messages there are, as SQS counts them."""
        return sum(map(self._about, self.urls))

    def _about(self, url: str) -> int:
        wanted: QueueAttributeNameType = "ApproximateNumberOfMessages"
        response = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[wanted])
        return int(response["Attributes"][wanted])

    def peek(
        self,
        *,
        only: Filter | None = None,
        limit: int | None = None,
        hidden_seconds: int = PEEK_SECONDS,
    ) -> Generator[DeadLetter, None, None]:
        """Dead letters, each once, until the queue is empty or `limit` is reached.

        While they are read they are hidden from other readers; when the iterator ends or is
        closed they are all visible again. Reading raises their receive count, as SQS counts.
        """
        wanted = only or Filter()
        held = self.hold(hidden_seconds)
        try:
            yield from itertools.islice(filter(wanted.takes, held.new_letters()), limit)
        finally:
            self.cut_groups.clear()
            self.cut_groups.update(held.cut_groups)
            held.release()

    def read(self, stopping: Callable[[], bool] = lambda: False) -> Letters:
        """Its dead letters, the newest first, as many as one process keeps."""
        found: list[DeadLetter] = []
        total = 0
        complete = True
        with closing(self.peek(hidden_seconds=READ_SECONDS)) as letters:
            for letter in letters:
                if len(found) >= MOST_LETTERS or total >= MOST_BYTES or stopping():
                    complete = False
                    break
                found.append(letter)
                total += len(letter.body)
        found.sort(key=lambda letter: letter.failed_at, reverse=True)
        return Letters(tuple(found), complete and not self.cut_groups)

    def hold(self, hidden_seconds: int) -> Held:
        """Begin to receive messages that stay hidden for so long, or until they are released."""
        long_poll = LONG_POLL_SECONDS if self.long_poll is None else self.long_poll
        return Held(self.sqs, self.urls, long_poll, hidden_seconds, self.max_receives)

    def purge(self) -> None:
        """Delete every message for good, hidden ones included."""
        for url in self.urls:
            self.sqs.purge_queue(QueueUrl=url)

    @cached_property
    def max_receives(self) -> int | None:
        """Receives after which SQS itself moves a message here; None where that is not known."""
        if self.source_url is None:
            return None
        wanted: QueueAttributeNameType = "RedrivePolicy"
        response = self.sqs.get_queue_attributes(QueueUrl=self.source_url, AttributeNames=[wanted])
        policy = response.get("Attributes", {}).get(wanted)
        return int(json.loads(policy)["maxReceiveCount"]) if policy else None


@dataclass
class Held:
    """Messages that were received and not yet given back, by message id.

    `_handles` has of each its queue and its receipt handle. `cut_groups` are groups of a FIFO queue
    of which there may be more: SQS shows no more of a group until those that it has shown are gone.
    """

    sqs: SQSClient
    urls: Sequence[str]
    wait_seconds: int
    hidden_seconds: int
    max_receives: int | None
    cut_groups: set[str] = field(default_factory=set)
    _handles: dict[str, tuple[str, str]] = field(default_factory=dict)

    def new_letters(self) -> Iterator[DeadLetter]:
        """Dead letters, each once, until nothing new comes."""
        seen: set[str] = set()
        for letters in self.receives():
            yield from (letter for letter in letters if letter.message_id not in seen)
            seen.update(letter.message_id for letter in letters)

    def receives(self, count: int = MAX_ENTRIES) -> Iterator[list[DeadLetter]]:
        """What each receive of at most `count` messages brings, until nothing new comes.

        What one brings is of one queue, and of a FIFO queue in its order. A message whose time is
        up before the end is reached comes again. So the end is reached when nothing comes, or when
        as many receives brought nothing new as might be needed to have all the old ones out of the
        way.
        """
        for url in self.urls:
            # Of a FIFO queue the first of a group hides the others from the next receive.
            most = MAX_ENTRIES if url.endswith(FIFO) else count
            stale = 0
            while stale <= len(self._handles) and (letters := self._receive(url, most)):
                new = [one for one in letters if one.message_id not in self._handles]
                if len(letters) == MAX_ENTRIES:
                    self.cut_groups |= {one.message_group_id for one in new if one.is_in_order}
                self._handles |= {one.message_id: (url, one.receipt_handle) for one in letters}
                stale = 0 if new else stale + 1
                yield letters

    def those(self, message_ids: set[str], count: int = MAX_ENTRIES) -> Iterator[list[DeadLetter]]:
        """The messages with these ids as they come, at most `count` at once, each once."""
        wanted = set(message_ids)
        receives = self.receives(count)
        while wanted and (letters := next(receives, None)):
            found = {m.message_id: m for m in letters if m.message_id in wanted}
            wanted.difference_update(found)
            if found:
                yield list(found.values())

    def hide(self, letter: DeadLetter, seconds: int) -> None:
        """Keep a message hidden for this many seconds from now."""
        url, _ = self._handles[letter.message_id]
        self.sqs.change_message_visibility(
            QueueUrl=url, ReceiptHandle=letter.receipt_handle, VisibilityTimeout=seconds
        )

    def delete(self, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
        """Delete messages of one queue; answers with those that SQS did not, which are kept."""
        by_id = {str(index): letter for index, letter in enumerate(letters)}
        if not by_id:
            return []
        ((url, _), *_) = (self._handles[letter.message_id] for letter in by_id.values())
        response = self.sqs.delete_message_batch(
            QueueUrl=url,
            Entries=[{"Id": i, "ReceiptHandle": m.receipt_handle} for i, m in by_id.items()],
        )
        for deleted in response.get("Successful", []):
            self._handles.pop(by_id.pop(deleted["Id"]).message_id, None)
        return list(by_id.values())

    def release(self) -> None:
        """Make all messages visible; those that already are so are none of our business."""
        for url in self.urls:
            handles = iter([handle for of, handle in self._handles.values() if of == url])
            while batch := list(itertools.islice(handles, MAX_ENTRIES)):
                self.sqs.change_message_visibility_batch(
                    QueueUrl=url,
                    Entries=[
                        {"Id": str(index), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                        for index, handle in enumerate(batch)
                    ],
                )

    def _receive(self, url: str, count: int) -> list[DeadLetter]:
        response = self.sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=count,
            VisibilityTimeout=self.hidden_seconds,
            WaitTimeSeconds=self.wait_seconds,
            MessageSystemAttributeNames=[
                "SentTimestamp",
                "DeadLetterQueueSourceArn",
                MESSAGE_GROUP_ID,
            ],
            MessageAttributeNames=["All"],
        )
        return [self._dead_letter(message, url) for message in response.get("Messages", [])]

    def _dead_letter(self, message: MessageTypeDef, url: str) -> DeadLetter:
        system = message.get("Attributes", {})
        source = system.get("DeadLetterQueueSourceArn")
        return DeadLetter(
            message_id=message["MessageId"],
            receipt_handle=message["ReceiptHandle"],
            body=message["Body"],
            message_attributes=_as_in_an_event(message),
            sent_timestamp=int(system.get("SentTimestamp", 0)),
            max_receives=self.max_receives,
            source=source and source.rpartition(":")[2],
            message_group_id=message_group_id_in(system),
            is_in_order=url.endswith(FIFO),
        )


def _as_in_an_event(message: MessageTypeDef) -> dict[str, dict[str, str]]:
    """The message's attributes in the form that Lambda has them in an event."""
    return {
        name: {
            "dataType": value["DataType"],
            **(
                {"binaryValue": base64.b64encode(value["BinaryValue"]).decode()}
                if "BinaryValue" in value
                else {"stringValue": value.get("StringValue", "")}
            ),
        }
        for name, value in message.get("MessageAttributes", {}).items()
    }


def meant(letters: Iterable[DeadLetter], references: Sequence[str]) -> list[DeadLetter]:
    """The dead letters that `references` mean, each once, in the order of `letters`.

    A reference is a message id (here or, before, in the queue), an execution_id, or the beginning
    of one. Of one record there may be several dead letters: its execution_id means all.

    Raises:
        NotFoundError: a reference means none.
        UsageError: a reference is the beginning of several ones' ids.
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
        raise ambiguous(reference, "dead letters", (letter.message_id for letter in found))
    return found


def _is(letter: DeadLetter, reference: str) -> bool:
    return reference in (letter.message_id, letter.original_message_id, letter.execution_id)


def _fits(letter: DeadLetter, reference: str) -> bool:
    ids = (letter.message_id, letter.original_message_id, letter.execution_id or "")
    return any(one.startswith(reference) for one in ids)
