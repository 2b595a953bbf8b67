"""A deployed stack without its functions, in moto, and the command line that finds it."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws
from moto.s3.models import s3_backends
from typer.testing import CliRunner

from pipeline_core.messages import ATTRIBUTE, record_id_in
from pipelinectl import dead_letters
from pipelinectl.audit import Audit
from pipelinectl.cli import app
from pipelinectl.commands.context import Pipeline
from tests.integration.conftest import ACCOUNT, REGION, with_tables_made_once
from tests.unit.pipelinectl.stories import Told

STACK_NAME = "test-stack"

TEMPLATE: dict[str, Any] = {
    "Parameters": {"Environment": {"Type": "String", "Default": "test"}},
    "Resources": {
        "Queue": {
            "Type": "AWS::SQS::Queue",
            "Properties": {
                "QueueName": "in",
                "RedrivePolicy": {
                    "deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]},
                    "maxReceiveCount": 3,
                },
            },
        },
        "Internal": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "internal"}},
        "Dead": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "dead"}},
        "Table": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "TableName": "processed",
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{"AttributeName": "execution_id", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "execution_id", "KeyType": "HASH"}],
            },
        },
        "Catalog": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "TableName": "catalog",
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{"AttributeName": "object", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "object", "KeyType": "HASH"}],
            },
        },
        "Input": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "test-input"}},
        "Payloads": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "test-payloads"}},
        "Audit": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/test/audit"}},
        "Output": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "test-output"}},
    },
    "Outputs": {
        "DataProcessingQueueUrl": {"Value": {"Ref": "Queue"}},
        "DeadLetterQueueUrl": {"Value": {"Ref": "Dead"}},
        "ProcessedDataTable": {"Value": {"Ref": "Table"}},
        "DurableFunctionArn": {
            "Value": "arn:aws:lambda:us-east-1:123456789012:function:test-durable-pipeline:live"
        },
        "ObjectsQueueUrl": {"Value": "https://sqs.us-east-1.amazonaws.com/123456789012/objects"},
        "InternalQueueUrl": {"Value": {"Ref": "Internal"}},
        "FilesQueueUrl": {"Value": "https://sqs.us-east-1.amazonaws.com/123456789012/files"},
        "ObjectCatalogTable": {"Value": {"Ref": "Catalog"}},
        "InputBucketName": {"Value": {"Ref": "Input"}},
        "PayloadBucketName": {"Value": {"Ref": "Payloads"}},
        "OutputBucketName": {"Value": {"Ref": "Output"}},
        "UploadsApiUrl": {"Value": "https://1a2b3c4d.execute-api.us-east-1.amazonaws.com"},
        "UploadsApiId": {"Value": "1a2b3c4d"},
        "AuditLogGroupName": {"Value": {"Ref": "Audit"}},
        "OperatorsTopicArn": {"Value": "arn:aws:sns:us-east-1:123456789012:operators"},
        "ProcessingEventsTopicArn": {"Value": "arn:aws:sns:us-east-1:123456789012:events"},
    },
}


@dataclass(frozen=True)
class Result:
    """What a call of the command line left behind."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.stdout)


@dataclass(frozen=True)
class Deployed:
    """The stack's resources, and `run` to call the command line on it."""

    sqs: Any
    s3: Any
    table: Any
    catalog: Any
    queue_url: str
    internal_queue_url: str
    dead_letter_queue_url: str

    def run(self, *arguments: str, stdin: str | bytes | None = None) -> Result:
        """Call `pipelinectl` with `arguments`."""
        result = CliRunner().invoke(app, ["--stack-name", STACK_NAME, *arguments], input=stdin)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Result(result.exit_code, result.stdout, result.stderr)

    @property
    def audit(self) -> Audit:
        """The audit lines."""
        return Audit(boto3.client("logs"), lambda: boto3.client("sts"), "/test/audit")

    @property
    def lines(self) -> list[Any]:
        """All audit lines, as they were written."""
        events = boto3.client("logs").filter_log_events(logGroupName="/test/audit")["events"]
        return [json.loads(event["message"]) for event in events]

    def bodies(self) -> list[str]:
        """The bodies of all messages in the queue of producers, taken out of it."""
        return [message["Body"] for message in self.queued()]

    def queued(self) -> list[Any]:
        """All messages in the queue of producers with their attributes, taken out of it."""
        return self._all(self.queue_url)

    def bodies_again(self) -> list[str]:
        """The bodies of all messages that were sent again, taken out of their queue."""
        return [message["Body"] for message in self.again()]

    def again(self) -> list[Any]:
        """All messages that were sent again, taken out of their queue."""
        assert self.queued() == []
        return self._all(self.internal_queue_url)

    def _all(self, url: str) -> list[Any]:
        found: list[Any] = []
        while messages := self.receive(url):
            found += messages
        return found

    def receive(self, url: str) -> list[Any]:
        """What is visible in a queue now, at most 10."""
        response = self.sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["MessageGroupId"],
        )
        messages: list[Any] = response.get("Messages", [])
        return messages


Maker = Callable[..., Any]


def once(make: Maker) -> Maker:
    """`make`, which makes a thing once for the same arguments in the same environment of AWS's."""
    made: dict[str, Any] = {}

    def get(*arguments: Any, **options: Any) -> Any:
        asked = {
            name: vars(option) if isinstance(option, Config) else option
            for name, option in options.items()
        }
        environment = {name: value for name, value in os.environ.items() if "AWS_" in name}
        key = repr((arguments, sorted(asked.items()), sorted(environment.items())))
        if key not in made:
            made[key] = make(*arguments, **options)
        return made[key]

    return get


@pytest.fixture(scope="session")
def sessions(one_loader: None) -> Maker:
    """Makes each session, and each of its clients, once: that takes as long as most tests do.

    They keep nothing of a test, as AWS does (moto), which is another one each time.
    """

    def make(*arguments: Any, **options: Any) -> boto3.Session:
        session = boto3.session.Session(*arguments, **options)
        resource = with_tables_made_once(session.resource)
        for name, maker in (("client", session.client), ("resource", resource)):
            setattr(session, name, once(maker))
        return session

    return once(make)


@pytest.fixture(scope="session")
def templates_are_json() -> Iterator[None]:
    """Moto reads templates as YAML, which takes longer than to make what is in this one."""
    with pytest.MonkeyPatch.context() as patch:
        # By its name, as its import takes time: of each process that collects these tests.
        parse = "moto.cloudformation.models.Stack.parse_template"
        patch.setattr(parse, staticmethod(json.loads))
        yield


@pytest.fixture
def aws(
    sessions: Maker, templates_are_json: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_LAMBDA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(dead_letters, "LONG_POLL_SECONDS", 0)
    monkeypatch.setattr("pipelinectl.local.client_environment_if_up", lambda _: None)
    monkeypatch.setattr(boto3, "Session", sessions)
    with mock_aws():
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
        yield


@pytest.fixture
def deployed(aws: None) -> Deployed:
    boto3.client("cloudformation").create_stack(
        StackName=STACK_NAME, TemplateBody=json.dumps(TEMPLATE)
    )
    # moto's CloudFormation passes over this property of a bucket.
    s3_backends[ACCOUNT]["aws"].put_bucket_versioning("test-input", "Enabled")
    return Deployed(
        sqs=boto3.client("sqs"),
        s3=boto3.client("s3"),
        table=boto3.resource("dynamodb").Table("processed"),
        catalog=boto3.resource("dynamodb").Table("catalog"),
        queue_url=queue_url("in"),
        internal_queue_url=queue_url("internal"),
        dead_letter_queue_url=queue_url("dead"),
    )


def queue_url(name: str) -> str:
    return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"


FIFO = {
    "FifoQueueUrl": "in.fifo",
    "FifoInternalQueueUrl": "internal.fifo",
    "FifoDeadLetterQueueUrl": "dead.fifo",
}
"""The outputs of the FIFO door, and the names of their queues."""


@dataclass(frozen=True)
class InOrder:
    """The URLs of the FIFO door's queues."""

    queue_url: str
    internal_queue_url: str
    dead_letter_queue_url: str


@pytest.fixture
def in_order(deployed: Deployed) -> InOrder:
    """The stack with the FIFO door."""
    queues = {
        output: {
            "Type": "AWS::SQS::Queue",
            "Properties": {
                "QueueName": name,
                "FifoQueue": True,
                "DeduplicationScope": "messageGroup",
                "FifoThroughputLimit": "perMessageGroupId",
            },
        }
        for output, name in FIFO.items()
    }
    outputs = {output: {"Value": {"Ref": output}} for output in FIFO}
    body = {
        **TEMPLATE,
        "Resources": TEMPLATE["Resources"] | queues,
        "Outputs": TEMPLATE["Outputs"] | outputs,
    }
    boto3.client("cloudformation").update_stack(StackName=STACK_NAME, TemplateBody=json.dumps(body))
    return InOrder(*map(queue_url, FIFO.values()))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """The executions that there are, in place of Lambda's; none at first."""
    found = Told([])
    monkeypatch.setattr(Pipeline, "executions", found)
    return found


@pytest.fixture
def at_work(deployed: Deployed) -> Iterator[None]:
    """Something that deals with each message that comes: rejects it if its body says so."""
    over = threading.Event()
    worker = threading.Thread(target=_work, args=(deployed, over))
    worker.start()
    yield
    over.set()
    worker.join()


def _work(deployed: Deployed, over: threading.Event) -> None:
    from tests.integration.pipelinectl.giving_up import give_up

    while not over.wait(0.05):
        for url in (deployed.queue_url, deployed.internal_queue_url):
            for message in deployed.receive(url):
                if "bad" in message["Body"]:
                    give_up(deployed, message["Body"], message_id=message["MessageId"])
                elif "lost" not in message["Body"]:
                    _store(deployed, message)


def _store(deployed: Deployed, message: Any) -> None:
    carried = json.loads(
        message.get("MessageAttributes", {}).get(ATTRIBUTE, {}).get("StringValue", "{}")
    )
    execution_id = (
        carried.get("execution_id")
        or record_id_in(message["Body"])
        or f"test-{message['MessageId']}"
    )
    item = {
        "execution_id": execution_id,
        "message_id": message["MessageId"],
        "sent_timestamp": carried.get("sent_timestamp", 1),
        "stored_at": datetime.now(UTC).isoformat(),
    }
    deployed.table.put_item(Item=item)
