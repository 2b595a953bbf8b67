"""Settles every record of a batch: stored, dead letter with its reason, or back to the queue.

A record is acknowledged only when it is stored or its dead letter was accepted. A healthy batch
has nothing to settle and pays for nothing here.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from aws_durable_execution_sdk_python import DurableContext, StepContext, StepError
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from durable_pipeline import dead_letters
from durable_pipeline.clients import ONE_ATTEMPT, sqs
from durable_pipeline.dead_letters import DeadLetter
from durable_pipeline.hand_over import Letters, hand_over
from durable_pipeline.records import Batch, Outcomes, Record, given_up
from durable_pipeline.settings import Settings
from shared.contracts import utc_now

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import ChangeMessageVisibilityBatchRequestEntryTypeDef

logger = Logger(child=True)

ACKNOWLEDGED: tuple[Literal["handed_over", "superseded", "ignored"], ...] = (
    "handed_over",
    "superseded",
    "ignored",
)


class NotSettled(Exception):  # noqa: N818 - reads as what it is, in logs and dead letters
    """No queue took what became of an event that S3 sent without a queue between."""


def settle(
    context: DurableContext, batch: Batch, outcomes: Outcomes, settings: Settings
) -> dict[str, Any]:
    """Settle the records that were not stored; answers the partial batch response.

    Raises:
        NotSettled: Lambda is to invoke again, and in the end to send the event to the dead-letter
            queue: there is no message that would come back.
    """
    letters, again = _sort(batch, outcomes, settings.max_receive_count)
    accepted = _send_dead_letters(context, letters, settings) if letters else []
    back = [*again, *(letter.record for letter in letters if letter.record.id not in accepted)]
    _queue(context, [record for record in back if not record.queue_url], settings)
    failures = [record for record in back if record.queue_url]
    if delayed := [record for record in again if record.queue_url]:
        _delay(context, delayed, settings)
    return _response(outcomes, accepted, failures)


def _queue(context: DurableContext, records: Sequence[Record], settings: Settings) -> None:
    """Give failed records that no queue holds to one, which delivers them again."""
    outcomes = hand_over(
        context,
        {
            record.id: Letters(
                settings.files_queue_url if record.is_file else settings.queue_url,
                (record.body,),
                _jittered(settings.retry_delay),
            )
            for record in records
        },
    )
    if lost := [key for key, outcome in outcomes.items() if outcome["outcome"] != "handed_over"]:
        raise NotSettled(f"no queue accepted {', '.join(lost)}")


def _sort(
    batch: Batch, outcomes: Outcomes, max_receive_count: int
) -> tuple[list[DeadLetter], list[Record]]:
    """Dead letters: rejected records, and failed ones on their last delivery. And the rest."""
    letters: list[DeadLetter] = []
    again: list[Record] = []
    for record in batch.all_records:
        outcome = outcomes[record.id]
        if outcome["outcome"] == "rejected" or given_up(record, outcome, max_receive_count):
            letters.append(DeadLetter(record, outcome))
        elif outcome["outcome"] == "failed":
            again.append(record)
    return letters, again


def _send_dead_letters(
    context: DurableContext, letters: Sequence[DeadLetter], settings: Settings
) -> list[str]:
    """Ids of the records whose dead letter the queue has accepted.

    A crash between the queue's acceptance and the checkpoint sends a letter twice, never not at
    all; both carry the same execution_id and original_message_id.
    """
    arn = context.execution_context.durable_execution_arn

    def send(_: StepContext) -> list[str]:
        return dead_letters.send(
            sqs(),
            settings.dead_letter_queue_url,
            letters,
            execution_arn=arn,
            failed_at=utc_now(),
        )

    try:
        accepted: list[str] = context.step(send, name="dead-letters", config=ONE_ATTEMPT)
    except StepError:
        return []
    return accepted


def _delay(context: DurableContext, records: Sequence[Record], settings: Settings) -> None:
    """Let failed records come back soon, and later each time, not when the long timeout ends."""

    def change(_: StepContext) -> int:
        return change_visibility(sqs(), settings, records)

    try:
        context.step(change, name="delay", config=ONE_ATTEMPT)
    except StepError:
        return  # they come back when the queue's visibility timeout ends


def change_visibility(client: SQSClient, settings: Settings, records: Sequence[Record]) -> int:
    """Set each record's visibility timeout by its receive count; how many were set."""
    changed: int = 0
    for queue_url, entries in _visibility_entries(records, settings):
        try:
            response = client.change_message_visibility_batch(QueueUrl=queue_url, Entries=entries)
        except (ClientError, BotoCoreError) as error:
            logger.warning("visibility not changed; the queue's own timeout holds: %s", error)
            continue
        changed += len(response.get("Successful", ()))
    return changed


def _visibility_entries(
    records: Sequence[Record], settings: Settings
) -> Iterator[tuple[str, list[ChangeMessageVisibilityBatchRequestEntryTypeDef]]]:
    """Requests of ten, each with its queue: a batch comes from one."""
    for start in range(0, len(records), 10):
        yield (
            records[start].queue_url,
            [
                {
                    "Id": str(index),
                    "ReceiptHandle": record.receipt_handle,
                    "VisibilityTimeout": _jittered(delay_seconds(record.receive_count, settings)),
                }
                for index, record in enumerate(records[start : start + 10])
            ],
        )


def delay_seconds(receive_count: int, settings: Settings) -> int:
    """The delay doubles with each time the record was received, up to a bound."""
    return min(settings.retry_delay << min(receive_count - 1, 16), settings.max_retry_delay)


def _jittered(seconds: int) -> int:
    return random.randint((seconds + 1) // 2, seconds)  # noqa: S311 - jitter, not a secret


def _response(
    outcomes: Outcomes, accepted: Sequence[str], failures: Sequence[Record]
) -> dict[str, Any]:
    return {
        "batchItemFailures": [{"itemIdentifier": record.id} for record in failures],
        "summary": _summary(outcomes, len(accepted), len(failures)),
    }


def _summary(outcomes: Outcomes, dead: int, back: int) -> Mapping[str, int]:
    counts = Counter(outcome["outcome"] for outcome in outcomes.values())
    others = {name: counts[name] for name in ACKNOWLEDGED if counts[name]}
    return {"stored": counts["stored"], "dead_letters": dead, "back_to_queue": back} | others
