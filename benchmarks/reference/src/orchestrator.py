"""The published per-record pattern: each record of a batch goes through three stages, in turn."""

from __future__ import annotations

import os
from typing import Any

from aws_durable_execution_sdk_python import DurableContext, InvokeError, durable_execution


@durable_execution
def handler(event: dict[str, Any], context: DurableContext) -> dict[str, Any]:
    """Process one batch of messages; answers the partial batch response."""
    failures = []
    for message in event["Records"]:
        try:
            process(context, {"message_id": message["messageId"], "body": message["body"]})
        except InvokeError:
            failures.append({"itemIdentifier": message["messageId"]})
    return {"batchItemFailures": failures}


def process(context: DurableContext, record: dict[str, Any]) -> None:
    """Validate, transform and store one record; each stage gets what the one before answered."""
    validated: Any = context.invoke(os.environ["VALIDATE"], record, name="validate")
    transformed: Any = context.invoke(os.environ["TRANSFORM"], validated, name="transform")
    context.invoke(os.environ["STORE"], transformed, name="store")
