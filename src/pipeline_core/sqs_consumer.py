"""What functions behind a queue of their own share: each message succeeds or fails by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from aws_lambda_powertools import Logger
from botocore.config import Config

RETRIES = Config(retries={"mode": "standard", "total_max_attempts": 5})
"""Of such a function's clients; what fails after these comes again with its message."""


class Failure(TypedDict):
    """A message that SQS is to deliver again, by its messageId."""

    itemIdentifier: str


class Failures(TypedDict):
    """What Lambda's mapping is answered of a batch: it deletes all other messages.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """

    batchItemFailures: list[Failure]


def consume(event: Mapping[str, Any], take: Callable[[str], None], logger: Logger) -> Failures:
    """Have ``take`` take the body of each message; answers those of which it raised an error.

    Powertools' batch processing does the same, and loads its classes for every kind of event there
    is, which takes an eighth of the time of these functions' imports.
    """
    failed = [message for message in event["Records"] if not _taken(message, take, logger)]
    return {"batchItemFailures": [{"itemIdentifier": each["messageId"]} for each in failed]}


def _taken(message: Mapping[str, Any], take: Callable[[str], None], logger: Logger) -> bool:
    logger.append_keys(message_id=message["messageId"])
    try:
        take(message["body"])
    except Exception:  # whatever it is, it is of this message, which comes again and is logged
        logger.warning("message failed; it comes again", exc_info=True)
        return False
    return True
