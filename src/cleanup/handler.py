"""Entry point of the cleanup function."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from cleanup.cleaner import Cleaner
from cleanup.input import Objects, Queue
from cleanup.items import Items
from cleanup.results import Results
from cleanup.settings import Settings
from shared import exact_json, processing_events, s3_events
from shared.contracts import utc_now
from shared.object_catalog import Catalog
from shared.sqs_consumer import RETRIES, consume

logger = Logger(use_rfc3339=True)  # or Lambda misjudges its level


@cache
def cleaner() -> Cleaner:
    """The cleaner, once per execution environment: its clients keep connections open."""
    settings = Settings.from_environment(os.environ)
    dynamodb = boto3.client("dynamodb", config=RETRIES)
    s3 = boto3.client("s3", config=RETRIES)
    return Cleaner(
        objects=Objects(s3),
        catalog=Catalog(dynamodb, settings.catalog_table_name),
        items=Items(dynamodb, settings.items_table_name, settings.environment),
        results=Results(s3, settings.output_bucket),
        queue=Queue(boto3.client("sqs", config=RETRIES), settings.queue_url),
    )


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Clean up after a batch of removals and of processed states; answers what failed."""
    return consume(event, context, _take, logger)


def _take(body: str) -> None:
    clean_up(body, cleaner(), utc_now())


def clean_up(body: str, cleaner: Cleaner, now: str) -> None:
    """Do what the events in a message's body ask for.

    Raises:
        ValueError: it is neither a removal that S3 tells of nor a processing event.
        NotDeleted, ClientError: not all is done; the message has to come again.
    """
    document = exact_json.loads(body)
    if processing_events.is_processing_event(document):
        event = processing_events.read(document)
        if event["event"] != "processing":
            cleaner.finished(event, now)
        logger.info("cleaned up", extra=processing_events.identity(event))
        return
    for removal in s3_events.read(document):
        if not removal.is_removal:
            raise ValueError(
                f"the event is {removal.name[:50]!r}; only ObjectRemoved belongs into this queue: "
                "mend the bucket's notification"
            )
        cleaner.removed(removal, now)
        logger.info("cleaned up", extra={"event": removal.name, "object": removal.state})
