"""The pipeline in one process: AWS's durable test runner around our handlers, moto beneath them.

All of it is held to AWS's quotas, also where moto is laxer (see `tests.moto_quotas`).
"""

from __future__ import annotations

import functools
import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import aws_durable_execution_sdk_python.state
import boto3
import moto.core.models
import pytest
from moto import mock_aws
from moto.core.serialize import JSONSerializer
from moto.core.utils import camelcase_to_underscores
from moto.dynamodb.models import dynamo_type, dynamodb_backends
from moto.s3.models import s3_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

import csv_file.handler
import durable_pipeline.calls
import durable_pipeline.handler
import durable_pipeline.settings
import pipeline_core.clients
import pipeline_core.contract
import pipeline_core.payloads
import store.handler
import transform.handler
import validate.handler
from faults.harness import Harness
from pipeline_core.objects import ObjectState, normalized_sequencer
from tests import moto_quotas
from tests.events import sqs_message

REGION = "us-east-1"
ACCOUNT = "123456789012"  # moto's
STAGES: dict[str, Callable[..., Any]] = {
    "validate": validate.handler.handler,
    "transform": transform.handler.handler,
    "store": store.handler.handler,
    "csv_file": csv_file.handler.handler,
}
EXECUTION_SECONDS = 900
"""Bounds one execution, on whatever machine."""

QUEUES = ("queue", "objects", "internal", "files", "dead-letters", "events", "cleanup")

BUCKETS = ("input", "payloads", "output")


class Pipeline(Harness):
    """The durable function with its stages, queues, buckets and tables."""

    def __init__(self, table: Any, urls: Mapping[str, str]) -> None:
        super().__init__(
            durable_pipeline.handler.handler, STAGES, region=REGION, seconds=EXECUTION_SECONDS
        )
        self.sqs = boto3.client("sqs")
        self.s3 = boto3.client("s3")
        self.table = table
        self.queue_url = urls["queue"]
        self.objects_queue_url = urls["objects"]
        self.internal_queue_url = urls["internal"]
        self.files_queue_url = urls["files"]
        self.events_queue_url = urls["events"]
        self.dead_letter_queue_url = urls["dead-letters"]
        self.cleanup_queue_url = urls["cleanup"]

    @property
    def items(self) -> dict[str, Any]:
        """The table's items, by execution_id."""
        pages = self.table.meta.client.get_paginator("scan").paginate(TableName=self.table.name)
        return {item["execution_id"]: item for page in pages for item in page["Items"]}

    @property
    def dead_letters(self) -> list[dict[str, Any]]:
        """The dead letters, with their message attributes as plain text."""
        return self.drain(self.dead_letter_queue_url)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The processing events since last asked for."""
        return [json.loads(message["body"]) for message in self.drain(self.events_queue_url)]

    def drain(self, queue_url: str) -> list[dict[str, Any]]:
        """The messages in a queue, with attributes and group as plain text; none is left."""
        drained: list[dict[str, Any]] = []
        while True:
            response = self.sqs.receive_message(
                QueueUrl=queue_url,
                MaxNumberOfMessages=10,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["MessageGroupId"],
            )
            if not response.get("Messages"):
                return drained
            for message in response["Messages"]:
                values = message.get("MessageAttributes", {}).items()
                attributes = {name: value["StringValue"] for name, value in values}
                system: Any = message.get("Attributes", {})
                drained.append({"body": message["Body"], **system, **attributes})

    def redeliver(self, queue_url: str) -> list[dict[str, Any]]:
        """The messages in a queue of the pipeline's own, as its mapping delivers them.

        Those that are delayed come at once.
        """
        for delayed in sqs_backends[ACCOUNT][REGION].queues[queue_url.rsplit("/", 1)[-1]]._messages:
            delayed.delayed_until = 0
        return [
            sqs_message(
                message.pop("body"),
                f"again-{index}",
                queue=queue_url.rsplit("/", 1)[-1],
                group=message.pop("MessageGroupId", ""),
                attributes={
                    name: {"stringValue": value, "dataType": "String"}
                    for name, value in message.items()
                },
            )
            for index, message in enumerate(self.drain(queue_url))
        ]

    def put(self, key: str, body: str | bytes, bucket: str = "input", **more: Any) -> ObjectState:
        """Put an object; the state of it, as S3's event would tell of it."""
        response = self.s3.put_object(Bucket=bucket, Key=key, Body=body, **more)
        self._sequence += 1
        state: ObjectState = {
            "bucket": bucket,
            "key": key,
            "etag": response["ETag"].strip('"'),
            "size": len(body),
            "sequencer": normalized_sequencer(f"{self._sequence:016X}"),
        }
        if "VersionId" in response:
            state["version_id"] = response["VersionId"]
        return state

    def queued(self, queue_url: str) -> str:
        """The body of the one message in a queue, even while it is delayed."""
        queue = sqs_backends[ACCOUNT][REGION].queues[queue_url.rsplit("/", 1)[-1]]
        (message,) = queue._messages
        return str(message.body)

    def delete_topic(self) -> None:
        """Delete the topic of processing events."""
        boto3.client("sns").delete_topic(TopicArn=f"arn:aws:sns:{REGION}:{ACCOUNT}:events")

    _sequence = 0


CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": REGION,
}
ELSEWHERE = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_LAMBDA", "AWS_PROFILE")


@pytest.fixture(scope="session")
def session(one_loader: None) -> boto3.Session:
    """A session that makes each client once: to make them takes as long as most tests do.

    They keep nothing of a test, as AWS does (moto), which is another one each time.
    """
    with pytest.MonkeyPatch.context() as patch:
        _point_nowhere(patch)
        session = boto3.Session(
            CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"]
        )
        moto_quotas.enforce_on_clients(session.events)
    resource = with_tables_made_once(session.resource)
    for of, name, make in (
        (session, "client", session.client),
        (session, "resource", resource),
        (session._session, "create_client", session._session.create_client),
    ):
        setattr(of, name, functools.cache(make))
    return session


def with_tables_made_once(make: Callable[..., Any]) -> Callable[..., Any]:
    """``make``, of whose DynamoDB a table is the same object each time that it is asked for.

    boto3 reads its model anew for each. It has its name and a client, and so nothing of a test.
    """

    def made(*arguments: Any, **options: Any) -> Any:
        resource = make(*arguments, **options)
        resource.Table = functools.cache(resource.Table)
        return resource

    return made


@pytest.fixture
def aws(session: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """AWS by moto, with nothing in it."""
    _point_nowhere(monkeypatch)
    # moto counts a number by its characters, and AWS, whose rule is enforced here, by its digits.
    monkeypatch.setattr(dynamo_type.LimitedSizeDict, "__setitem__", dict.__setitem__)
    with mock_aws():
        _forget_clients()
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
        monkeypatch.setattr(pipeline_core.clients, "session", lambda: session._session)
        yield
    _forget_clients()


def _point_nowhere(patch: pytest.MonkeyPatch) -> None:
    """Have clients ask AWS itself, which moto is, with credentials that open nothing."""
    for name, value in CREDENTIALS.items():
        patch.setenv(name, value)
    for name in ELSEWHERE:
        patch.delenv(name, raising=False)


def _forget_clients() -> None:
    for client in (
        durable_pipeline.settings.dynamodb,
        durable_pipeline.settings.s3,
        durable_pipeline.settings.sns,
        durable_pipeline.settings.sqs,
        pipeline_core.payloads.s3,
        store.handler.table,
    ):
        client.cache_clear()


@pytest.fixture
def pipeline(aws: None, no_retry_backoff: None, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """A pipeline with empty tables, queues and buckets."""
    urls = {name: _create_queue(name) for name in QUEUES}
    topic_arn = create_topic()
    create_buckets()
    _create_table("catalog", "object")
    _create_table("table", "execution_id")
    table = boto3.resource("dynamodb").Table("table")
    for name, value in {
        "ENVIRONMENT": "test",
        "STACK_NAME": "stack",
        "PROCESSED_DATA_TABLE": "table",
        "VALIDATION_FUNCTION_ARN": "validate",
        "TRANSFORMATION_FUNCTION_ARN": "transform",
        "STORAGE_FUNCTION_ARN": "store",
        "CSV_FILE_FUNCTION_ARN": "csv_file",
        "DATA_PROCESSING_QUEUE_URL": urls["queue"],
        "OBJECTS_QUEUE_URL": urls["objects"],
        "INTERNAL_QUEUE_URL": urls["internal"],
        "FILES_QUEUE_URL": urls["files"],
        "DEAD_LETTER_QUEUE_URL": urls["dead-letters"],
        "PROCESSING_EVENTS_TOPIC_ARN": topic_arn,
        "INPUT_BUCKET": "input",
        "PAYLOAD_BUCKET": "payloads",
        "OUTPUT_BUCKET": "output",
        "OBJECT_CATALOG_TABLE": "catalog",
        "MAXIMUM_DOCUMENT_SIZE": "10000000",
        "FILES_TIMEOUT": "300",
        "RANGE_SIZE": "64",
        "RANGES_PER_EXECUTION": "100",
        "RANGE_CONCURRENCY": "4",
        "MAX_RECEIVE_COUNT": "3",
        "EXECUTION_TIMEOUT": "900",
        "STAGE_TIMEOUT": "60",
        "RETRY_DELAY": "5",
        "MAX_RETRY_DELAY": "300",
        "CLEANUP_QUEUE_URL": urls["cleanup"],
    }.items():
        monkeypatch.setenv(name, value)
    return Pipeline(table, urls)


# moto's backends are asked themselves: fourteen requests take longer than most tests do.


def _create_queue(name: str) -> str:
    """A queue of this name; its URL."""
    sqs_backends[ACCOUNT][REGION].create_queue(name)
    return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"


def create_buckets() -> None:
    """Those of a pipeline; what is put into the first has versions."""
    s3 = s3_backends[ACCOUNT]["aws"]
    for bucket in BUCKETS:
        s3.create_bucket(bucket, REGION)
    s3.put_bucket_versioning("input", "Enabled")


def create_topic() -> str:
    """The topic of processing events, whose messages go into a queue; its ARN."""
    sns = sns_backends[ACCOUNT][REGION]
    topic_arn: str = sns.create_topic("events").arn
    subscription = sns.subscribe(topic_arn, f"arn:aws:sqs:{REGION}:{ACCOUNT}:events", "sqs")
    sns.set_subscription_attributes(subscription.arn, "RawMessageDelivery", "true")
    return topic_arn


def _create_table(name: str, key: str) -> None:
    dynamodb_backends[ACCOUNT][REGION].create_table(
        name,
        schema=[{"AttributeName": key, "KeyType": "HASH"}],
        throughput=None,
        attr=[{"AttributeName": key, "AttributeType": "S"}],
        global_indexes=[],
        indexes=[],
        streams=None,
        billing_mode="PAY_PER_REQUEST",
        sse_specification=None,
        tags=[],
        deletion_protection_enabled=False,
        warm_throughput=None,
    )


@pytest.fixture
def shared_clock(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipeline reads the harness's clock, which a hang puts forward."""
    for module in (durable_pipeline.calls, pipeline_core.contract, csv_file.handler):
        monkeypatch.setattr(module, "utc_now", pipeline.clock.iso)
    monkeypatch.setenv("EXECUTION_TIMEOUT", "120")
    monkeypatch.setenv("STAGE_TIMEOUT", "20")


@pytest.fixture(autouse=True, scope="session")
def prompt_ends() -> Iterator[None]:
    """An invocation ends at once: its checkpoints' thread looks every 100 ms whether it is to stop.

    Each of an execution's invocations waits for that, which is most of what an execution takes
    here, where a checkpoint is a call in this process.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aws_durable_execution_sdk_python.state, "_STOP_SIGNAL_POLL_SECONDS", 0.005)
        yield


@pytest.fixture(autouse=True, scope="session")
def boto3_alone_is_answered() -> Iterator[None]:
    """Moto is not made ready to answer ``requests`` as well, which nobody uses here.

    It would be for each test anew, for every address of every service, by every method.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moto.core.models, "RESPONSES_METHODS", ())
        yield


@pytest.fixture(autouse=True, scope="session")
def names_are_found_once() -> Iterator[None]:
    """Moto goes letter by letter through the names of a queue's attributes, at each request."""
    with pytest.MonkeyPatch.context() as patch:
        names = functools.cache(camelcase_to_underscores)
        patch.setattr("moto.sqs.models.camelcase_to_underscores", names)
        yield


@pytest.fixture(autouse=True, scope="session")
def values_as_they_are() -> Iterator[None]:
    """In moto's answers DynamoDB's values are as it keeps them, which is how they are written.

    moto would look into each value for all kinds that there are, under several names: of an item
    with a list of ten thousand elements, for seconds.
    """
    serialize = JSONSerializer._serialize_type_structure

    def as_it_is(self: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if shape.name == "AttributeValue" and isinstance(value, dict):
            serialized[key] = _written(value)
        else:
            serialize(self, serialized, value, shape, key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONSerializer, "_serialize_type_structure", as_it_is)
        yield


def _written(value: Mapping[str, Any]) -> dict[str, Any]:
    """A value of DynamoDB's as it is in JSON, where what is binary is Base64."""
    ((kind, content),) = value.items()
    match kind:
        case "B":
            content = b64encode(content).decode()
        case "BS":
            content = [b64encode(element).decode() for element in content]
        case "L":
            content = [_written(element) for element in content]
        case "M":
            content = {name: _written(element) for name, element in content.items()}
    return {kind: content}
