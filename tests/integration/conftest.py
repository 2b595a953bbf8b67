"""The pipeline in one process: AWS's durable test runner around our handlers, moto beneath them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from aws_durable_execution_sdk_python_testing.executor import Executor
from aws_durable_execution_sdk_python_testing.runner import (
    DurableFunctionTestResult,
    DurableFunctionTestRunner,
)
from moto import mock_aws

import durable_pipeline.handler
import durable_pipeline.settle
import store.handler
import transform.handler
import validate.handler

REGION = "us-east-1"
STAGES: dict[str, Callable[..., Any]] = {
    "validate": validate.handler.handler,
    "transform": transform.handler.handler,
    "store": store.handler.handler,
}

Stage = Callable[[Any, Any], Any]
Fault = Callable[[int, Any, Any, Stage], Any]
"""From the number of the call (1, 2, ...), event, context and the real stage to an answer."""


@dataclass
class Pipeline:
    """The durable function with its stages, queues and table. Faults are put before the stages."""

    queue_url: str
    dead_letter_queue_url: str
    table: Any
    sqs: Any
    calls: list[tuple[str, int]] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)
    handler: Stage = durable_pipeline.handler.handler
    invocations: int = 0

    def run(self, event: Any) -> DurableFunctionTestResult:
        """Run one durable execution to its end."""
        with DurableFunctionTestRunner(
            handler=self._invoke, region=REGION, poll_interval=0.01
        ) as runner:
            for name in STAGES:
                runner.register_function(name, self._stage(name))
            result: DurableFunctionTestResult = runner.run(
                input=json.dumps(event), execution_timeout=60
            )
        runner._scheduler._loop.close()  # the runner leaves it open, which is a warning
        return result

    def process(self, event: Any) -> dict[str, Any]:
        """Run one durable execution that succeeds; its result."""
        result = self.run(event)
        assert result.status.value == "SUCCEEDED", result.error
        answer: dict[str, Any] = json.loads(str(result.result))
        return answer

    def _invoke(self, event: Any, context: Any) -> Any:
        self.invocations += 1
        return self.handler(event, context)

    def _stage(self, name: str) -> Stage:
        real = STAGES[name]

        def stage(event: Any, context: Any) -> Any:
            self.calls.append((name, len(event["records"])))
            number = sum(called == name for called, _ in self.calls)
            fault = self.faults.get(name)
            return fault(number, event, context, real) if fault else real(event, context)

        return stage

    @property
    def calls_by_stage(self) -> Counter[str]:
        """How often each stage was called."""
        return Counter(name for name, _ in self.calls)

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
        durable_pipeline.settle.sqs.cache_clear()
        store.handler.table.cache_clear()
        yield
    durable_pipeline.settle.sqs.cache_clear()
    store.handler.table.cache_clear()


@pytest.fixture
def pipeline(aws: None, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """A pipeline with an empty table and empty queues."""
    monkeypatch.setattr(Executor, "RETRY_BACKOFF_SECONDS", 0)  # 5 real seconds otherwise
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
    return Pipeline(queue_url, dead_letter_queue_url, table, sqs)
