"""Entry point of cleanup: takes away what was made of objects that were removed."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from cleanup.cleaner import Cleaner, Items, Objects, Queue, Results, TimeUsedUp
from pipeline_core import events, exact_json, objects
from pipeline_core.catalog import Catalog
from pipeline_core.clients import client
from pipeline_core.contract import utc_now
from pipeline_core.settings import read_settings
from pipeline_core.sqs_consumer import RETRIES, consume

logger = Logger(use_rfc3339=True)  # or Lambda misjudges its level


@dataclass(frozen=True)
class Settings:
    """Name of this deployment, and of the tables, bucket and queue that it works on."""

    environment: str
    object_catalog_table: str
    processed_data_table: str
    output_bucket: str
    internal_queue_url: str
    cleanup_queue_url: str


# The objects as they are now, and the queue that has them processed.


@cache
def cleaner() -> Cleaner:
    """The cleaner, once per execution environment: its clients keep connections open."""
    settings = read_settings(Settings, os.environ)
    dynamodb = client("dynamodb", config=RETRIES)
    s3 = client("s3", config=RETRIES)
    return Cleaner(
        objects=Objects(s3),
        catalog=Catalog(dynamodb, settings.object_catalog_table),
        items=Items(dynamodb, settings.processed_data_table, settings.environment),
        results=Results(s3, settings.output_bucket),
        queue=Queue(client("sqs", config=RETRIES), settings.internal_queue_url),
    )


SECONDS_FOR_REST = 20
"""Rows' items are removed until so many are left, which are for the other messages of the batch."""


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Clean up after a batch of removals and of processed states; answers what failed.

    What there is no time for is left to another invocation, by the same message again.
    """

    def has_time() -> bool:
        return context.get_remaining_time_in_millis() > SECONDS_FOR_REST * 1000

    def take(body: str) -> None:
        try:
            clean_up(body, replace(cleaner(), has_time=has_time), utc_now())
        except TimeUsedUp:
            _go_on(body)

    return consume(event, context, take, logger)


def _go_on(body: str) -> None:
    """Have the rest cleaned up by another invocation: to fail would count as a delivery."""
    url = read_settings(Settings, os.environ).cleanup_queue_url
    client("sqs", config=RETRIES).send_message(QueueUrl=url, MessageBody=body)
    logger.info("there is more to clean up than time: sent again")


def clean_up(body: str, cleaner: Cleaner, now: str) -> None:
    """Do what the events in a message's body ask for.

    Raises:
        ValueError: it is neither a removal that S3 tells of nor a processing event.
        NotDeleted, ClientError, TimeUsedUp: not all is done; the message has to come again.
    """
    document = exact_json.loads(body)
    if events.is_processing_event(document):
        event = events.read(document)
        if event["event"] != "processing":
            cleaner.finished(event, now)
        logger.info("cleaned up", extra=events.identity(event))
        return
    for removal in objects.read_events(document):
        if not removal.is_removal:
            raise ValueError(
                f"the event is {removal.name[:50]!r}; only ObjectRemoved belongs in this queue: "
                "correct the bucket's notification"
            )
        cleaner.removed(removal, now)
        logger.info("cleaned up", extra={"event": removal.name, "object": removal.state})
