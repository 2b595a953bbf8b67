"""Sends records to the dead-letter queue, each with the reason why it is there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from durable_pipeline.claim_checks import in_place_of
from durable_pipeline.records import Outcome, Record, shortened
from durable_pipeline.settings import Settings, s3
from pipeline_core.contract import Reason
from pipeline_core.messages import (
    LETTER_ATTRIBUTES,
    MAX_MESSAGE_BYTES,
    NOT_ALLOWED,
    in_group,
    in_order,
    message_size,
    requests,
)

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


logger = Logger(child=True)

MAX_ERRORS_TEXT = 8 * 1024

UNTOLD: Reason = {
    "type": "TopicUnavailable",
    "message": "the topic of events took no announcement of what became of it; it is stored",
}


def send(
    client: SQSClient,
    settings: Settings,
    dead: Sequence[tuple[Record, Outcome]],
    *,
    execution_arn: str,
    failed_at: str,
) -> list[int]:
    """Send each record with its outcome; which of them, by number, the queue did not accept."""
    queues: dict[str, list[dict[str, Any]]] = {}
    for index, (record, outcome) in enumerate(dead):
        entry = _entry(index, record, outcome, settings, execution_arn, failed_at)
        if message_size(entry) <= MAX_MESSAGE_BYTES:
            queues.setdefault(_queue_of(record, settings), []).append(entry)
        else:
            logger.warning("the dead letter of %s is too large; SQS moves it", record.id)
    accepted = {
        int(entry_id)
        for url, entries in queues.items()
        for batch in requests(entries)
        for entry_id in _send_batch(client, url, batch)
    }
    return [index for index in range(len(dead)) if index not in accepted]


def _queue_of(record: Record, settings: Settings) -> str:
    """A FIFO queue gives up to a FIFO queue, where the record keeps its place in its group."""
    if record.is_in_order:
        return settings.fifo_dead_letter_queue_url
    return settings.dead_letter_queue_url


def _entry(
    index: int,
    record: Record,
    outcome: Outcome,
    settings: Settings,
    execution_arn: str,
    failed_at: str,
) -> dict[str, Any]:
    """A message for SendMessageBatch, in its record's group; if too large, with its body in S3.

    If S3 does not take that, it has fewer attributes. One that is too large even so stays in its
    queue, whose own redrive policy moves it in the end: without a reason, but with every byte.
    """
    message: dict[str, Any] = {
        "Id": str(index),
        "MessageBody": record.body,
        "MessageAttributes": attributes(record, outcome, execution_arn, failed_at),
    }
    entry = in_group(message, record.message_group_id)
    if record.is_in_order:
        entry = in_order(entry, record.id)  # as SQS does with what it moves itself
    if message_size(entry) <= MAX_MESSAGE_BYTES:
        return entry
    pointer = in_place_of(s3(), settings.payload_bucket, record)
    if pointer is not None:
        values = attributes(record, outcome, execution_arn, failed_at, offloaded=True)
        entry |= {"MessageBody": pointer, "MessageAttributes": values}
    if message_size(entry) > MAX_MESSAGE_BYTES:
        values = entry["MessageAttributes"]
        entry["MessageAttributes"] = {name: values[name] for name in LETTER_ATTRIBUTES}
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


def attributes(
    record: Record,
    outcome: Outcome,
    execution_arn: str,
    failed_at: str,
    *,
    offloaded: bool = False,
) -> dict[str, Any]:
    """The ten message attributes that SQS allows, all text: why, where, when, and whose."""
    reason = _reason(outcome)
    values = {
        "stage": outcome["stage"] if outcome["reason"] else "announce",
        "error_type": shortened(reason["type"]),
        "error_message": shortened(reason["message"]),
        "errors": _errors(reason),
        "durable_execution_arn": execution_arn,
        "original_message_id": record.id,
        "receive_count": str(record.receive_count),
        "execution_id": record.execution_id,
        "failed_at": failed_at,
        "original": json.dumps(
            _original(record, offloaded=offloaded or record.offloaded),
            ensure_ascii=False,  # escaped, attributes near their limit would no longer fit
            default=str,  # of what a producer made there may be decimals, which need not stay such
        ),
    }
    return {
        name: {"DataType": "String", "StringValue": NOT_ALLOWED.sub("\ufffd", value) or "-"}
        for name, value in values.items()
    }


def _reason(outcome: Outcome) -> Reason:
    """Why; of what is only untold, that it is."""
    if (reason := outcome["reason"]) is None:
        return UNTOLD
    if "untold" not in outcome:
        return reason
    errors = [*reason.get("errors", [reason["message"]]), "and the topic of events was not told"]
    return {**reason, "errors": errors}


def _original(record: Record, *, offloaded: bool) -> dict[str, Any]:
    """What a redrive needs of the message that the record was."""
    carried = record.carried(sent_timestamp=record.sent_timestamp)
    carried.pop("execution_id")  # it has an attribute of its own
    carried.setdefault("message_attributes", {})
    if offloaded:
        carried["offloaded"] = True
    return dict(carried)


def _errors(reason: Reason) -> str:
    """Every error as a JSON array; of very many the first, and how many more there are."""
    errors = [shortened(error) for error in reason.get("errors", [reason["message"]])]
    kept = errors
    while len(json.dumps(kept)) > MAX_ERRORS_TEXT:
        kept = kept[: len(kept) // 2]
    more = len(errors) - len(kept)
    return json.dumps(kept + ([f"and {more} more"] if more else []))
