"""Entry point of notify: keeps the catalog up to date, and decides what is news."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from notify.operators import Operators
from pipeline_core import events
from pipeline_core.catalog import Catalog, CatalogEntry, Details, State, entry_of, supersedes
from pipeline_core.clients import client
from pipeline_core.events import EventName, ProcessingEvent
from pipeline_core.objects import ObjectId
from pipeline_core.settings import read_settings
from pipeline_core.sqs_consumer import RETRIES, consume

logger = Logger(use_rfc3339=True)  # or Lambda misjudges its level


@dataclass(frozen=True)
class Settings:
    """Name of this deployment, of the catalog's table, and the operators' topic."""

    environment: str
    object_catalog_table: str
    operators_topic_arn: str


# Takes a processing event into the catalog, and tells the operators if it is news.

STATES: dict[EventName, State] = {
    "processing": "processing",
    "done": "done",
    "rejected": "failed",
    "failed": "failed",
}
"""What an event makes of its object's entry; a superseded one has an entry of a later state."""

TOLD: frozenset[EventName] = frozenset({"done", "rejected", "failed"})


def take(event: ProcessingEvent, catalog: Catalog, operators: Operators) -> bool:
    """Enter ``event`` and tell of it; whether it was news.

    The operators are told before the catalog is written: if either fails the event comes again and
    is still news. So they are told at least once of whatever the catalog takes, a second time only
    if this function dies or is refused between the two, or has the same event twice at once.
    """
    if (entry := entry_for(event)) is None:
        return False
    if event["event"] in TOLD:
        if not supersedes(entry, catalog.get(ObjectId.of(event["object"]))):
            return False
        operators.tell(event)
    return catalog.write(entry)


def entry_for(event: ProcessingEvent) -> CatalogEntry | None:
    """What the catalog should hold after ``event``; None if it tells the catalog nothing."""
    if (state := STATES.get(event["event"])) is None:
        return None
    details: Details = {"execution_id": event["execution_id"]}
    if "counts" in event:
        details["counts"] = event["counts"]
    if "manifest" in event:
        details["manifest"] = event["manifest"]
    if "reason" in event:
        details["reason"] = event["reason"]
    return entry_of(event["object"], state, event["at"], **details)


@cache
def settings() -> Settings:
    """The settings, once per execution environment."""
    return read_settings(Settings, os.environ)


@cache
def object_catalog() -> Catalog:
    """The catalog, once per execution environment: its client keeps connections open."""
    return Catalog(client("dynamodb", config=RETRIES), settings().object_catalog_table)


@cache
def operators() -> Operators:
    """The operators' topic, once per execution environment."""
    sns = client("sns", config=RETRIES)
    return Operators(sns, settings().operators_topic_arn, settings().environment)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Take a batch of processing events; answers the messages that failed."""
    return consume(event, context, _take, logger)


def _take(body: str) -> None:
    event = events.parse(body)
    news = take(event, object_catalog(), operators())
    logger.info("taken", extra={**events.identity(event), "news": news})
