"""The pipeline in one process: AWS's durable test runner around our handlers, moto beneath them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

import durable_pipeline.clients
import durable_pipeline.handler
import shared.payloads
import store.handler
import transform.handler
import validate.handler
from faults.harness import Harness

REGION = "us-east-1"
STAGES: dict[str, Callable[..., Any]] = {
    "validate": validate.handler.handler,
    "transform": transform.handler.handler,
    "store": store.handler.handler,
}


class Pipeline(Harness):
    """The durable function with its stages, queues and table."""

    def __init__(self, sqs: Any, queue_url: str, dead_letter_queue_url: str, table: Any) -> None:
        super().__init__(durable_pipeline.handler.handler, STAGES, region=REGION)
        self.queue_url = queue_url
        self.dead_letter_queue_url = dead_letter_queue_url
        self.sqs = sqs
        self.table = table

    @property
    def items(self) -> dict[str, Any]:
        """The table's items, by execution_id."""
        return {item["execution_id"]: item for item in self.table.scan()["Items"]}

    @property
    def dead_letters(self) -> list[dict[str, Any]]:
        """The dead letters, with their message attributes as plain text."""
        letters: list[dict[str, Any]] = []
        while True:
            response = self.sqs.receive_message(
                QueueUrl=self.dead_letter_queue_url,
                MaxNumberOfMessages=10,
                MessageAttributeNames=["All"],
            )
            if not response.get("Messages"):
                return letters
            for message in response["Messages"]:
                values = message.get("MessageAttributes", {}).items()
                attributes = {name: value["StringValue"] for name, value in values}
                letters.append({"body": message["Body"], **attributes})


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """AWS by moto, with fresh clients."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_LAMBDA", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        _forget_clients()
        yield
    _forget_clients()


def _forget_clients() -> None:
    for client in (
        durable_pipeline.clients.dynamodb,
        durable_pipeline.clients.sns,
        durable_pipeline.clients.sqs,
        shared.payloads.s3,
        store.handler.table,
    ):
        client.cache_clear()


@pytest.fixture
def pipeline(aws: None, no_retry_backoff: None, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """A pipeline with an empty table and empty queues."""
    sqs = boto3.client("sqs")
    queue_url = sqs.create_queue(QueueName="queue")["QueueUrl"]
    dead_letter_queue_url = sqs.create_queue(QueueName="dead-letters")["QueueUrl"]
    table = boto3.resource("dynamodb").create_table(
        TableName="table",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "execution_id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "execution_id", "KeyType": "HASH"}],
    )
    for name, value in {
        "ENVIRONMENT": "test",
        "PROCESSED_DATA_TABLE": "table",
        "VALIDATION_FUNCTION_ARN": "validate",
        "TRANSFORMATION_FUNCTION_ARN": "transform",
        "STORAGE_FUNCTION_ARN": "store",
        "DATA_PROCESSING_QUEUE_URL": queue_url,
        "DEAD_LETTER_QUEUE_URL": dead_letter_queue_url,
        "MAX_RECEIVE_COUNT": "3",
        "EXECUTION_TIMEOUT": "900",
        "STAGE_TIMEOUT": "60",
        "RETRY_DELAY": "5",
        "MAX_RETRY_DELAY": "300",
    }.items():
        monkeypatch.setenv(name, value)
    return Pipeline(sqs, queue_url, dead_letter_queue_url, table)
