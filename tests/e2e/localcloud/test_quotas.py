"""A few of AWS's quotas, as stock clients meet them; each one's edge is in the unit tests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.localcloud.support import STACK, Cloud, wait_for

pytestmark = pytest.mark.timeout(300)

KIB = 1024
MIB = 1024 * KIB


@pytest.fixture
def queue_url(cloud: Cloud) -> str:
    return str(cloud.client("sqs").create_queue(QueueName="quotas")["QueueUrl"])


def test_an_execution_has_3_000_operations(cloud: Cloud) -> None:
    assert cloud.invoke("crowded", {"operations": 2_999}).body == {"Code": None}
    refused = cloud.invoke("crowded", {"operations": 3_000}).body
    assert refused["Code"] == "InvalidParameterValueException"
    assert "the maximum of a durable execution is 3,000" in refused["Message"]


def test_an_execution_fails_at_once_where_a_step_answers_more_than_256_kib(cloud: Cloud) -> None:
    assert cloud.invoke("chain", {"step_bytes": 256 * KIB}).error is None
    failed = cloud.invoke("chain", {"step_bytes": 256 * KIB + 1})
    assert failed.error == "Unhandled"
    assert (
        "STEP output payload size must be less than or equal to 262144 bytes"
        in (failed.body["errorMessage"])
    )
    types = [event["EventType"] for event in cloud.history(failed.arn)]
    # One until the invoke, one after it: what is refused is not tried again.
    assert types.count("InvocationCompleted") == 2


def test_a_plain_function_answers_at_most_6_291_556_bytes(cloud: Cloud) -> None:
    client = cloud.client("lambda")

    def answered(size: int) -> Any:
        event = json.dumps({"answer_bytes": size})
        return client.invoke(FunctionName=f"{STACK}-first", Payload=event)

    assert len(answered(6_291_556)["Payload"].read()) == 6_291_556
    refused = answered(6_291_557)
    assert refused["FunctionError"] == "Unhandled"
    error = json.loads(refused["Payload"].read())
    assert error["errorType"] == "Function.ResponseSizeTooLarge"


@pytest.mark.parametrize(
    ("size", "error_type", "message"),
    [
        (MIB, None, None),
        (MIB + 1, "InvokeError", "CHAINED_INVOKE output payload size"),
        (6_291_557, "Function.ResponseSizeTooLarge", "Response payload size exceeded"),
    ],
)
def test_a_chained_function_answers_at_most_1_mib(
    cloud: Cloud, size: int, error_type: str | None, message: str | None
) -> None:
    # The second stage gets the event as well, and answers with its name.
    answer = cloud.invoke("chain", {"answer_bytes": size})
    failures = [e for e in cloud.history(answer.arn) if e["EventType"] == "ChainedInvokeFailed"]
    if message is None:
        assert not failures
        return
    error = failures[0]["ChainedInvokeFailedDetails"]["Error"]["Payload"]
    assert message in error["ErrorMessage"]
    assert error.get("ErrorType") in (error_type, None)


def test_a_plain_function_takes_at_most_6_mb(cloud: Cloud) -> None:
    client = cloud.client("lambda")
    event = json.dumps({"filler": "x" * (6 * MIB - len(json.dumps({"filler": ""})))})
    answered = client.invoke(FunctionName=f"{STACK}-first", Payload=event)
    assert json.loads(answered["Payload"].read()) == "first"
    with pytest.raises(client.exceptions.RequestTooLargeException):
        client.invoke(FunctionName=f"{STACK}-first", Payload=event + " ")


def test_a_message_counts_with_its_attributes(cloud: Cloud, queue_url: str) -> None:
    sqs = cloud.client("sqs")
    message: dict[str, Any] = {
        "QueueUrl": queue_url,
        "MessageAttributes": {"a": {"DataType": "String", "StringValue": "v"}},
    }
    sqs.send_message(MessageBody="x" * (MIB - len("aStringv")), **message)
    with pytest.raises(ClientError, match="must be shorter than 1048576 bytes"):
        sqs.send_message(MessageBody="x" * (MIB - len("aStringv") + 1), **message)
    with pytest.raises(ClientError, match="DelaySeconds must be >= 0 and <= 900"):
        sqs.send_message(MessageBody="x", DelaySeconds=901, **message)


def test_a_group_of_a_standard_queue_has_128_characters_of_ascii(
    cloud: Cloud, queue_url: str
) -> None:
    sqs = cloud.client("sqs")
    for group in ("x" * 129, "two words", "арендатор"):
        with pytest.raises(ClientError, match="for parameter MessageGroupId is invalid"):
            sqs.send_message(QueueUrl=queue_url, MessageBody="x", MessageGroupId=group)

    entries = [
        {"Id": str(n), "MessageBody": "x", "MessageGroupId": group}
        for n, group in enumerate(["!~" * 64, "x" * 129, "tenant-7"])
    ]
    answer = sqs.send_message_batch(QueueUrl=queue_url, Entries=entries)

    assert [one["Id"] for one in answer["Successful"]] == ["0", "2"]
    assert [(one["Id"], one["SenderFault"]) for one in answer["Failed"]] == [("1", True)]
    received = sqs.receive_message(
        QueueUrl=queue_url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["MessageGroupId"]
    )["Messages"]
    groups = [one["Attributes"]["MessageGroupId"] for one in received if "Attributes" in one]
    assert sorted(groups) == ["!~" * 64, "tenant-7"]


def test_a_batch_of_a_mapping_is_cut_where_its_event_would_be_larger_than_6_mb(
    cloud: Cloud,
) -> None:
    sqs, url, client = cloud.client("sqs"), cloud.outputs["QueueUrl"], cloud.client("lambda")
    (mapping,) = client.list_event_source_mappings()["EventSourceMappings"]
    client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    for number in range(9):
        body = json.dumps({"name": f"cut-{number}", "filler": "x" * 900_000})
        sqs.send_message(QueueUrl=url, MessageBody=body)
    client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)

    def batches() -> list[int] | None:
        """How many of the messages each execution got, once all have been worked on."""
        pages = client.get_paginator("list_durable_executions_by_function")
        inputs = [
            cloud.execution(one["DurableExecutionArn"])["InputPayload"]
            for page in pages.paginate(FunctionName=f"{STACK}-chain")
            for one in page["DurableExecutions"]
        ]
        counts = [text.count("cut-") for text in inputs if "cut-" in text]
        return counts if sum(counts) == 9 else None

    assert sorted(wait_for(batches)) == [3, 6]


def test_notifications_items_and_keys_are_held(cloud: Cloud) -> None:
    sns, s3, dynamodb = (cloud.client(name) for name in ("sns", "s3", "dynamodb"))
    topic = sns.create_topic(Name="quotas")["TopicArn"]
    entries = [{"Id": name, "Message": "x" * (128 * KIB)} for name in "ab"]
    assert not sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)["Failed"]
    entries[0]["Message"] += "x"
    with pytest.raises(sns.exceptions.BatchRequestTooLongException):
        sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)

    s3.create_bucket(
        Bucket="quotas", CreateBucketConfiguration={"LocationConstraint": cloud.settings.region}
    )
    s3.put_object(Bucket="quotas", Key="k" * 1024, Body=b"")
    with pytest.raises(ClientError, match="KeyTooLongError"):
        s3.put_object(Bucket="quotas", Key="k" * 1025, Body=b"")

    dynamodb.create_table(
        TableName="quotas",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
    )
    for passes, refused in _items():
        dynamodb.put_item(TableName="quotas", Item=passes)
        with pytest.raises(ClientError, match="ValidationException"):
            dynamodb.put_item(TableName="quotas", Item=refused)


def test_environment_variables_have_4_kb(cloud: Cloud) -> None:
    client = cloud.client("lambda")
    name = f"{STACK}-first"
    before = client.get_function_configuration(FunctionName=name).get("Environment", {})
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="4KB limit"):
        client.update_function_configuration(
            FunctionName=name, Environment={"Variables": {"A": "x" * 4096}}
        )
    assert client.get_function_configuration(FunctionName=name).get("Environment", {}) == before


def _items() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    def nested(levels: int) -> dict[str, Any]:
        value: dict[str, Any] = {"S": "leaf"}
        for _ in range(levels):
            value = {"M": {"m": value}}
        return {"k": {"S": "key"}, "x": value}

    return [
        ({"k": {"S": "x" * 2048}}, {"k": {"S": "x" * 2049}}),
        (nested(31), nested(32)),
        (
            {"k": {"S": "key"}, "n": {"N": "1" * 38}},
            {"k": {"S": "key"}, "n": {"N": "1" * 39}},
        ),
        (
            {"k": {"S": "key"}, "x": {"S": "x" * (400 * KIB - 5)}},
            {"k": {"S": "key"}, "x": {"S": "x" * (400 * KIB - 4)}},
        ),
    ]
