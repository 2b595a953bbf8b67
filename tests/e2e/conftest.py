"""The real template on a local cloud, driven by stock clients.

Tests that share a cloud run one after another, beside those that share another (`tests.groups`).
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localcloud.deploy import deploy
from localcloud.settings import Settings, free_settings
from tests.e2e.building import building_once
from tests.e2e.localcloud.support import SECONDS, Cloud, running, wait_for

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
STACK = "durable-pipeline"

# Short, so that a message whose execution was lost, or that failed, comes back while a test is
# waiting for it.
# Ranges are small, and few an execution, so that small files show what happens to large ones.
# Few batches at once: more only start more processes, on two processors.
# Operators are named, so that others are refused: the tests' own clients are the account's root.
# So is a page that may upload. What is off by default and changes nothing else is on.
ACCOUNT = "arn:aws:iam::000000000000"
OPERATOR = "operator"
VERIFIER = "verifier"
PAGE = "https://page.example"
PARAMETERS = {
    "UploadsAllowedOrigins": PAGE,
    "OperatorRoleArns": f"{ACCOUNT}:root,{ACCOUNT}:role/{OPERATOR},{ACCOUNT}:role/{VERIFIER}",
    "Environment": "test",
    "FifoDoor": "true",
    "MaximumConcurrency": "3",
    "ExecutionTimeout": "60",
    "VisibilityTimeout": "75",
    "RetryDelay": "1",
    "MaxRetryDelay": "2",
    "StageTimeout": "20",
    "FilesTimeout": "15",
    "RangeSize": "65536",
    "RangesPerExecution": "4",
    "RangeConcurrency": "2",
}

PATIENCE = SECONDS

READ = ("DataProcessingQueueUrl", "ObjectsQueueUrl", "InternalQueueUrl", "FilesQueueUrl")
"""The outputs that are queues which the durable function reads."""


@dataclass(frozen=True)
class Stack:
    """The pipeline, deployed, and what a test asks of it."""

    cloud: Cloud
    outputs: Mapping[str, str]

    def client(self, service: str, session: Mapping[str, str] | None = None) -> Any:
        """A stock boto3 client, with the credentials of a ``session`` of STS if there is one."""
        return self.cloud.client(service, session)

    def cli(self, *arguments: str) -> Any:
        """What the stock AWS CLI answers."""
        environment = {**os.environ, **self.cloud.settings.client_environment()}
        run = subprocess.run(
            [BIN / "aws", *arguments, "--output", "json"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        return json.loads(run.stdout) if run.stdout else None

    def send(self, bodies: Sequence[str]) -> list[str]:
        """Send each body as a message; their message ids."""
        ids: list[str] = []
        for start in range(0, len(bodies), 10):
            entries = [
                {"Id": str(index), "MessageBody": body}
                for index, body in enumerate(bodies[start : start + 10])
            ]
            sent = self.client("sqs").send_message_batch(
                QueueUrl=self.outputs["DataProcessingQueueUrl"], Entries=entries
            )
            ids += [entry["MessageId"] for entry in sent["Successful"]]
        return ids

    def items(self) -> dict[str, Any]:
        """All items by their execution_id, in DynamoDB's wire form."""
        pages = self.client("dynamodb").get_paginator("scan")
        found = pages.paginate(TableName=self.outputs["ProcessedDataTable"], ConsistentRead=True)
        return {i["execution_id"]["S"]: i for page in found for i in page["Items"]}

    def stored(self, ids: Sequence[str]) -> dict[str, Any]:
        """The items of the messages ``ids``, by message id."""
        items = self.items().values()
        return {i["message_id"]["S"]: i for i in items if i["message_id"]["S"] in set(ids)}

    def wait_for_items(self, ids: Sequence[str], seconds: float = PATIENCE) -> dict[str, Any]:
        """Wait until every message of ``ids`` is an item."""

        def all_stored() -> dict[str, Any] | None:
            stored = self.stored(ids)
            return stored if len(stored) == len(set(ids)) else None

        return wait_for(all_stored, seconds)

    def take_dead_letters(self) -> list[dict[str, Any]]:
        """Take all dead letters off their queue."""
        return take_all(self.client("sqs"), self.outputs["DeadLetterQueueUrl"])

    def history(self, arn: str) -> list[Any]:
        """The events of an execution's history."""
        return self.cloud.history(arn)

    def in_flight(self) -> int:
        """How many messages are in the queues that the durable function reads, received or not."""
        return sum(self._in_queue(self.outputs[name]) for name in READ)

    def under_way(self) -> bool:
        """Whether an execution of the durable function runs."""
        found = self.client("lambda").list_durable_executions_by_function(
            FunctionName=self.outputs["DurableFunctionArn"].rpartition(":")[0],
            Statuses=["RUNNING"],
            MaxItems=1,
        )
        return bool(found["DurableExecutions"])

    def _in_queue(self, url: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
        return sum(int(attributes["Attributes"][name]) for name in names)


def take_all(sqs: Any, queue_url: str) -> list[dict[str, Any]]:
    """Take all messages off a queue."""
    taken: list[dict[str, Any]] = []
    while messages := sqs.receive_message(
        QueueUrl=queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    ).get("Messages"):
        taken += messages
        for message in messages:
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    return taken


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for what this run of tests builds, whichever of its processes does."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "built"


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory, built: Path) -> Iterator[Settings]:
    """A running local cloud."""
    settings = free_settings(tmp_path_factory.mktemp("pipeline-cloud"))
    with running(settings):
        yield dataclasses.replace(settings, sam_command=building_once(settings.sam_command, built))


@pytest.fixture(scope="session")
def stack(settings: Settings) -> Stack:
    """The pipeline as it is, deployed."""
    return deployed(settings, ROOT / "template.yaml", STACK)


def deployed(settings: Settings, template: Path, name: str) -> Stack:
    """``template``, deployed under ``name``."""
    outputs = deploy(settings, template=template, stack_name=name, parameters=PARAMETERS)
    return Stack(Cloud(settings, outputs), outputs)
