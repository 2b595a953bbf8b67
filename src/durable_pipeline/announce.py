"""Tells the topic of processing events what became of objects. Messages are not announced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aws_durable_execution_sdk_python import DurableContext, StepContext, StepError
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from durable_pipeline.clients import ONE_ATTEMPT, sns
from durable_pipeline.records import Batch, Outcome, Outcomes, Record, given_up
from durable_pipeline.settings import Settings
from shared.batching import batches
from shared.contracts import utc_now
from shared.processing_events import EventName, ProcessingEvent, dump, message_attributes

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

logger = Logger(child=True)

MAX_ENTRIES = 10
MAX_BYTES = 256 * 1024
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
            for batch in batches(entries, _size, max_bytes=MAX_BYTES, max_entries=MAX_ENTRIES)
            for done in _publish_batch(sns(), settings.events_topic_arn, batch)
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
