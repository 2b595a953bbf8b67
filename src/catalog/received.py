"""Enters objects as received."""

from __future__ import annotations

from aws_lambda_powertools import Logger

from shared import s3_events
from shared.object_catalog import Catalog, entry_of
from shared.s3_events import S3Event

logger = Logger(child=True)


def enter(body: str, catalog: Catalog, now: str) -> int:
    """Enter the objects that an S3 notification tells of; how many were new to the catalog.

    Raises:
        ValueError: it is no notification of created objects; says what is wrong.
    """
    return sum(_enter(event, catalog, now) for event in s3_events.parse(body))


def _enter(event: S3Event, catalog: Catalog, now: str) -> bool:
    if not event.is_creation:
        raise ValueError(
            f"the event is {event.name[:50]!r}; only ObjectCreated belongs into this queue: "
            "mend the bucket's notification"
        )
    at = event.time or now
    new = catalog.write(entry_of(event.state, "received", at, received_at=at))
    logger.info("entered", extra={"object": event.state, "new": new})
    return new
