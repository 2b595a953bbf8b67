"""Dead letters, as the pipeline's own code makes them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from durable_pipeline.dead_letters import attributes
from durable_pipeline.intake import read
from durable_pipeline.records import Outcome
from pipeline_core import messages
from pipeline_core.messages import in_group
from tests.events import sqs_event, sqs_message
from tests.integration.pipelinectl.conftest import Deployed
from tests.unit.durable_pipeline.settings import SETTINGS as ANY_SETTINGS

SETTINGS = replace(ANY_SETTINGS, environment="test")
ARN = "uuid/uuid"
ERRORS = ("quantity: -1 is less than 1", "sku is missing")
FIRST_SENT = 1_772_354_400_000  # the time of tests.events


def known_of(message: Mapping[str, Any]) -> Any:
    """What a message that was sent again says of its record."""
    ((name, value),) = message["MessageAttributes"].items()
    assert name == messages.ATTRIBUTE
    return json.loads(value["StringValue"])


def give_up(
    deployed: Deployed,
    body: str = "{}",
    *,
    message_id: str = "m-1",
    stage: str = "validate",
    error_type: str = "ValidationError",
    producers: Mapping[str, Any] | None = None,
    group: str = "",
) -> str:
    """Send a dead letter of the message that had these; `producers` in Lambda's form; its id."""
    event = sqs_event(sqs_message(body, message_id, attributes=producers))
    (record,) = read(event, SETTINGS).all_records
    outcome: Outcome = {
        "outcome": "rejected",
        "stage": stage,
        "reason": {"type": error_type, "message": "; ".join(ERRORS), "errors": list(ERRORS)},
    }
    why = attributes(record, outcome, ARN, "2026-01-01T00:00:00Z")
    return _send(deployed, body, why, group)


def move(deployed: Deployed, body: str = "{}", **producers: Any) -> str:
    """Send what is in the dead-letter queue after SQS's own redrive policy moved a message."""
    return _send(deployed, body, producers)


def move_in_group(deployed: Deployed, group: str) -> str:
    """The same of a message in a group."""
    return _send(deployed, "{}", {}, group)


def give_up_event(deployed: Deployed, body: str, message: str = "broken") -> str:
    """Send what Lambda sends of an event whose execution failed with `message`; its id."""
    lambdas = {
        "RequestID": {"DataType": "String", "StringValue": "req-1"},
        "ErrorCode": {"DataType": "Number", "StringValue": "200"},
        "ErrorMessage": {"DataType": "String", "StringValue": message},
    }
    return _send(deployed, body, lambdas)


def _send(
    deployed: Deployed, body: str, with_attributes: Mapping[str, Any], group: str = ""
) -> str:
    message = {"MessageBody": body, "MessageAttributes": with_attributes}
    sent = deployed.sqs.send_message(
        QueueUrl=deployed.dead_letter_queue_url, **in_group(message, group)
    )
    message_id: str = sent["MessageId"]
    return message_id
