"""Requests to SQS: what one message and one request may have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from shared.batching import batches

MAX_MESSAGE_BYTES = 1024 * 1024
MAX_ENTRIES = 10
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html

NOT_ALLOWED = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What SQS refuses in a message: https://www.w3.org/TR/REC-xml/#charsets"""


def requests(entries: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """``entries`` in requests that SQS takes: 10 entries, and 1 MiB with their attributes."""
    return batches(entries, message_size, max_bytes=MAX_MESSAGE_BYTES, max_entries=MAX_ENTRIES)


def message_size(entry: Mapping[str, Any]) -> int:
    """Bytes of a message as SQS counts them: body, and attributes' names, types and values."""
    return len(entry["MessageBody"].encode("utf-8", "surrogatepass")) + sum(
        len(name.encode()) + len(value["DataType"]) + len(value["StringValue"].encode())
        for name, value in entry["MessageAttributes"].items()
    )
