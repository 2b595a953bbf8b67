"""A plain function: each record of a batch goes through the three stages in one process.

Nothing is checkpointed. Powertools says of each record whether it is to come again.
"""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from effects import note
from stages import store, transform, validate

processor = BatchProcessor(event_type=EventType.SQS)


def handler(event: dict[str, Any], context: Any) -> Any:
    """Process one batch of messages; answers the partial batch response."""
    note("invoke", "-")
    for record in event["Records"]:
        note("take", record["messageId"])
    return process_partial_response(
        event=event, record_handler=process, processor=processor, context=context
    )


def process(record: SQSRecord) -> None:
    """Validate, transform and store one record."""
    message = {"message_id": record.message_id, "body": record.body}
    store(transform(validate(message, None), None), None)
