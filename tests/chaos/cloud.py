"""The pipeline with faults in its stages on a local cloud, and what can be read there."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
from boto3.dynamodb.types import TypeDeserializer
from botocore.config import Config

from faults.deployed import Application, with_faults
from localcloud import supervisor
from localcloud.deploy import deploy
from localcloud.settings import Settings
from localcloud.supervisor import RUNNER
from tests.chaos.conservation import Found, Item, Letter

ROOT = Path(__file__).parents[2]
STACK = "chaos"
FUNCTIONS = {
    "validate": "ValidateFunction",
    "transform": "TransformFunction",
    "store": "StoreFunction",
}

# Half of ExecutionTimeout is for work. In it a poison record must be found among ten, with a new
# worker for each that dies, or its neighbours come back with it until they are dead letters too.
PARAMETERS = {
    "Environment": "chaos",
    "LogLevel": "WARNING",
    "ExecutionTimeout": "40",
    "VisibilityTimeout": "45",
    "StageTimeout": "5",
    "FilesTimeout": "20",
    "MaximumConcurrency": "4",
    "MaxReceiveCount": "4",
    "RetryDelay": "1",
    "MaxRetryDelay": "2",
}

# On its last delivery the durable function itself sends a record to the dead-letter queue. If that
# very execution never starts, because the gateway is being killed, SQS would move the message, and
# nobody could say why. So the queue grants more deliveries than the durable function counts to.
DELIVERIES = 60

_QUEUES = ("DataProcessingQueueUrl", "ObjectsQueueUrl", "InternalQueueUrl", "FilesQueueUrl")
_IN_ORDER = ("FifoQueueUrl", "FifoInternalQueueUrl")
_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
_deserialize = TypeDeserializer().deserialize


@dataclass(frozen=True)
class ChaosCloud:
    """The deployed pipeline."""

    settings: Settings
    outputs: Mapping[str, str]

    def client(self, service: str) -> Any:
        """A client for ministack that leaves it to its caller to retry."""
        environment = self.settings.client_environment()
        make: Any = boto3.client
        return make(
            service,
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            region_name=environment["AWS_REGION"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(
                connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}, proxies={}
            ),
        )

    def queued(self) -> int:
        """How many messages are queued, received or not; some are handed over."""
        names = (*_QUEUES, *(name for name in _IN_ORDER if name in self.outputs))
        return sum(self._queued(self.outputs[name]) for name in names)

    def _queued(self, url: str) -> int:
        attributes = self.client("sqs").get_queue_attributes(
            QueueUrl=url, AttributeNames=list(_COUNTS)
        )["Attributes"]
        return sum(int(attributes[name]) for name in _COUNTS)

    def executions(self) -> dict[str, int]:
        """How many executions there are, by status."""
        file = f"file:{self.settings.executions_file}?mode=ro"
        with contextlib.closing(sqlite3.connect(file, uri=True, timeout=30)) as connection:
            return dict(
                connection.execute("SELECT status, count(*) FROM executions GROUP BY status")
            )

    def handler_retries(self) -> int:
        """How often an invocation of the durable function failed and was repeated."""
        log = supervisor.logs_path(self.settings, RUNNER).read_text(errors="replace")
        return len(re.findall(r"\] Invocation (?:failed|timed out)", log))

    def wait_until_settled(self, seconds: float) -> bool:
        """Whether the queue is empty and no execution runs, within so many seconds."""
        deadline = time.monotonic() + seconds
        while self.queued() or self.executions().get("RUNNING"):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.5)
        return True

    def found(self) -> Found:
        """All items and dead letters; the latter are taken off their queue."""
        return Found(self._items(), self._letters(), self.queued())

    def _items(self) -> list[Item]:
        pages = self.client("dynamodb").get_paginator("scan")
        found = pages.paginate(TableName=self.outputs["ProcessedDataTable"], ConsistentRead=True)
        return [
            Item(
                execution_id=item["execution_id"]["S"],
                message_id=item["message_id"]["S"],
                document=self._document(item),
            )
            for page in found
            for item in page["Items"]
            if "object" not in item
        ]

    def _document(self, item: Any) -> str:
        if "original_data" in item:
            return canonical(_deserialize(item["original_data"]))
        pointer = _deserialize(item["original_data_pointer"])
        content = self.client("s3").get_object(Bucket=pointer["bucket"], Key=pointer["key"])
        return canonical(json.loads(content["Body"].read()))

    def objects(self) -> dict[str, Any]:
        """The transformed data of the items that are of objects, by the object's key."""
        pages = self.client("dynamodb").get_paginator("scan")
        found = pages.paginate(TableName=self.outputs["ProcessedDataTable"], ConsistentRead=True)
        items = [item for page in found for item in page["Items"] if "object" in item]
        assert len({item["object"]["S"] for item in items}) == len(items)
        return {
            item["object"]["S"].partition("/")[2]: _deserialize(item["transformed_data"])
            for item in items
        }

    def _letters(self) -> list[Letter]:
        sqs, url = self.client("sqs"), self.outputs["DeadLetterQueueUrl"]
        letters: list[Letter] = []
        while messages := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in messages:
                letters.append(_letter(message))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return letters


def deployed(settings: Settings, directory: Path, **more: str) -> ChaosCloud:
    """The pipeline, deployed with faults in its stages from a copy in ``directory``.

    ``more`` are parameters.
    """
    template = with_faults(Application(ROOT / "template.yaml"), FUNCTIONS, directory)
    document = json.loads(template.read_text())
    for name in (output.removesuffix("Url") for output in (*_QUEUES, *_IN_ORDER)):
        queue = document["Resources"][name]["Properties"]
        queue["RedrivePolicy"]["maxReceiveCount"] = DELIVERIES
    template.write_text(json.dumps(document))
    outputs = deploy(settings, template=template, stack_name=STACK, parameters=PARAMETERS | more)
    return ChaosCloud(settings, outputs)


def canonical(document: Any) -> str:
    """A JSON document as text that is the same for equal ones; all its numbers are whole."""
    return json.dumps(document, sort_keys=True, default=_whole)


def _whole(number: Decimal) -> int:
    return int(number)


def _letter(message: Mapping[str, Any]) -> Letter:
    attributes = message.get("MessageAttributes", {})
    return Letter(
        message_id=message["MessageId"],
        body=message["Body"],
        attributes={name: value["StringValue"] for name, value in attributes.items()},
    )
