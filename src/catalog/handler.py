"""Entry point of the catalog function."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from catalog.received import enter
from catalog.settings import Settings
from shared.contracts import utc_now
from shared.object_catalog import Catalog

logger = Logger()


@cache
def object_catalog() -> Catalog:
    """The catalog, once per execution environment: its client keeps connections open."""
    config = Config(retries={"mode": "standard", "total_max_attempts": 5})
    settings = Settings.from_environment(os.environ)
    return Catalog(boto3.client("dynamodb", config=config), settings.catalog_table_name)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Enter the objects of a batch of notifications; answers the messages that failed."""
    processor = BatchProcessor(
        EventType.SQS,
        raise_on_entire_batch_failure=False,
        logger=logger,  # type: ignore[arg-type]  # it has the methods of the standard one
    )
    return process_partial_response(event, _take, processor, context)


def _take(record: SQSRecord) -> None:
    logger.append_keys(message_id=record.message_id)
    enter(record.body, object_catalog(), utc_now())
