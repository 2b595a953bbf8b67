"""Settles every record of a batch: stored, dead letter with its reason, or back to the queue.

A record is acknowledged only when it is stored or its dead letter was accepted. A healthy batch
has nothing to settle and pays for nothing here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from aws_durable_execution_sdk_python import DurableContext, StepContext, StepError
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from durable_pipeline import dead_letters
from durable_pipeline.clients import ONE_ATTEMPT, sqs
from durable_pipeline.dead_letters import DeadLetter
from durable_pipeline.hand_over import Letters, hand_over, handed_over_from, jittered
from durable_pipeline.records import Batch, Fate, OutcomeName, Outcomes, Record, fate
from durable_pipeline.requests import MAX_ENTRIES
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
    """Settle the records that are not simply done; answers the partial batch response.

    Raises:
        NotSettled: Lambda is to invoke again, and in the end to send the event to the dead-letter
            queue: there is no message that would come back.
    """
    fates = _fates(batch, outcomes, settings)
    onwards = fates["onwards"]
    handed = _send_onwards(context, onwards, settings)
    # Better a dead letter with a reason than one that SQS itself moves there without.
    unwilling = [record for record in onwards if record.id not in handed]
    letters = [DeadLetter(r, outcomes[r.id]) for r in [*fates["dead letter"], *unwilling]]
    refused = _send_dead_letters(context, letters, settings) if letters else []
    back = [*fates["back"], *refused]
    _queue(context, [record for record in back if not record.queue_url], settings)
    failures = [record for record in back if record.queue_url]
    if delayed := [record for record in fates["back"] if record.queue_url]:
        _delay(context, delayed, settings)
    done = Counter(outcomes[record.id]["outcome"] for record in fates["acknowledge"])
    done["handed_over"] += len(handed)
    return {
        "batchItemFailures": [{"itemIdentifier": record.id} for record in failures],
        "summary": _summary(done, len(letters) - len(refused), len(failures)),
    }


def _fates(batch: Batch, outcomes: Outcomes, settings: Settings) -> dict[Fate, list[Record]]:
    """The records by what is to be done about them."""
    fates: dict[Fate, list[Record]] = {name: [] for name in get_args(Fate)}
    for record in batch.all_records:
        fates[fate(record, outcomes[record.id], settings.max_receive_count)].append(record)
    return fates


def _send_onwards(
    context: DurableContext, records: Sequence[Record], settings: Settings
) -> set[str]:
    """Ids of the records that go on in a message of their own, with all of its deliveries."""
    letters = [
        Letters.of(record, settings.retry_delay, handed_over=record.handed_over + 1)
        for record in records
    ]
    return handed_over_from(hand_over(context, letters, settings, "onwards"))


def _queue(context: DurableContext, records: Sequence[Record], settings: Settings) -> None:
    """Give failed records that no queue holds to one, which delivers them again."""
    letters = [Letters.of(record, settings.retry_delay) for record in records]
    outcomes = hand_over(context, letters, settings, "queue")
    if lost := outcomes.keys() - handed_over_from(outcomes):
        raise NotSettled(f"no queue accepted {', '.join(sorted(lost))}")


def _send_dead_letters(
    context: DurableContext, letters: Sequence[DeadLetter], settings: Settings
) -> list[Record]:
    """The records whose dead letter the queue has not accepted.

    A crash between the queue's acceptance and the checkpoint sends a letter twice, never not at
    all; both carry the same execution_id and original_message_id.
    """
    arn = context.execution_context.durable_execution_arn

    def send(_: StepContext) -> list[int]:
        return dead_letters.send(sqs(), settings, letters, execution_arn=arn, failed_at=utc_now())

    try:
        refused: list[int] = context.step(send, name="dead-letters", config=ONE_ATTEMPT)
    except StepError:
        refused = list(range(len(letters)))
    return [letters[index].record for index in refused]


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
    for start in range(0, len(records), MAX_ENTRIES):
        yield (
            records[start].queue_url,
            [
                {
                    "Id": str(index),
                    "ReceiptHandle": record.receipt_handle,
                    "VisibilityTimeout": jittered(delay_seconds(record.receive_count, settings)),
                }
                for index, record in enumerate(records[start : start + MAX_ENTRIES])
            ],
        )


def delay_seconds(receive_count: int, settings: Settings) -> int:
    """The delay doubles with each time the record was received, up to a bound."""
    return min(settings.retry_delay << min(receive_count - 1, 16), settings.max_retry_delay)


def _summary(done: Counter[OutcomeName], dead: int, back: int) -> Mapping[str, int]:
    others = {name: done[name] for name in ACKNOWLEDGED if done[name]}
    return {"stored": done["stored"], "dead_letters": dead, "back_to_queue": back} | others
