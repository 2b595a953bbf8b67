"""What functions behind a queue of their own share: each message succeeds or fails by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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

RETRIES = Config(retries={"mode": "standard", "total_max_attempts": 5})
"""Of such a function's clients; what fails after these comes again with its message."""


def consume(
    event: dict[str, Any], context: LambdaContext, take: Callable[[str], None], logger: Logger
) -> PartialItemFailureResponse:
    """Have ``take`` take the body of each message; answers those of which it raised an error."""

    def take_record(record: SQSRecord) -> None:
        logger.append_keys(message_id=record.message_id)
        take(record.body)

    processor = BatchProcessor(
        EventType.SQS,
        raise_on_entire_batch_failure=False,
        logger=logger,  # type: ignore[arg-type]  # it has the methods of the standard one
    )
    return process_partial_response(event, take_record, processor, context)
