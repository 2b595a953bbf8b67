"""How large things are, as AWS counts them, and what one request takes of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any, TypeVar

MAX_OPERATIONS = 3000
MAX_STATE_BYTES = 100 * 1000 * 1000
# Of a durable execution:
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html#durable-execution-quotas

MAX_CHUNK_RECORDS = 100
MAX_CHUNK_BYTES = 300_000
"""In a checkpoint. The store stage is sent each record twice, as it was and as it became, in one of
700,000; a chunk that grows beyond that on its way is cut again where it does."""

MAX_CONCURRENT_CHUNKS = 10

POINTED_BYTES = 32 * 1024
"""What a document that lies in S3 counts for in a chunk: at most so much of it travels."""

MAX_TRANSFORMED_BYTES = 350_000
"""Of the transformed document of a record that came with its message, in a checkpoint: with what it
was, one invoke of the stage after has room for it."""

Entry = TypeVar("Entry")


def batches(
    entries: Iterable[Entry],
    size: Callable[[Entry], int],
    *,
    max_bytes: int,
    max_entries: int | None = None,
) -> Iterator[list[Entry]]:
    """``entries`` in order, in runs of at most ``max_entries`` and ``max_bytes``.

    An entry that is larger than a run may be is a run of its own: to refuse it is its sender's
    business, who knows the rule and the remedy.
    """
    batch: list[Entry] = []
    total = 0
    for entry in entries:
        entry_size = size(entry)
        if batch and (len(batch) == max_entries or total + entry_size > max_bytes):
            yield batch
            batch, total = [], 0
        batch.append(entry)
        total += entry_size
    if batch:
        yield batch


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def wire_json(value: Any) -> str:
    """``value`` as it is sent: JSON without blanks, every character as itself.

    Escaped, a letter of most scripts would take six bytes, and seven where JSON is text in JSON. A
    lone surrogate, which UTF-8 cannot hold, is escaped all the same.
    """
    text = _encode(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


def wire_size(value: object) -> int:
    """Bytes of ``value`` in a request to a stage, as `wire_json` writes it: what AWS counts.

    Text that holds JSON is escaped once more: wire_size('"') is 4.
    """
    return len(_encode(value).encode("utf-8", "surrogatepass"))


def checkpoint_size(value: object) -> int:
    """Bytes of ``value`` in the checkpoint that starts an invoke, as the SDK counts them.

    It writes the payload as text within JSON, with all that is not ASCII escaped, which is never
    less than what AWS counts.
    """
    text = encode_basestring(value) if isinstance(value, str) else _encode(value)
    return len(encode_basestring_ascii(text))


def answer_size(value: object) -> int:
    r"""Bytes of ``value`` in a stage's answer, at most.

    Lambda's runtimes write what a handler returns with blanks after commas and colons; newer ones
    as UTF-8, older ones and the local cloud's with \uXXXX for whatever is not ASCII:
    https://github.com/aws/aws-lambda-python-runtime-interface-client/blob/main/awslambdaric/lambda_runtime_marshaller.py
    """
    return len(json.dumps(value))


def text_size(text: str) -> int:
    """Bytes of ``text``."""
    return len(text.encode("utf-8", "surrogatepass"))
