"""The catalog function: enters each object that S3 tells of as received."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from pipeline_core import objects
from pipeline_core.catalog import Catalog, entry_of
from pipeline_core.clients import client
from pipeline_core.contract import utc_now
from pipeline_core.objects import S3Event
from pipeline_core.settings import read_settings
from pipeline_core.sqs_consumer import RETRIES, consume

logger = Logger(use_rfc3339=True)  # or Lambda misjudges its level


@dataclass(frozen=True)
class Settings:
    """Name of the catalog's table."""

    object_catalog_table: str


def enter(body: str, catalog: Catalog, now: str) -> int:
    """Enter the objects that an S3 notification tells of; how many were new to the catalog.

    Raises:
        ValueError: it is no notification of created objects; says what is wrong.
    """
    return sum(_enter(event, catalog, now) for event in objects.parse_events(body))


def _enter(event: S3Event, catalog: Catalog, now: str) -> bool:
    if not event.is_creation:
        raise ValueError(
            f"the event is {event.name[:50]!r}; only ObjectCreated belongs in this queue: "
            "correct the bucket's notification"
        )
    at = event.time or now
    new = catalog.write(entry_of(event.state, "received", at, received_at=at))
    logger.info("entered", extra={"object": event.state, "new": new})
    return new


@cache
def object_catalog() -> Catalog:
    """The catalog, once per execution environment: its client keeps connections open."""
    settings = read_settings(Settings, os.environ)
    return Catalog(client("dynamodb", config=RETRIES), settings.object_catalog_table)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Enter the objects of a batch of notifications; answers the messages that failed."""
    return consume(event, context, _take, logger)


def _take(body: str) -> None:
    enter(body, object_catalog(), utc_now())
