"""A message's group stays with its record, whatever sends it on; where there is none nothing is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from faults.stages import Crash
from pipelinectl.audit import Audit
from pipelinectl.dead_letters import DeadLetterQueue
from pipelinectl.redrive import Redrive
from pipelinectl.reprocess import Kept
from pipelinectl.sending import Pace, Sender
from tests.events import (
    extended_client_pointer,
    order,
    s3_event,
    sqs_event,
    sqs_message,
    standard,
)
from tests.integration.conftest import Pipeline
from tests.integration.test_reprocess import Operator

GROUP = "tenant-7"


def rejected(pipeline: Pipeline) -> str:
    pipeline.process(sqs_event(sqs_message("bad", "m-1", group=GROUP)))
    return pipeline.dead_letter_queue_url


def failed(pipeline: Pipeline) -> str:
    pipeline.inject("store", Crash())
    pipeline.process(sqs_event(sqs_message(standard(), "m-1", receive_count=3, group=GROUP)))
    return pipeline.dead_letter_queue_url


def too_large_for_its_reasons(pipeline: Pipeline) -> str:
    body = order(quantity=0, filling="x" * (1024 * 1024 - 500))
    pipeline.process(sqs_event(sqs_message(body, "m-1", group=GROUP)))
    return pipeline.dead_letter_queue_url


def claim_check(pipeline: Pipeline) -> str:
    pipeline.put("messages/a", order(quantity=0), bucket="payloads")
    pointer = extended_client_pointer("payloads", "messages/a")
    pipeline.process(sqs_event(sqs_message(pointer, "m-1", group=GROUP)))
    return pipeline.dead_letter_queue_url


def file_in_company(pipeline: Pipeline) -> str:
    state = pipeline.put("input/a.csv", "n\n1\n")
    file = sqs_message(json.dumps(s3_event(state)), "m-1", queue="objects", group=GROUP)
    pipeline.process(sqs_event(file, sqs_message(standard(), "m-2")))
    return pipeline.files_queue_url


def told_of_several_objects(pipeline: Pipeline) -> str:
    events = [s3_event(pipeline.put(f"input/{n}.json", standard())) for n in range(2)]
    body = json.dumps({"Records": [record for event in events for record in event["Records"]]})
    pipeline.process(sqs_event(sqs_message(body, "m-1", queue="objects", group=GROUP)))
    return pipeline.internal_queue_url


def untold(pipeline: Pipeline) -> str:
    state = pipeline.put("input/a.json", standard())
    pipeline.delete_topic()
    body = json.dumps(s3_event(state))
    message = sqs_message(body, "m-1", queue="objects", receive_count=3, group=GROUP)
    pipeline.process(sqs_event(message))
    return pipeline.internal_queue_url


@pytest.mark.parametrize(
    "send_on",
    [
        rejected,
        failed,
        too_large_for_its_reasons,
        claim_check,
        file_in_company,
        told_of_several_objects,
        untold,
    ],
)
def test_whatever_sends_a_record_on_sends_it_in_its_group(
    pipeline: Pipeline, send_on: Callable[[Pipeline], str]
) -> None:
    messages = pipeline.redeliver(send_on(pipeline))

    assert messages
    assert {message["attributes"].get("MessageGroupId") for message in messages} == {GROUP}


def test_what_is_in_no_group_is_sent_on_in_none_and_its_item_has_none(pipeline: Pipeline) -> None:
    pipeline.process(sqs_event(sqs_message(standard(), "m-1"), sqs_message("bad", "m-2")))

    (letter,) = pipeline.dead_letters
    assert "MessageGroupId" not in letter
    assert "message_group_id" not in pipeline.items["test-m-1"]


def test_a_batch_of_several_groups_costs_what_it_costs_without(pipeline: Pipeline) -> None:
    groups = ["a", "b", "", "!~" * 64]
    messages = [sqs_message(standard(), f"m-{n}", group=group) for n, group in enumerate(groups)]

    result = pipeline.run(sqs_event(*messages))

    assert len(result.get_all_operations()) == 3
    stored = [pipeline.items[f"test-m-{n}"].get("message_group_id", "") for n in range(4)]
    assert stored == groups


@pytest.mark.parametrize("group", ["x" * 129, "арендатор", "two words", "\n", 7, None, ["a"], {}])
def test_what_is_no_group_keeps_no_record_from_its_outcome(pipeline: Pipeline, group: Any) -> None:
    odd, rejected_one = sqs_message(standard(), "m-1"), sqs_message("bad", "m-2")
    for message in (odd, rejected_one):
        message["attributes"]["MessageGroupId"] = group

    response = pipeline.process(sqs_event(odd, rejected_one, sqs_message(standard(), "m-3")))

    assert response["summary"] == {"stored": 2, "dead_letters": 1, "back_to_queue": 0}
    assert "message_group_id" not in pipeline.items["test-m-1"]


def redrive(operator: Operator, body: str) -> None:
    pipeline = operator.pipeline
    queue = DeadLetterQueue(pipeline.sqs, pipeline.dead_letter_queue_url, long_poll=0)
    (letter,) = queue.peek()
    plan = Redrive(
        queue,
        Sender(pipeline.sqs, pipeline.internal_queue_url),
        Audit(boto3.client("logs"), lambda: boto3.client("sts"), "/audit"),
        "test",
        Pace(),
        lambda _: body,
    )
    assert list(plan.run([letter.message_id])) == [1]


def test_the_whole_way_from_a_dead_letter_over_its_item_and_back_again(pipeline: Pipeline) -> None:
    boto3.client("logs").create_log_group(logGroupName="/audit")
    pipeline.process(sqs_event(sqs_message("bad", "m-1", group=GROUP)))
    with Kept() as kept:
        operator = Operator(pipeline, kept)
        redrive(operator, standard(n=1))
        operator.deliver()
        redriven = pipeline.items["test-m-1"]

        operator.reprocess()
        operator.deliver()
    reprocessed = pipeline.items["test-m-1"]

    assert redriven["message_group_id"] == reprocessed["message_group_id"] == GROUP
    assert redriven["stored_at"] < reprocessed["stored_at"]
    assert operator.items.by_group() == [(GROUP, 1)]
