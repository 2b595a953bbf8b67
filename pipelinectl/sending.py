"""Message attributes: in the form that SQS takes, and in the form that Lambda writes them in."""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import math
import random
import re
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeAlias, TypeVar

from pipeline_core import exact_json
from pipelinectl.errors import StackMissingError, UsageError
from pipelinectl.exact_json import dumps
from pipelinectl.objects import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import (
        BatchResultErrorEntryTypeDef,
        MessageAttributeValueOutputTypeDef,
        SendMessageBatchResultTypeDef,
    )


Attributes: TypeAlias = Mapping[str, "MessageAttributeValueOutputTypeDef"]
"""Attributes by name, in the form that SQS takes and gives."""


def string(value: str) -> MessageAttributeValueOutputTypeDef:
    """An attribute of text."""
    return {"DataType": "String", "StringValue": value}


def number(value: int) -> MessageAttributeValueOutputTypeDef:
    """An attribute that is a number."""
    return {"DataType": "Number", "StringValue": str(value)}


def texts(attributes: Attributes) -> dict[str, str]:
    """Those attributes that are text or number, as text."""
    return {n: value["StringValue"] for n, value in attributes.items() if "StringValue" in value}


def size(attributes: Attributes) -> int:
    """Bytes as SQS counts them: names, types and values."""
    return sum(
        len(name.encode())
        + len(value["DataType"].encode())
        + len(value.get("StringValue", "").encode())
        + len(value.get("BinaryValue", b""))
        for name, value in attributes.items()
    )


def from_event(name_to_value: Mapping[str, Any]) -> dict[str, MessageAttributeValueOutputTypeDef]:
    """Attributes in the form of a Lambda event, without those that hold nothing SQS would take."""
    read = {name: _from_event(value) for name, value in name_to_value.items()}
    return {name: value for name, value in read.items() if value is not None}


def to_event(attributes: Attributes) -> dict[str, dict[str, str]]:
    """Attributes in the form of a Lambda event."""
    return {name: _to_event(value) for name, value in attributes.items()}


def _to_event(value: MessageAttributeValueOutputTypeDef) -> dict[str, str]:
    if "BinaryValue" in value:
        content = base64.b64encode(value["BinaryValue"]).decode()
        return {"dataType": value["DataType"], "binaryValue": content}
    return {"dataType": value["DataType"], "stringValue": value.get("StringValue", "")}


def _from_event(value: Any) -> MessageAttributeValueOutputTypeDef | None:
    match value:
        case {"stringValue": str(text)}:
            return {"DataType": value.get("dataType", "String"), "StringValue": text}
        case {"binaryValue": str(text)}:
            return _binary(value.get("dataType", "Binary"), text)
    return None


def _binary(data_type: str, text: str) -> MessageAttributeValueOutputTypeDef | None:
    try:
        return {"DataType": data_type, "BinaryValue": base64.b64decode(text, validate=True)}
    except binascii.Error:
        return None


def unwrapped(body: str) -> str:
    """The message that SNS has put into its envelope, or `body` itself if there is none."""
    # Most bodies have none, and then need not be parsed.
    if '"Notification"' not in body:
        return body
    try:
        envelope = exact_json.loads(body)
    except exact_json.JsonError:
        return body
    match envelope:
        case {
            "Type": "Notification",
            "TopicArn": str(),
            "MessageId": str(),
            "Message": str(message),
        }:
            return message
    return body


RECORD = "durable_pipeline.record"
"""The message attribute by which a message in one of the pipeline's own queues says whose it is.

Its value is JSON: `execution_id`, `sent_timestamp`, `door`, `message_attributes` and others.
"""

EXECUTION_ID = "execution_id"
SENT_TIMESTAMP = "sent_timestamp"
_RECORD_ID = "record_id"
_MAX_TIMESTAMP_DIGITS = 15

Door: TypeAlias = Literal["messages", "objects"]
"""Where a record came in: from whoever may send, or from S3. That decides what is believed."""


def execution_id_to_send(
    content: str, message_id: str, environment: str | None, door: Door | None
) -> str | None:
    """The `execution_id` that the pipeline gives to a message that came in by `door`.

    By its `content` (its body, or what that points to), because there the producer's `record_id`
    counts; None of an object, which is known by its key. `environment` is the prefix of the ids
    that come from the message id.

    Raises:
        StackMissingError: the id is one of these, and `environment` is not known.
    """
    if chosen := record_id(content):
        return chosen
    if door != "messages" and is_s3_event(content):
        return None
    if environment is None:
        msg = "the stack has no parameter 'Environment': deploy it again with this template.yaml"
        raise StackMissingError(msg)
    return f"{environment}-{message_id}"


def record_id(body: str) -> str | None:
    """The producer's own id of the record, if the body is a JSON object with one that is text."""
    body = unwrapped(body)
    # Most bodies have none, and then need not be parsed.
    if f'"{_RECORD_ID}"' not in body:
        return None
    try:
        content = exact_json.loads(body)
    except exact_json.JsonError:
        return None
    found = content.get(_RECORD_ID) if isinstance(content, dict) else None
    return found if isinstance(found, str) else None


def is_s3_event(body: str) -> bool:
    """Whether `body` is a notification of S3, whose objects are known by their keys."""
    body = unwrapped(body)
    if '"aws:s3"' not in body:
        return False
    try:
        content = exact_json.loads(body)
    except exact_json.JsonError:
        return False
    match content:
        case {"Records": [{"eventSource": "aws:s3"}, *_]}:
            return True
    return False


def first_sent(texts: Mapping[str, str], sent_timestamp: int) -> int:
    """When the record was first sent, in ms: what it brings along, or else when SQS got it."""
    brought = texts.get(SENT_TIMESTAMP, "")
    if brought.isascii() and brought.isdecimal() and len(brought) <= _MAX_TIMESTAMP_DIGITS:
        return int(brought)
    return sent_timestamp


# One message, and all messages of one SendMessageBatch together, hold at most 1 MiB.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
MAX_BYTES = 1_048_576

# SQS takes #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF only.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
_NOT_ALLOWED = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_UTF8_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_BLANK = b" \t\r\v\f\x1a"
"""With the end-of-file mark that DOS programs write."""


@dataclass(frozen=True)
class Body:
    """One message body and where it was read, for instance `orders.jsonl line 3`."""

    text: str
    origin: str

    @cached_property
    def size(self) -> int:
        """Bytes that SQS counts."""
        return len(self.text.encode())

    @property
    def attributes(self) -> Attributes:
        """What is sent as it is has no message attributes."""
        return {}


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


def check(bodies: Iterable[Body], *, offloaded_above: float = math.inf) -> None:
    """Hold every body to the rules of SQS, so that nothing is sent when one breaks them.

    One of more than `offloaded_above` bytes does not travel in its message.

    Raises:
        UsageError: a body is empty, larger than 1 MiB or holds a character SQS refuses.
    """
    for body in bodies:
        if body.size <= offloaded_above:
            _check_size(body)
            _check_characters(body)


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
    if body.size > MAX_BYTES:
        msg = (
            f"{body.origin}: {body.size:,} bytes, and SQS takes {MAX_BYTES:,} (1 MiB) at most: "
            "split the record, or send it as a claim check with 'pipelinectl send'"
        )
        raise UsageError(msg)


def _check_characters(body: Body) -> None:
    if found := _NOT_ALLOWED.search(body.text):
        msg = (
            f"{body.origin}: U+{ord(found[0]):04X} at character {found.start() + 1}, and SQS "
            "refuses control characters: write it as a JSON escape (\\uXXXX)"
        )
        raise UsageError(msg)


POINTER_CLASSES = (
    "software.amazon.payloadoffloading.PayloadS3Pointer",
    "com.amazon.sqs.javamessaging.MessageS3Pointer",
)
"""What a pointer says it is: of today's libraries, and of those before."""

SIZE_ATTRIBUTE = "ExtendedPayloadSize"
"""The reserved attribute that tells the libraries of a pointer."""

DEFAULT_THRESHOLD = 128 * 1024
"""Bytes of a message above which its body goes to S3: half of what the libraries have.

A body that travels in its message stays in its item, as it came and as it became, and an item has
at most 400 KiB: not enough for two of the libraries' 256 KiB."""

_WORKERS = 8
_GONE = frozenset({"NoSuchKey", "NoSuchBucket", "404"})
# The most that a document may have (MaximumDocumentSize of template.yaml).
_MAX_PAYLOAD_BYTES = 100 * 1024 * 1024


@dataclass(frozen=True)
class ClaimCheck:
    """A message whose body lies in S3, of `payload_size` bytes."""

    origin: str
    payload: ObjectPath
    payload_size: int

    @property
    def text(self) -> str:
        """The pointer."""
        place = {"s3BucketName": self.payload.bucket, "s3Key": self.payload.key}
        return json.dumps([POINTER_CLASSES[0], place])

    @property
    def attributes(self) -> Attributes:
        """The reserved attribute."""
        return {SIZE_ATTRIBUTE: number(self.payload_size)}

    @cached_property
    def size(self) -> int:
        """Bytes that SQS counts."""
        return len(self.text.encode()) + size(self.attributes)


@dataclass(frozen=True)
class PayloadStore:
    """The bucket of payloads, in which everything expires by itself."""

    s3: S3Client
    bucket: str

    def put_all(self, bodies: Sequence[Body]) -> Iterator[ClaimCheck]:
        """Put each body under a key of its own; its message is to be sent only after that.

        Nothing is taken back where that fails: payloads without a message expire.
        """
        pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="payload")
        try:
            yield from pool.map(self._put, bodies)
        finally:
            pool.shutdown(cancel_futures=True)

    def _put(self, body: Body) -> ClaimCheck:
        content = body.text.encode()
        path = ObjectPath(self.bucket, str(uuid.uuid4()))
        self.s3.put_object(Bucket=path.bucket, Key=path.key, Body=content)
        return ClaimCheck(body.origin, path, len(content))


@dataclass(frozen=True)
class PayloadReader:
    """Reads payloads in the pipeline's own buckets, and no others: a pointer may name any."""

    s3: S3Client
    buckets: frozenset[str]

    def read(self, payload: ObjectPath) -> str | None:
        """The text of a payload; None where it is gone, no text, or nothing the pipeline reads."""
        from botocore.exceptions import ClientError

        if payload.bucket not in self.buckets:
            return None
        try:
            response = self.s3.get_object(Bucket=payload.bucket, Key=payload.key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _GONE:
                return None
            raise
        if response["ContentLength"] > _MAX_PAYLOAD_BYTES:
            response["Body"].close()
            return None
        try:
            return response["Body"].read().decode("utf-8-sig")
        except UnicodeDecodeError:
            return None


def pointer_in(body: str) -> ObjectPath | None:
    """Where the payload lies, if `body` is a pointer."""
    body = unwrapped(body)
    # Most bodies are none, and then need not be parsed.
    if not any(name in body for name in POINTER_CLASSES):
        return None
    try:
        content = exact_json.loads(body)
    except exact_json.JsonError:
        return None
    match content:
        case [str(name), {"s3BucketName": str(bucket), "s3Key": str(key)}]:
            return ObjectPath(bucket, key) if name in POINTER_CLASSES else None
    return None


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


MAX_ENTRIES = 10  # of one SendMessageBatch
WORKERS = 3
ATTEMPTS = 5
_FIRST_BACKOFF_SECONDS = 0.2


class Message(Protocol):
    """What can be sent; `size` is in bytes as SQS counts them, attributes included."""

    @property
    def origin(self) -> str:
        """Where it comes from, for people to find it."""

    @property
    def text(self) -> str:
        """The body."""

    @property
    def attributes(self) -> Attributes:
        """Message attributes."""

    @property
    def size(self) -> int:
        """Bytes."""


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
    """Sends to one queue; `sleep` takes seconds and is what waits between attempts."""

    sqs: SQSClient
    queue_url: str
    sleep: Callable[[float], None] = time.sleep

    def send(self, messages: Iterable[M]) -> Iterator[BatchOutcome[M]]:
        """Send all messages and yield each batch's outcome, in the order of the messages.

        A failure of a whole request (no such queue, no permission) is raised as boto3 has it;
        batches that were not started by then are not sent.
        """
        groups = requests(messages)
        pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="send")
        try:
            yield from _in_order(pool, self.send_batch, groups)
        finally:
            pool.shutdown(cancel_futures=True)

    def send_batch(self, batch: list[M]) -> BatchOutcome[M]:
        """Send one batch, and again what SQS did not take for reasons of its own."""
        sent: dict[int, Sent[M]] = {}
        pending = dict(enumerate(batch))
        refused = list(_too_large(pending))
        for attempt in range(1, ATTEMPTS + 1):
            if not pending:
                break
            if attempt > 1:
                self.sleep(_backoff(attempt - 1))
            response = self._request(pending)
            for accepted in response.get("Successful", []):
                index = int(accepted["Id"])
                sent[index] = Sent(pending.pop(index), accepted["MessageId"])
            refused += _refused(response.get("Failed", []), pending, last=attempt == ATTEMPTS)
        return BatchOutcome(tuple(sent[index] for index in sorted(sent)), tuple(refused))

    def _request(self, pending: dict[int, M]) -> SendMessageBatchResultTypeDef:
        return self.sqs.send_message_batch(
            QueueUrl=self.queue_url,
            Entries=[
                {
                    "Id": str(index),
                    "MessageBody": message.text,
                    "MessageAttributes": message.attributes,
                }
                for index, message in pending.items()
            ],
        )


def requests(messages: Iterable[M], max_count: int = MAX_ENTRIES) -> Iterator[list[M]]:
    """Cut `messages` into lists that SQS takes in one request."""
    return batches(
        messages,
        size_of=lambda message: message.size,
        max_count=max_count,
        max_bytes=MAX_BYTES,
    )


def _too_large(pending: dict[int, M]) -> Iterator[Refused[M]]:
    """Take out of `pending` what would make SQS refuse the whole request."""
    for index in [index for index, message in pending.items() if message.size > MAX_BYTES]:
        message = pending.pop(index)
        reason = f"{message.size:,} bytes with its attributes, and SQS takes {MAX_BYTES:,}"
        yield Refused(message, "MessageTooLong", reason)


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
