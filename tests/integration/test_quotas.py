"""The fake of AWS beneath these tests is held to AWS's quotas, whoever made the client."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

import durable_pipeline.settings
from tests.integration.conftest import Pipeline

KIB = 1024
ATTRIBUTES: Any = {"a": {"DataType": "String", "StringValue": "v"}}


def test_a_message_counts_with_its_attributes(pipeline: Pipeline) -> None:
    body = "x" * (1024 * KIB - len("aStringv"))
    for sqs in (pipeline.sqs, durable_pipeline.settings.sqs()):
        sqs.send_message(
            QueueUrl=pipeline.queue_url, MessageBody=body, MessageAttributes=ATTRIBUTES
        )
        with pytest.raises(ClientError, match="must be shorter than 1048576 bytes"):
            sqs.send_message(
                QueueUrl=pipeline.queue_url, MessageBody=f"{body}x", MessageAttributes=ATTRIBUTES
            )


def test_notifications_count_together(pipeline: Pipeline) -> None:
    sns: Any = durable_pipeline.settings.sns()
    topic = sns.list_topics()["Topics"][0]["TopicArn"]
    entries = [{"Id": name, "Message": "x" * (128 * KIB)} for name in "ab"]
    sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    entries[0]["Message"] += "x"
    with pytest.raises(sns.exceptions.BatchRequestTooLongException):
        sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)


def test_items_and_keys_are_held(pipeline: Pipeline) -> None:
    item: dict[str, Any] = {"execution_id": "x", "data": "leaf"}
    for _ in range(31):
        item["data"] = {"m": item["data"]}
    # The resource turns Python's values into DynamoDB's before they are looked at.
    pipeline.table.put_item(Item=item)
    with pytest.raises(ClientError, match="Nesting Levels have exceeded supported limits"):
        pipeline.table.put_item(Item={**item, "data": {"m": item["data"]}})
    pipeline.put("k" * 1024, "body")
    with pytest.raises(ClientError, match="Your key is too long"):
        pipeline.put("k" * 1025, "body")
