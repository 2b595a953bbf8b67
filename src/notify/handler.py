"""Entry point of the notify function."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from notify.news import take
from notify.operators import Operators
from notify.settings import Settings
from shared import processing_events
from shared.object_catalog import Catalog
from shared.sqs_consumer import RETRIES, consume

logger = Logger(use_rfc3339=True)  # or Lambda misjudges its level


@cache
def settings() -> Settings:
    """The settings, once per execution environment."""
    return Settings.from_environment(os.environ)


@cache
def object_catalog() -> Catalog:
    """The catalog, once per execution environment: its client keeps connections open."""
    return Catalog(boto3.client("dynamodb", config=RETRIES), settings().catalog_table_name)


@cache
def operators() -> Operators:
    """The operators' topic, once per execution environment."""
    client = boto3.client("sns", config=RETRIES)
    return Operators(client, settings().operators_topic_arn, settings().environment)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Take a batch of processing events; answers the messages that failed."""
    return consume(event, context, _take, logger)


def _take(body: str) -> None:
    event = processing_events.parse(body)
    news = take(event, object_catalog(), operators())
    logger.info("taken", extra={**processing_events.identity(event), "news": news})
