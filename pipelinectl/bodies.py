"""Message bodies: read them, know where each came from, hold them to the rules of SQS."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from pipelinectl import exact_json
from pipelinectl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipelinectl.message_attributes import Attributes

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
        content = exact_json.parse(body.text)
    except exact_json.NotJsonError as error:
        content = error
    if not isinstance(content, dict):
        msg = f"{body.origin}: a record_id needs a JSON object: send it without --record-id-prefix"
        raise UsageError(msg)
    return replace(body, text=exact_json.dumps(content | {"record_id": record_id}, indent=None))


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
