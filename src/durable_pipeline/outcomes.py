"""What becomes of each record in the end: found stored, announced, and settled.

The last steps of an execution, in this order. An outcome is only added to: what goes wrong here
never takes the place of what became of the record before.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from aws_durable_execution_sdk_python import DurableContext, StepContext, StepError
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from durable_pipeline import dead_letters
from durable_pipeline.records import (
    STORED,
    Batch,
    Fate,
    Outcome,
    OutcomeName,
    Outcomes,
    Record,
    fate,
    given_up,
)
from durable_pipeline.requeue import Requeue, jittered, requeue, requeued
from durable_pipeline.settings import ONE_ATTEMPT, Settings, dynamodb, sns, sqs
from pipeline_core.contract import utc_now
from pipeline_core.events import EventName, ProcessingEvent, dump, message_attributes
from pipeline_core.messages import MAX_ENTRIES
from pipeline_core.sizes import batches, text_size

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import KeysAndAttributesTypeDef
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import ChangeMessageVisibilityBatchRequestEntryTypeDef


# Finds out which records are stored although this execution failed to store them.
#
# An execution can die after it stored a record and before the record was acknowledged. The record
# is then delivered again; and if that was its last delivery and fails, it would become a dead
# letter of something that is in the table. So before a failed record is given up, the table is
# asked.

logger = Logger(child=True)

PAUSES = (0.1, 0.3, 1.0, 2.0, 2.0)
"""Seconds before each time that what DynamoDB left unprocessed is asked for again: for all records
of an execution together, because the time to settle in is short."""

MAX_KEYS = 100
MAX_KEYS_BYTES = 1024 * 1024
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html


def stored_before(
    context: DurableContext, batch: Batch, outcomes: Outcomes, settings: Settings
) -> Outcomes:
    """New outcomes for the records that are given up although they are stored; most often none."""
    doubtful = [
        record
        for record in batch.all_records
        if given_up(record, outcomes[record.id], settings.max_receive_count)
    ]
    if not doubtful:
        return {}

    def look(_: StepContext) -> list[int]:
        stored = already_stored(dynamodb(), settings.processed_data_table, doubtful)
        return [index for index, record in enumerate(doubtful) if record.id in stored]

    try:
        stored: list[int] = context.step(look, name="already-stored", config=ONE_ATTEMPT)
    except StepError:
        return {}
    return {doubtful[index].id: STORED for index in stored}


def already_stored(client: DynamoDBClient, table_name: str, records: Sequence[Record]) -> set[str]:
    """Ids of the ``records`` whose item is in the table.

    Of those for which the table does not answer none is said to be stored: a dead letter too many
    does no harm.
    """
    # DynamoDB takes no key twice.
    keys = list(dict.fromkeys(record.execution_id for record in records))
    pauses = iter(PAUSES)
    found = {
        item
        for batch in batches(keys, text_size, max_bytes=MAX_KEYS_BYTES, max_entries=MAX_KEYS)
        for item in _items(client, table_name, batch, pauses)
    }
    # Another message's item of the same execution_id is not this record's.
    return {record.id for record in records if (record.execution_id, record.id) in found}


def _items(
    client: DynamoDBClient, table_name: str, keys: Sequence[str], pauses: Iterator[float]
) -> Iterator[tuple[str, str]]:
    """Key and message id of the items that there are; what DynamoDB leaves is asked for again."""
    wanted: KeysAndAttributesTypeDef = {
        "Keys": [{"execution_id": {"S": key}} for key in keys],
        "ProjectionExpression": "execution_id, message_id",
        "ConsistentRead": True,
    }
    while True:
        try:
            response = client.batch_get_item(RequestItems={table_name: wanted})
        except (ClientError, BotoCoreError) as error:
            logger.warning("cannot tell which records are stored: %s", error)
            return
        for item in response.get("Responses", {}).get(table_name, []):
            yield item["execution_id"]["S"], item["message_id"]["S"]
        left = response.get("UnprocessedKeys", {}).get(table_name)
        if not left:
            return
        if (pause := next(pauses, None)) is None:
            logger.warning("cannot tell of %d keys whether they are stored", len(left["Keys"]))
            return
        time.sleep(pause)
        wanted = {**wanted, "Keys": left["Keys"]}


# Tells the topic of processing events what became of objects. Messages are not announced.

MAX_TOPIC_ENTRIES = 10
MAX_TOPIC_BYTES = 256 * 1024
# https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html


def announce(
    context: DurableContext, batch: Batch, outcomes: Outcomes, settings: Settings
) -> Outcomes:
    """The outcomes of those records that could not be announced: as they are, and untold.

    When it is known what became of each, and before any is settled, so that none is acknowledged of
    which nobody was told.
    """
    final = [
        (record, name)
        for record in batch.all_records
        if record.state and (name := _event_name(record, outcomes[record.id], settings))
    ]
    if not final:
        return {}
    events = [_event(context, record, name, outcomes[record.id]) for record, name in final]
    announced = _publish(context, events, settings)
    return {
        record.id: {**outcomes[record.id], "untold": True}
        for (record, _), done in zip(final, announced, strict=True)
        if not done
    }


def announce_start(context: DurableContext, record: Record, settings: Settings) -> None:
    """Say that the work on a file has begun; nothing depends on it."""
    _publish(
        context, [_event(context, record, "processing", None)], settings, name="announce start"
    )


def _event_name(record: Record, outcome: Outcome, settings: Settings) -> EventName | None:
    """What there is to say; of what is not final nothing."""
    match outcome["outcome"]:
        case "stored":
            return "done"
        case "rejected":
            return "rejected"
        case "superseded":
            return "superseded"
        case "failed" if given_up(record, outcome, settings.max_receive_count):
            return "failed"
    return None


def _event(
    context: DurableContext, record: Record, name: EventName, outcome: Outcome | None
) -> ProcessingEvent:
    if record.state is None:
        raise ValueError(f"record {record.id} is of no object")
    event: ProcessingEvent = {
        "event": name,
        "object": record.state,
        "execution_id": record.execution_id,
        "durable_execution_arn": context.execution_context.durable_execution_arn,
        "at": "",
    }
    if outcome is None:
        return event
    if "summary" in outcome:
        event["counts"] = outcome["summary"]["counts"]
        event["manifest"] = outcome["summary"]["manifest"]
    if outcome["reason"]:
        event["reason"] = outcome["reason"]
        event["stage"] = outcome["stage"]
    return event


def _publish(
    context: DurableContext,
    events: Sequence[ProcessingEvent],
    settings: Settings,
    name: str = "announce",
) -> list[bool]:
    """Whether the topic took each of ``events``."""

    def publish(_: StepContext) -> list[bool]:
        now = utc_now()
        entries = [_entry({**event, "at": now}) for event in events]
        return [
            done
            for batch in batches(
                entries, _size, max_bytes=MAX_TOPIC_BYTES, max_entries=MAX_TOPIC_ENTRIES
            )
            for done in _publish_batch(sns(), settings.processing_events_topic_arn, batch)
        ]

    try:
        published: list[bool] = context.step(publish, name=name, config=ONE_ATTEMPT)
    except StepError:
        return [False] * len(events)
    return published


def _entry(event: ProcessingEvent) -> dict[str, Any]:
    return {"Message": dump(event), "MessageAttributes": message_attributes(event)}


def _size(entry: Mapping[str, Any]) -> int:
    """Bytes of a message as SNS counts them, with its attributes."""
    return len(entry["Message"].encode()) + sum(
        len(name) + sum(len(text.encode()) for text in value.values())
        for name, value in entry["MessageAttributes"].items()
    )


def _publish_batch(
    client: SNSClient, topic_arn: str, entries: Sequence[Mapping[str, Any]]
) -> list[bool]:
    try:
        response = client.publish_batch(
            TopicArn=topic_arn,
            PublishBatchRequestEntries=[
                {"Id": str(index), **entry}  # type: ignore[typeddict-item]  # as boto3 has them
                for index, entry in enumerate(entries)
            ],
        )
    except (ClientError, BotoCoreError) as error:
        logger.warning("not announced: %s", error)
        return [False] * len(entries)
    if refused := response.get("Failed"):
        logger.warning("not announced: %s", refused)
    accepted = {entry["Id"] for entry in response.get("Successful", [])}
    return [str(index) in accepted for index in range(len(entries))]


# Settles every record of a batch: stored, dead letter with its reason, or back to the queue.
#
# A record is acknowledged only when it is stored or its dead letter was accepted. A healthy batch
# has nothing to settle and pays for nothing here.

ACKNOWLEDGED: tuple[Literal["handed_over", "superseded", "ignored"], ...] = (
    "handed_over",
    "superseded",
    "ignored",
)


class NotSettled(Exception):
    """No queue took what became of an event that S3 sent without a queue between."""


def settle(
    context: DurableContext, batch: Batch, outcomes: Outcomes, settings: Settings
) -> dict[str, Any]:
    """Settle the records that are not simply done; answers the partial batch response.

    Raises:
        NotSettled: Lambda is to send the event, as it came, to the dead-letter queue: there is no
            message that would come back.
    """
    fates = _fates(batch, outcomes, settings)
    onwards = fates["onwards"]
    handed = _send_onwards(context, onwards, settings)
    # Better a dead letter with a reason than one that SQS itself moves there without.
    unwilling = [record for record in onwards if record.id not in handed]
    dead = [(record, outcomes[record.id]) for record in [*fates["dead letter"], *unwilling]]
    refused = _send_dead_letters(context, dead, settings) if dead else []
    back = [*fates["back"], *refused]
    _queue(context, [record for record in back if not record.queue_url], settings)
    failures = [record for record in back if record.queue_url]
    if delayed := [record for record in fates["back"] if record.queue_url]:
        _delay(context, delayed, settings)
    done = Counter(outcomes[record.id]["outcome"] for record in fates["acknowledge"])
    done["handed_over"] += len(handed)
    return {
        "batchItemFailures": [{"itemIdentifier": record.id} for record in failures],
        "summary": _summary(done, len(dead) - len(refused), len(failures)),
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
    requeues = [
        Requeue.of(record, settings.retry_delay, handed_over=record.handed_over + 1)
        for record in records
    ]
    return requeued(requeue(context, requeues, settings, "onwards"))


def _queue(context: DurableContext, records: Sequence[Record], settings: Settings) -> None:
    """Give failed records that no queue holds to one, which delivers them again."""
    requeues = [Requeue.of(record, settings.retry_delay) for record in records]
    outcomes = requeue(context, requeues, settings, "queue")
    if lost := outcomes.keys() - requeued(outcomes):
        raise NotSettled(f"no queue accepted {', '.join(sorted(lost))}")


def _send_dead_letters(
    context: DurableContext, dead: Sequence[tuple[Record, Outcome]], settings: Settings
) -> list[Record]:
    """The records whose dead letter the queue has not accepted.

    A crash between the queue's acceptance and the checkpoint sends a letter twice, never not at
    all; both carry the same execution_id and original_message_id.
    """
    arn = context.execution_context.durable_execution_arn

    def send(_: StepContext) -> list[int]:
        return dead_letters.send(sqs(), settings, dead, execution_arn=arn, failed_at=utc_now())

    try:
        refused: list[int] = context.step(send, name="dead-letters", config=ONE_ATTEMPT)
    except StepError:
        refused = list(range(len(dead)))
    return [dead[index][0] for index in refused]


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
