"""Hands records over to a queue, which brings them to an execution of their own.

The same record handed over twice is worked on twice, and comes to the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_durable_execution_sdk_python import DurableContext, StepContext, StepError
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from durable_pipeline.clients import ONE_ATTEMPT, sqs
from durable_pipeline.dead_letters import batches
from durable_pipeline.records import HANDED_OVER, Outcomes, failure

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

logger = Logger(child=True)

REFUSED = failure("read", "QueueUnavailable", "no queue accepted the message that carries it on")


@dataclass(frozen=True)
class Letters:
    """Bodies of messages to one queue, which deliver them after ``delay`` seconds."""

    queue_url: str
    bodies: Sequence[str]
    delay: int = 0


def hand_over(context: DurableContext, letters: Mapping[str, Letters]) -> Outcomes:
    """Send ``letters``, by record id; a record is handed over when all of its own were accepted."""
    if not letters:
        return {}

    def send(_: StepContext) -> list[str]:
        return [id_ for id_, of_record in letters.items() if _send(sqs(), of_record)]

    try:
        accepted: list[str] = context.step(send, name="hand-over", config=ONE_ATTEMPT)
    except StepError:
        accepted = []
    return {id_: HANDED_OVER if id_ in accepted else REFUSED for id_ in letters}


def _send(client: SQSClient, letters: Letters) -> bool:
    """Whether the queue accepted all of ``letters``."""
    entries = [
        {
            "Id": str(index),
            "MessageBody": body,
            "MessageAttributes": {},
            "DelaySeconds": min(letters.delay, 900),
        }
        for index, body in enumerate(letters.bodies)
    ]
    return all(_accepts(client, letters.queue_url, batch) for batch in batches(entries))


def _accepts(client: SQSClient, queue_url: str, entries: Sequence[dict[str, object]]) -> bool:
    try:
        response = client.send_message_batch(QueueUrl=queue_url, Entries=entries)  # type: ignore[arg-type]  # as boto3 has them
    except (ClientError, BotoCoreError) as error:
        logger.warning("not handed over: %s", error)
        return False
    if refused := response.get("Failed"):
        logger.warning("not handed over: %s", refused)
    return not refused
