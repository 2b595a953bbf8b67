"""Sends records to the dead-letter queue, each with the reason why it is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from durable_pipeline.records import Outcome, Record
from shared.contracts import Reason

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

logger = Logger(child=True)

MAX_MESSAGE_BYTES = 1024 * 1024
MAX_BATCH_ENTRIES = 10
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html

MAX_TEXT = 1024
MAX_ERRORS_TEXT = 8 * 1024

ESSENTIAL_ATTRIBUTES = ("stage", "error_type", "execution_id", "original_message_id")

NOT_ALLOWED = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What SQS refuses in a message: https://www.w3.org/TR/REC-xml/#charsets"""


@dataclass(frozen=True)
class DeadLetter:
    """A record that will not be processed, and why."""

    record: Record
    outcome: Outcome


def send(
    client: SQSClient,
    queue_url: str,
    letters: Sequence[DeadLetter],
    *,
    execution_arn: str,
    failed_at: str,
) -> list[str]:
    """Send ``letters``; the ids of the records whose dead letter the queue has accepted."""
    entries = [
        _entry(index, letter, execution_arn, failed_at) for index, letter in enumerate(letters)
    ]
    fitting = [entry for entry in entries if message_size(entry) <= MAX_MESSAGE_BYTES]
    if len(fitting) < len(entries):
        logger.warning("%d dead letters too large; SQS moves them", len(entries) - len(fitting))
    return [
        letters[int(entry_id)].record.id
        for batch in batches(fitting)
        for entry_id in _send_batch(client, queue_url, batch)
    ]


def _entry(index: int, letter: DeadLetter, execution_arn: str, failed_at: str) -> dict[str, Any]:
    """A message for SendMessageBatch; where it would be too large, with fewer attributes.

    One that is too large even so stays in its queue, whose own redrive policy moves it in the end:
    without a reason, but with every byte of its body.
    """
    values = attributes(letter, execution_arn, failed_at)
    entry = {"Id": str(index), "MessageBody": letter.record.body, "MessageAttributes": values}
    if message_size(entry) > MAX_MESSAGE_BYTES:
        entry["MessageAttributes"] = {name: values[name] for name in ESSENTIAL_ATTRIBUTES}
    return entry


def _send_batch(client: SQSClient, queue_url: str, entries: Sequence[Any]) -> list[str]:
    try:
        response = client.send_message_batch(QueueUrl=queue_url, Entries=entries)
    except (ClientError, BotoCoreError) as error:
        logger.warning("dead letters not accepted; their records stay queued: %s", error)
        return []
    if refused := response.get("Failed"):
        logger.warning("dead letters refused; their records stay queued: %s", refused)
    return [entry["Id"] for entry in response.get("Successful", [])]


def batches(entries: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """``entries`` in requests that SQS takes: 10 entries, and 1 MiB with their attributes."""
    batch: list[dict[str, Any]] = []
    size = 0
    for entry in entries:
        entry_size = message_size(entry)
        if batch and (len(batch) == MAX_BATCH_ENTRIES or size + entry_size > MAX_MESSAGE_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry_size
    if batch:
        yield batch


def message_size(entry: dict[str, Any]) -> int:
    """Bytes of a message as SQS counts them: body, and attributes' names, types and values."""
    return len(entry["MessageBody"].encode("utf-8", "surrogatepass")) + sum(
        len(name.encode()) + len(value["DataType"]) + len(value["StringValue"].encode())
        for name, value in entry["MessageAttributes"].items()
    )


def attributes(letter: DeadLetter, execution_arn: str, failed_at: str) -> dict[str, Any]:
    """The ten message attributes that SQS allows, all text: why, where, when, and whose."""
    record, outcome = letter.record, letter.outcome
    reason: Reason = outcome["reason"] or {"type": "Unknown", "message": "no reason was recorded"}
    values = {
        "stage": outcome["stage"],
        "error_type": reason["type"],
        "error_message": _shortened(reason["message"], MAX_TEXT),
        "errors": _errors(reason),
        "durable_execution_arn": execution_arn,
        "original_message_id": record.id,
        "receive_count": str(record.receive_count),
        "execution_id": record.execution_id,
        "failed_at": failed_at,
        "original": json.dumps(
            {"sent_timestamp": record.sent_timestamp, "message_attributes": record.attributes},
            ensure_ascii=False,  # escaped, attributes near their limit would no longer fit
        ),
    }
    return {
        name: {"DataType": "String", "StringValue": NOT_ALLOWED.sub("\ufffd", value) or "-"}
        for name, value in values.items()
    }


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _errors(reason: Reason) -> str:
    """Every error as a JSON array; of very many the first, and how many more there are."""
    errors = [_shortened(error, MAX_TEXT) for error in reason.get("errors", [reason["message"]])]
    kept = errors
    while len(json.dumps(kept)) > MAX_ERRORS_TEXT:
        kept = kept[: len(kept) // 2]
    more = len(errors) - len(kept)
    return json.dumps(kept + ([f"and {more} more"] if more else []))
