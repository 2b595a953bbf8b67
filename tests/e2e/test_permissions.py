"""IAM is enforced on the laptop: a permission that is missing is missed there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.conftest import STACK, Stack
from tests.e2e.localcloud.support import wait_for
from tests.events import sqs_event_of, standard

REMOVED = {
    "dynamodb:BatchWriteItem": ("StoreRole", "table"),
    "lambda:InvokeFunction": ("DurablePipelineRole", "chain"),
}


@contextmanager
def without_policy(stack: Stack, role: str, policy: str) -> Iterator[None]:
    """The deployed pipeline while ``role``, a resource of the template, lacks ``policy``."""
    resource = stack.client("cloudformation").describe_stack_resource(
        StackName=STACK, LogicalResourceId=role
    )
    names: Any = {
        "RoleName": resource["StackResourceDetail"]["PhysicalResourceId"],
        "PolicyName": policy,
    }
    iam = stack.client("iam")
    document = iam.get_role_policy(**names)["PolicyDocument"]
    iam.delete_role_policy(**names)
    try:
        yield
    finally:
        iam.put_role_policy(**names, PolicyDocument=json.dumps(document))


@pytest.mark.parametrize("action", REMOVED)
def test_a_permission_removed_is_access_denied(stack: Stack, action: str) -> None:
    execution_id = f"without-{action.rpartition(':')[2].lower()}"
    event = sqs_event_of([standard(record_id=execution_id)])

    with without_policy(stack, *REMOVED[action]):
        denied = wait_for(lambda: ended(stack, event, "back_to_queue"))
    wait_for(lambda: ended(stack, event, "stored"))

    assert "AccessDenied" in json.dumps(stack.history(denied), default=str)


def ended(stack: Stack, event: Any, outcome: str) -> str | None:
    """The ARN of an execution, if its one record ends so; IAM is not consistent at once."""
    answer = stack.client("lambda").invoke(
        FunctionName=stack.outputs["DurableFunctionArn"], Payload=json.dumps(event)
    )
    ended_so = json.loads(answer["Payload"].read())["summary"][outcome] == 1
    return str(answer["DurableExecutionArn"]) if ended_so else None
