"""Files and events from S3: the features S1 to S7."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.e2e.conftest import PATIENCE, STACK, Stack
from tests.e2e.localcloud.support import wait_for
from tests.e2e.objects import Objects, csv_of
from tests.events import standard

ALIAS = f"{STACK}-durable-pipeline:live"


@pytest.fixture(scope="module")
def objects(stack: Stack) -> Objects:
    return Objects(stack)


def test_s1_an_object_under_direct_invokes_the_durable_function(objects: Objects) -> None:
    objects.put("direct/s1.json", standard(row="s1"))

    item = objects.wait_for_item("direct/s1.json")

    assert item["transformed_data"]["row"] == "s1"
    assert "version_id" in item["original_data_pointer"]


def test_s1_what_fails_as_a_whole_reaches_the_dead_letter_queue(stack: Stack) -> None:
    event = {"s1": "no event"}
    stack.client("lambda").invoke(
        FunctionName=ALIAS, InvocationType="Event", Payload=json.dumps(event)
    )

    def arrived() -> bool:
        return event in [json.loads(letter["Body"]) for letter in stack.take_dead_letters()]

    wait_for(arrived)


def test_s2_an_object_under_messages_comes_through_the_queue(objects: Objects) -> None:
    objects.put("messages/s2.json", standard(row="s2"), bucket=objects.payloads)

    item = objects.wait_for_item("messages/s2.json", objects.payloads)

    assert item["transformed_data"]["row"] == "s2"


def test_s3_an_object_under_input_reaches_the_pipeline_and_the_catalog(objects: Objects) -> None:
    objects.put("input/s3.json", standard(row="s3"))

    assert objects.wait_for_item("input/s3.json")["transformed_data"]["row"] == "s3"
    entry = objects.wait_for_state("input/s3.json", "done")
    assert entry["received_at"] <= entry["updated_at"]


def test_s4_what_was_derived_from_a_removed_object_is_removed(objects: Objects) -> None:
    objects.put("input/s4.csv", csv_of([["id"], ["1"], ["2"]]))
    objects.wait_for_state("input/s4.csv", "done")
    assert objects.derived("input/s4.csv")

    objects.remove("input/s4.csv")

    objects.wait_for_state("input/s4.csv", "deleted")
    wait_for(lambda: not objects.derived("input/s4.csv"))
    assert objects.item("input/s4.csv") is None


def test_s5_only_the_doors_are_watched_and_keys_may_hold_any_character(objects: Objects) -> None:
    key = "input/ä b+c&d=100% (数据).json"
    objects.put("elsewhere/s5.json", standard())
    objects.put(key, standard(row="s5"))

    objects.wait_for_item(key)

    assert objects.entry("elsewhere/s5.json") is None
    assert objects.item("elsewhere/s5.json") is None


def test_s6_operators_are_told_by_the_topic_that_mail_and_sms_subscribe_to(
    objects: Objects,
) -> None:
    told = listener(objects.stack)
    objects.put("input/s6.json", '{"data_source": "s6"}')

    message = wait_for(lambda: next((text for text in told() if "s6.json" in text), None))

    assert "processing_type" in message
    assert "pipelinectl objects show" in message


def listener(stack: Stack) -> Any:
    """Subscribes a queue to the operators' topic; answers what was said since."""
    sqs, sns = stack.client("sqs"), stack.client("sns")
    url = sqs.create_queue(QueueName="operator")["QueueUrl"]
    names = ["QueueArn"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]["QueueArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    sns.subscribe(
        TopicArn=stack.outputs["OperatorsTopicArn"],
        Protocol="sqs",
        Endpoint=arn,
        Attributes={"RawMessageDelivery": "true"},
    )

    def told() -> list[str]:
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [message["Body"] for message in found]

    return told


def test_s7_created_removed_and_created_again_ends_as_the_bucket_is(objects: Objects) -> None:
    chance = random.Random(7)
    keys = [f"input/s7-{n}.json" for n in range(4)]
    content: dict[str, int] = {}
    touched: set[str] = set()
    for version in range(40):
        key = chance.choice(keys)
        touched.add(key)
        if key in content and chance.random() < 0.4:
            objects.remove(key)
            del content[key]
        else:
            objects.put(key, standard(version=version))
            content[key] = version

    def stored() -> dict[str, int]:
        items = {key: objects.item(key) for key in keys}
        return {k: int(i["transformed_data"]["version"]) for k, i in items.items() if i}

    def settled() -> bool:
        return stored() == content and all(
            (objects.entry(key) or {}).get("state") in ("done", "deleted") for key in touched
        )

    wait_for(settled, PATIENCE)
    assert stored() == content
