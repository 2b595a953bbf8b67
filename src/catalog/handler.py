"""Entry point of the catalog function."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from catalog.received import enter
from catalog.settings import Settings
from shared.contracts import utc_now
from shared.object_catalog import Catalog
from shared.sqs_consumer import RETRIES, consume

logger = Logger(use_rfc3339=True)  # or Lambda misjudges its level


@cache
def object_catalog() -> Catalog:
    """The catalog, once per execution environment: its client keeps connections open."""
    settings = Settings.from_environment(os.environ)
    return Catalog(boto3.client("dynamodb", config=RETRIES), settings.catalog_table_name)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Enter the objects of a batch of notifications; answers the messages that failed."""
    return consume(event, context, _take, logger)


def _take(body: str) -> None:
    enter(body, object_catalog(), utc_now())
