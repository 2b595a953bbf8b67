"""Hands records over to a queue, which brings them to an execution of their own.

The same record handed over twice is worked on twice, and comes to the same.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_durable_execution_sdk_python import DurableContext, StepContext, StepError
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from durable_pipeline.claim_checks import in_place_of
from durable_pipeline.records import HANDED_OVER, Outcomes, Record, failure
from durable_pipeline.settings import ONE_ATTEMPT, Settings, s3, sqs
from pipeline_core.messages import (
    MAX_MESSAGE_BYTES,
    Carried,
    attributes,
    in_group,
    message_size,
    requests,
)

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


logger = Logger(child=True)

REFUSED = failure("read", "QueueUnavailable", "no queue accepted the message that carries it on")

MAX_DELAY = 900
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html


@dataclass(frozen=True)
class Requeue:
    """Messages with which ``record`` goes on: its ``bodies``, and what each carries along.

    The queue delivers them after ``delay`` seconds, or somewhat sooner.
    """

    record: Record
    bodies: Sequence[str]
    carried: Carried
    delay: int = 0

    @classmethod
    def of(cls, record: Record, delay: int = 0, **more: Any) -> Requeue:
        """The record itself, as it is; ``more`` of what it carries along."""
        return cls(record, (record.body,), record.carried(**more), delay)


def queue_of(record: Record, settings: Settings) -> str:
    """The queue for ``record``: that of files, which brings them one by one, or that of others."""
    return settings.files_queue_url if record.is_file else settings.internal_queue_url


def requeue(
    context: DurableContext,
    requeues: Sequence[Requeue],
    settings: Settings,
    name: str = "hand-over",
) -> Outcomes:
    """Send ``requeues``; a record is handed over when all of its own were accepted."""
    if not requeues:
        return {}

    def send(_: StepContext) -> list[int]:
        return _send(sqs(), requeues, settings)

    try:
        refused: list[int] = context.step(send, name=name, config=ONE_ATTEMPT)
    except StepError:
        refused = list(range(len(requeues)))
    lost = {requeues[index].record.id for index in refused}
    ids = [one.record.id for one in requeues]
    return {id_: REFUSED if id_ in lost else HANDED_OVER for id_ in ids}


def _send(client: SQSClient, requeues: Sequence[Requeue], settings: Settings) -> list[int]:
    """Send all of ``requeues``, as many in a request as it takes; which of them were refused."""
    queues: dict[str, list[dict[str, Any]]] = {}
    for index, one in enumerate(requeues):
        queues.setdefault(queue_of(one.record, settings), []).extend(
            _entry(f"{index}-{number}", body, one, settings)
            for number, body in enumerate(one.bodies)
        )
    refused = {
        int(entry_id.partition("-")[0])
        for url, entries in queues.items()
        for request in requests(entries)
        for entry_id in _refused(client, url, request)
    }
    return sorted(refused)


def _entry(entry_id: str, body: str, requeues: Requeue, settings: Settings) -> dict[str, Any]:
    """A message, in its record's group; where it would be too large, with its body in S3."""
    message = {
        "Id": entry_id,
        "MessageBody": body,
        "MessageAttributes": attributes(requeues.carried),
        "DelaySeconds": jittered(min(requeues.delay, MAX_DELAY)),
    }
    entry = in_group(message, requeues.record.message_group_id)
    # One of several objects that a message told of is small; its record's body is all of them.
    if message_size(entry) <= MAX_MESSAGE_BYTES or body != requeues.record.body:
        return entry
    pointer = in_place_of(s3(), settings.payload_bucket, requeues.record)
    carried: Carried = {**requeues.carried, "offloaded": True}
    more = {"MessageBody": pointer, "MessageAttributes": attributes(carried)}
    return entry if pointer is None else entry | more


def jittered(seconds: int) -> int:
    """Between half of ``seconds`` and all of them. For steps only: a replay has other luck."""
    return random.randint((seconds + 1) // 2, seconds)  # noqa: S311 - jitter, not a secret


def _refused(client: SQSClient, queue_url: str, entries: Sequence[dict[str, Any]]) -> list[str]:
    """Ids of the entries of one request that the queue did not accept."""
    try:
        response = client.send_message_batch(QueueUrl=queue_url, Entries=entries)  # type: ignore[arg-type]  # as boto3 has them
    except (ClientError, BotoCoreError) as error:
        logger.warning("not handed over: %s", error)
        return [entry["Id"] for entry in entries]
    if failed := response.get("Failed"):
        logger.warning("not handed over: %s", failed)
    accepted = {entry["Id"] for entry in response.get("Successful", [])}
    return [entry["Id"] for entry in entries if entry["Id"] not in accepted]


def requeued(outcomes: Mapping[str, Any]) -> set[str]:
    """Ids of the records that a queue accepted."""
    return {key for key, outcome in outcomes.items() if outcome["outcome"] == "handed_over"}
