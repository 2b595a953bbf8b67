"""Send messages: bodies, those that go as claim checks, in full batches, at a pace."""

from __future__ import annotations

import itertools
import math
import random
import time
import uuid
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from pipeline_core import exact_json
from pipeline_core.messages import (
    FIFO,
    MAX_ENTRIES,
    MAX_GROUP_CHARACTERS,
    MAX_MESSAGE_BYTES,
    NOT_ALLOWED,
    in_group,
    in_order,
    is_message_group_id,
    message_size,
    pointer_to,
    record_id_in,
)
from pipeline_core.objects import Pointer
from pipeline_core.sizes import batches, text_size
from pipelinectl.errors import UsageError
from pipelinectl.exact_json import dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import BatchResultErrorEntryTypeDef, SendMessageBatchResultTypeDef


_UTF8_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_SHOWN_OF_A_GROUP = 40

_BLANK = b" \t\r\v\f\x1a"
"""With the end-of-file mark that DOS programs write."""


@dataclass(frozen=True)
class Body:
    """One message body and where it was read, for instance `orders.jsonl line 3`.

    `message_group_id` is the group that it is sent in, empty of none.
    """

    text: str
    origin: str
    message_group_id: str = ""

    @cached_property
    def size(self) -> int:
        """Bytes."""
        return text_size(self.text)

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What is sent as it is has no message attributes."""
        return {}

    @property
    def record_id(self) -> str | None:
        """The one that its producer gave."""
        return record_id_in(self.text)


def from_lines(content: bytes, name: str) -> Iterator[Body]:
    r"""Read one body a line; blank lines are skipped, lines end with \n or \r\n.

    A byte order mark may begin any line, since files are joined, and an end-of-file mark the last.

    Raises:
        UsageError: a line is not UTF-8.
    """
    for number, marked in enumerate(content.split(b"\n"), start=1):
        line = _without_marks(marked)
        if line.strip(_BLANK):
            origin = f"{name} line {number}"
            yield Body(_decoded(line.removesuffix(b"\r"), origin), origin)


def from_whole(content: bytes, name: str) -> Body:
    """Read all of `content` as one body, without the newline at its end.

    Raises:
        UsageError: it is not UTF-8.
    """
    text = _decoded(_without_marks(content), name)
    return Body(text.removesuffix("\n").removesuffix("\r"), name)


def check(bodies: Iterable[Body], *, claim_checks_above: float = math.inf) -> None:
    """Hold every body to the rules of SQS, so that nothing is sent when one breaks them.

    One of more than `claim_checks_above` bytes does not travel in its message.

    Raises:
        UsageError: a body is empty, larger than 1 MiB or holds a character SQS refuses.
    """
    for body in bodies:
        if body.size <= claim_checks_above:
            _check_size(body)
            _check_characters(body)


def check_group(message_group_id: str) -> None:
    """Hold a group to the rules of SQS.

    Raises:
        UsageError: SQS takes no such `MessageGroupId`.
    """
    if not is_message_group_id(message_group_id):
        shown = repr(message_group_id[:_SHOWN_OF_A_GROUP])
        msg = (
            f"the group {shown} of {len(message_group_id):,} characters is no MessageGroupId: give "
            f"1 to {MAX_GROUP_CHARACTERS} letters, digits and punctuation of ASCII, without spaces"
        )
        raise UsageError(msg)


def with_record_ids(bodies: Iterable[Body], prefix: str) -> Iterator[Body]:
    """Give each body the `record_id` `<prefix>-00001` and so on; all else stays as it is.

    Raises:
        UsageError: a body is not a JSON object.
    """
    for number, body in enumerate(bodies, start=1):
        yield with_record_id(body, f"{prefix}-{number:05}")


def with_record_id(body: Body, record_id: str) -> Body:
    """Set the field `record_id` of a JSON object, which becomes its item's `execution_id`.

    Raises:
        UsageError: the body is not a JSON object.
    """
    try:
        content = exact_json.loads(body.text)
    except exact_json.JsonError as error:
        content = error
    if not isinstance(content, dict):
        msg = f"{body.origin}: a record_id needs a JSON object: send it without --record-id-prefix"
        raise UsageError(msg)
    return replace(body, text=dumps(content | {"record_id": record_id}, indent=None))


def repeated(bodies: tuple[Body, ...], count: int) -> Iterator[Body]:
    """All of `bodies`, `count` times over; a text is held in memory only once."""
    return itertools.chain.from_iterable(itertools.repeat(bodies, count))


def _without_marks(content: bytes) -> bytes:
    while content.startswith(_UTF8_BYTE_ORDER_MARK):
        content = content.removeprefix(_UTF8_BYTE_ORDER_MARK)
    return content


def _decoded(content: bytes, origin: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        msg = f"{origin}: byte {error.start + 1} is not UTF-8: save the text as UTF-8"
        raise UsageError(msg) from error


def _check_size(body: Body) -> None:
    if not body.text:
        msg = f"{body.origin}: the body is empty, and SQS takes 1 byte to 1 MiB: send some text"
        raise UsageError(msg)
    if body.size > MAX_MESSAGE_BYTES:
        msg = (
            f"{body.origin}: {body.size:,} bytes, and SQS takes {MAX_MESSAGE_BYTES:,} (1 MiB) at "
            "most: split the record, or send it as a claim check with 'pipelinectl send'"
        )
        raise UsageError(msg)


def _check_characters(body: Body) -> None:
    if found := NOT_ALLOWED.search(body.text):
        msg = (
            f"{body.origin}: U+{ord(found[0]):04X} at character {found.start() + 1}, and SQS "
            "refuses control characters: write it as a JSON escape (\\uXXXX)"
        )
        raise UsageError(msg)


SIZE_ATTRIBUTE = "ExtendedPayloadSize"
"""The reserved attribute that tells the libraries of a pointer."""

DEFAULT_THRESHOLD = 128 * 1024
"""Bytes of a message above which its body goes to S3: half of what the libraries have.

A body that travels in its message stays in its item, as it came and as it became, and an item has
at most 400 KiB: not enough for two of the libraries' 256 KiB."""

_UPLOADS_AT_ONCE = 8


@dataclass(frozen=True)
class ClaimCheck:
    """A message whose body lies in S3, as `payload_size` bytes.

    `record_id` is the one that its producer gave in the body, `message_group_id` the group that the
    message is sent in, empty of none.
    """

    origin: str
    payload: Pointer
    payload_size: int
    record_id: str | None = None
    message_group_id: str = ""

    @property
    def text(self) -> str:
        """The pointer."""
        return pointer_to(self.payload["bucket"], self.payload["key"])

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The reserved attribute."""
        return {SIZE_ATTRIBUTE: {"DataType": "Number", "StringValue": str(self.payload_size)}}


@dataclass(frozen=True)
class PayloadStore:
    """The bucket of payloads, in which everything expires by itself.

    `maximum_size` is the most bytes that the pipeline reads of a document.
    """

    s3: S3Client
    bucket: str
    maximum_size: float = math.inf

    def put_all(self, bodies: Sequence[Body]) -> Iterator[ClaimCheck]:
        """Put each body under a key of its own; its message is to be sent only after that.

        Nothing is taken back where that fails: payloads without a message expire.
        """
        pool = ThreadPoolExecutor(_UPLOADS_AT_ONCE, thread_name_prefix="payload")
        try:
            yield from pool.map(self._put, bodies)
        finally:
            pool.shutdown(cancel_futures=True)

    def _put(self, body: Body) -> ClaimCheck:
        content = body.text.encode()
        key = str(uuid.uuid4())
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=content)
        pointer: Pointer = {"bucket": self.bucket, "key": key}
        return ClaimCheck(body.origin, pointer, len(content), body.record_id, body.message_group_id)

    def read(self, payload: Pointer) -> str | None:
        """The text of a payload; None where it is gone, no text, or nothing the pipeline reads.

        A pointer may name any bucket; the pipeline reads what lies in this one.
        """
        from botocore.exceptions import ClientError

        from pipeline_core.payloads import NOT_THERE

        if payload["bucket"] != self.bucket:
            return None
        try:
            response = self.s3.get_object(Bucket=self.bucket, Key=payload["key"])
        except ClientError as error:
            if error.response["Error"]["Code"] in NOT_THERE:
                return None
            raise
        if response["ContentLength"] > self.maximum_size:
            response["Body"].close()
            return None
        try:
            return response["Body"].read().decode("utf-8-sig")
        except UnicodeDecodeError:
            return None


HELD_BACK = ("HeldBack", "what is ahead of it in its group was refused")
"""Code and reason of a message that was not sent."""

WORKERS = 3
ATTEMPTS = 5
_FIRST_BACKOFF_SECONDS = 0.2


class Message(Protocol):
    """What can be sent."""

    @property
    def origin(self) -> str:
        """Where it comes from, for people to find it."""

    @property
    def text(self) -> str:
        """The body."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Message attributes, as SQS takes them."""

    @property
    def message_group_id(self) -> str:
        """The group that it is sent in, empty of none."""


M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class Sent(Generic[M]):
    """A message that SQS accepted, and the id that it has from now on."""

    message: M
    message_id: str


@dataclass(frozen=True)
class Refused(Generic[M]):
    """A message that SQS did not accept, and why."""

    message: M
    code: str
    reason: str


@dataclass(frozen=True)
class BatchOutcome(Generic[M]):
    """What became of the messages of one batch."""

    sent: tuple[Sent[M], ...]
    refused: tuple[Refused[M], ...]


@dataclass(frozen=True)
class Sender:
    """Sends to one queue; `sleep` takes seconds and is what waits between attempts.

    Into a FIFO queue nothing of a group goes before what is ahead of it was accepted.
    """

    sqs: SQSClient
    queue_url: str
    sleep: Callable[[float], None] = time.sleep

    @property
    def is_in_order(self) -> bool:
        """Whether the queue is a FIFO queue."""
        return self.queue_url.endswith(FIFO)

    def requests(self, messages: Iterable[M], max_count: int = MAX_ENTRIES) -> Iterator[list[M]]:
        """Cut `messages` into lists that go in one request: of a FIFO queue's, one of each group.

        SQS may take some of a request and refuse others, and these would come after them.
        """
        return (in_turns if self.is_in_order else requests)(messages, max_count)

    def send(self, messages: Iterable[M]) -> Iterator[BatchOutcome[M]]:
        """Send all messages and yield each batch's outcome, in the order of the messages.

        A failure of a whole request (no such queue, no permission) is raised as boto3 has it;
        batches that were not started by then are not sent. In order, one batch is sent after the
        other, and nothing of a group after one of it was refused.
        """
        if self.is_in_order:
            yield from self._send_in_order(messages)
            return
        groups = requests(messages)
        pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="send")
        try:
            yield from _in_order(pool, self.send_batch, groups)
        finally:
            pool.shutdown(cancel_futures=True)

    def _send_in_order(self, messages: Iterable[M]) -> Iterator[BatchOutcome[M]]:
        stopped: set[str] = set()
        for batch in self.requests(messages):
            held = [one for one in batch if one.message_group_id in stopped]
            outcome = self.send_batch([one for one in batch if one not in held])
            stopped |= {one.message.message_group_id for one in outcome.refused}
            refused = (*outcome.refused, *(Refused(one, *HELD_BACK) for one in held))
            yield BatchOutcome(outcome.sent, refused)

    def send_batch(self, batch: list[M]) -> BatchOutcome[M]:
        """Send one batch, and again what SQS did not take for reasons of its own."""
        sent: dict[int, Sent[M]] = {}
        pending = dict(enumerate(batch))
        refused = list(_too_large(pending))
        # The same at each attempt: SQS takes one message of an id, and no second.
        ids = {n: str(uuid.uuid4()) for n in pending if self.is_in_order}
        for attempt in range(1, ATTEMPTS + 1):
            if not pending:
                break
            if attempt > 1:
                self.sleep(_backoff(attempt - 1))
            response = self._request(pending, ids)
            for accepted in response.get("Successful", []):
                index = int(accepted["Id"])
                sent[index] = Sent(pending.pop(index), accepted["MessageId"])
            refused += _refused(response.get("Failed", []), pending, last=attempt == ATTEMPTS)
        return BatchOutcome(tuple(sent[index] for index in sorted(sent)), tuple(refused))

    def _request(
        self, pending: dict[int, M], ids: Mapping[int, str]
    ) -> SendMessageBatchResultTypeDef:
        entries: Any = [
            in_order({"Id": str(n), **_entry(message)}, ids.get(n, ""))
            for n, message in pending.items()
        ]
        return self.sqs.send_message_batch(QueueUrl=self.queue_url, Entries=entries)


def _entry(message: Message) -> dict[str, Any]:
    entry = {"MessageBody": message.text, "MessageAttributes": message.attributes}
    return in_group(entry, message.message_group_id)


def size_of(message: Message) -> int:
    """Bytes of a message as SQS counts them, attributes included."""
    return message_size(_entry(message))


def requests(messages: Iterable[M], max_count: int = MAX_ENTRIES) -> Iterator[list[M]]:
    """Cut `messages` into lists that SQS takes in one request."""
    return batches(messages, size_of, max_bytes=MAX_MESSAGE_BYTES, max_entries=max_count)


def in_turns(messages: Iterable[M], max_count: int = MAX_ENTRIES) -> Iterator[list[M]]:
    """Cut `messages`, which stay in their order, so that no list has two of a group."""
    turn: list[M] = []
    for message in messages:
        if any(message.message_group_id == one.message_group_id for one in turn):
            yield from requests(turn, max_count)
            turn = []
        turn.append(message)
    yield from requests(turn, max_count)


def _too_large(pending: dict[int, M]) -> Iterator[Refused[M]]:
    """Take out of `pending` what would make SQS refuse the whole request."""
    sizes = {index: size_of(message) for index, message in pending.items()}
    for index, size in sizes.items():
        if size > MAX_MESSAGE_BYTES:
            reason = f"{size:,} bytes with its attributes, and SQS takes {MAX_MESSAGE_BYTES:,}"
            yield Refused(pending.pop(index), "MessageTooLong", reason)


def _refused(
    errors: list[BatchResultErrorEntryTypeDef], pending: dict[int, M], *, last: bool
) -> Iterator[Refused[M]]:
    """Take out of `pending` what another attempt would not help."""
    for error in errors:
        if error["SenderFault"] or last:
            message = pending.pop(int(error["Id"]))
            yield Refused(message, error["Code"], error.get("Message", ""))


def _backoff(attempt: int) -> float:
    longest: float = _FIRST_BACKOFF_SECONDS * 2 ** (attempt - 1)
    return longest * random.uniform(0.5, 1)  # noqa: S311 - jitter need not be unpredictable


def _in_order(
    pool: ThreadPoolExecutor,
    send_batch: Callable[[list[M]], BatchOutcome[M]],
    groups: Iterable[list[M]],
) -> Iterator[BatchOutcome[M]]:
    """Keep the workers busy without taking more of `groups` than they need."""
    running: deque[Future[BatchOutcome[M]]] = deque()
    for group in groups:
        running.append(pool.submit(send_batch, group))
        if len(running) > WORKERS:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


@dataclass
class Pace:
    """At most `per_second` messages, or as fast as it goes; `sleep` and `clock` are in seconds."""

    per_second: float | None = None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _free_at: float = field(default=float("-inf"), init=False)

    def batch(self, most: int) -> int:
        """How many messages to send at once: those of about a second, at least 1."""
        return most if self.per_second is None else min(most, max(1, int(self.per_second)))

    def wait(self, count: int) -> None:
        """Wait until `count` messages may be sent."""
        if self.per_second is None:
            return
        now = self.clock()
        if now < self._free_at:
            self.sleep(self._free_at - now)
        self._free_at = max(now, self._free_at) + count / self.per_second
