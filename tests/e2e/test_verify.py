"""verify says that all promises hold, and of a planted fault which one does not."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localcloud.deploy import deploy
from localcloud.settings import ACCOUNT_ID, Settings
from pipelinectl.aws import Connection
from tests.e2e.conftest import ACCOUNT, PATIENCE, ROOT, STACK, VERIFIER, Stack
from tests.e2e.operator import Operator
from tests.e2e.planting import DURABLE, Target, queue_attributes
from tests.e2e.policies import SettingsOf, document, session_with
from tests.e2e.test_permissions import without_policy

NOT_ON_A_LAPTOP = {"metrics-seen"}


@pytest.fixture(scope="module")
def target(stack: Stack) -> Target:
    return Target(stack, Connection(stack.cloud.settings.client_environment()))


@pytest.fixture(scope="module")
def operator(stack: Stack) -> Operator:
    """Somebody who has the rights of policies/operator.json, and no others."""
    policy = document("operator", stack.cloud.settings.region)
    session = session_with(stack, VERIFIER, policy)
    root = Operator.of(stack)
    return Operator({**root.environment, **session})


@pytest.fixture(scope="module")
def probe(stack: Stack, settings: Settings) -> str:
    """The stack of examples/probe, deployed with the rights of policies/deployer.json alone."""
    session = session_with(stack, "deployer", document("deployer", settings.region))
    deploy(
        SettingsOf.with_session(settings, session),
        template=ROOT / "examples" / "probe" / "template.yaml",
        stack_name=f"{STACK}-probe",
    )
    return f"{STACK}-probe"


@dataclass(frozen=True)
class Found:
    """What a run of verify said."""

    exit_code: int
    document: dict[str, Any]

    def lines(self, verdict: str) -> set[str]:
        """The lines with this verdict."""
        return {one["line"] for one in self.document["lines"] if one["verdict"] == verdict}

    def seen(self, line: str) -> str:
        """What was seen of a line."""
        (found,) = [one["seen"] for one in self.document["lines"] if one["line"] == line]
        return str(found)


def verify(operator: Operator, *arguments: str) -> Found:
    done = operator.attempt("verify", "--json", *arguments)
    assert done.stdout, done.stderr
    return Found(done.returncode, json.loads(done.stdout))


def test_all_promises_hold_for_an_operator_with_the_documented_rights_alone(
    stack: Stack, operator: Operator, probe: str, tmp_path: Path
) -> None:
    report = tmp_path / "report.md"

    found = verify(
        operator, "--timeout", str(PATIENCE), "--probe-stack", probe, "--report", str(report)
    )

    assert found.lines("differs") == set(), found.document
    assert found.lines("cannot be seen") == NOT_ON_A_LAPTOP, found.document
    assert found.exit_code == 0
    assert found.document["left"] == []
    facts = {fact["fact"]: fact["found"] for fact in found.document["facts"]}
    assert facts["lambda-dead-letter"]["attributes"]["ErrorCode"]["type"] == "Number"
    assert facts["synchronous-invocation"]["function_error"] is None
    assert facts["dying-invocation"]["invocations_in_log"] > 1
    text = report.read_text("utf-8")
    assert json.loads(text.partition("```json\n")[2].partition("```")[0]) == found.document
    assert ACCOUNT_ID not in text
    assert left_of(stack, found.document["prefix"]) == []


def left_of(stack: Stack, prefix: str) -> list[str]:
    """All that speaks of a run in tables, buckets and the dead-letter queue, but old versions."""
    s3, dynamodb = stack.client("s3"), stack.client("dynamodb")
    found = [json.dumps(letter, default=str) for letter in stack.take_dead_letters()]
    for table in ("ProcessedDataTable", "ObjectCatalogTable"):
        pages = dynamodb.get_paginator("scan").paginate(TableName=stack.outputs[table])
        found += [json.dumps(item, default=str) for page in pages for item in page["Items"]]
    for bucket in ("InputBucketName", "PayloadBucketName", "OutputBucketName"):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=stack.outputs[bucket])
        found += [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    return [text for text in found if prefix in text or prefix.upper() in text]


COMMANDS = (
    ["doctor"],
    ["items", "--limit", "1"],
    ["objects", "list"],
    ["executions", "show", "last"],
    ["dlq", "list"],
    ["cost"],
)
"""What reads; sending, uploading and redriving is what verify does."""


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_documented_rights_are_enough_for_what_an_operator_looks_at(
    operator: Operator, command: list[str]
) -> None:
    assert "AccessDenied" not in operator.run(*command).stdout


def test_whoever_lacks_a_right_is_told_what_is_left(stack: Stack) -> None:
    policy = document("operator", stack.cloud.settings.region)
    kept = [one for one in policy["Statement"] if one["Sid"] != "RemoveWhatVerifySent"]
    session = session_with(stack, "visitor", policy | {"Statement": kept})
    visitor = Operator({**Operator.of(stack).environment, **session})

    found = verify(visitor, "--only", "message", "--timeout", str(PATIENCE))
    cleaned = Operator.of(stack).run("verify", "--clean", found.document["prefix"])

    assert found.lines("holds") == {"message"}
    assert any("dynamodb:DeleteItem" in text for text in found.document["left"])
    assert "nothing is left" in cleaned.stderr
    assert left_of(stack, found.document["prefix"]) == []


@pytest.mark.parametrize(
    ("resource", "decision"),
    [
        (f"{DURABLE}:1/durable-execution/name/id", "allowed"),
        (f"{DURABLE}:live", "allowed"),
        (f"{DURABLE}", "implicitDeny"),
        ("other-durable-pipeline:1/durable-execution/name/id", "implicitDeny"),
    ],
)
def test_rights_in_durable_executions_are_of_the_functions_versions(
    stack: Stack, operator: Operator, resource: str, decision: str
) -> None:
    region = stack.cloud.settings.region
    answer = stack.client("iam").simulate_principal_policy(
        PolicySourceArn=f"{ACCOUNT}:role/{VERIFIER}",
        ActionNames=["lambda:GetDurableExecutionHistory", "lambda:StopDurableExecution"],
        ResourceArns=[f"arn:aws:lambda:{region}:{ACCOUNT_ID}:function:{resource}"],
    )

    assert {r["EvalDecision"] for r in answer["EvaluationResults"]} == {decision}


Planted = Callable[[Target], AbstractContextManager[None]]


def no_right_to_write(target: Target) -> AbstractContextManager[None]:
    return without_policy(target.stack, "StoreRole", "table")


@contextlib.contextmanager
def dropped_subscription(target: Target) -> Iterator[None]:
    sns, topic = target.client("sns"), target.stack.outputs["ProcessingEventsTopicArn"]
    listed = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    (dropped,) = [one for one in listed if one["Endpoint"].endswith(f":{STACK}-notify")]
    attributes = sns.get_subscription_attributes(SubscriptionArn=dropped["SubscriptionArn"])
    kept = {
        name: attributes["Attributes"][name]
        for name in ("RawMessageDelivery", "RedrivePolicy")
        if attributes["Attributes"].get(name)
    }
    sns.unsubscribe(SubscriptionArn=dropped["SubscriptionArn"])
    try:
        yield
    finally:
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=dropped["Endpoint"], Attributes=kept)


@contextlib.contextmanager
def refusing_dead_letters(target: Target) -> Iterator[None]:
    url = target.queue_url("dead-letters")
    arn = target.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["sqs:SendMessage", "sqs:SendMessageBatch"],
        "Resource": arn["Attributes"]["QueueArn"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    with queue_attributes(target, "dead-letters", {"Policy": policy}):
        yield


@contextlib.contextmanager
def misspelt_metric(target: Target) -> Iterator[None]:
    cloudwatch = target.client("cloudwatch")
    found = cloudwatch.describe_alarms(AlarmNamePrefix=f"{STACK}-LargeExecutionsAlarm")
    alarm = found["MetricAlarms"][0]
    known = cloudwatch.meta.service_model.operation_model("PutMetricAlarm").input_shape.members
    settings = {name: value for name, value in alarm.items() if name in known}
    try:
        cloudwatch.put_metric_alarm(**settings | {"MetricName": "ExecutionOperation"})
        yield
    finally:
        cloudwatch.put_metric_alarm(**settings)


@contextlib.contextmanager
def older_version(target: Target) -> Iterator[None]:
    functions = target.client("lambda")
    before = functions.get_function_configuration(FunctionName=DURABLE)["Description"]
    functions.update_function_configuration(FunctionName=DURABLE, Description="newer")
    newer = functions.publish_version(FunctionName=DURABLE)["Version"]
    try:
        yield
    finally:
        functions.delete_function(FunctionName=DURABLE, Qualifier=newer)
        functions.update_function_configuration(FunctionName=DURABLE, Description=before)


@dataclass(frozen=True)
class Fault:
    """A fault, the lines that are looked at, and those of them that differ."""

    planted: Planted
    differ: frozenset[str]
    hold: frozenset[str]
    seen: str

    @property
    def only(self) -> list[str]:
        """The options for these lines."""
        return [word for name in sorted(self.differ | self.hold) for word in ("--only", name)]


FAULTS = {
    "a permission": Fault(
        no_right_to_write,
        frozenset({"message", "permissions"}),
        frozenset({"rejected", "code", "own-metrics"}),
        "store: dynamodb:PutItem",
    ),
    "a subscription": Fault(
        dropped_subscription,
        frozenset({"notified"}),
        frozenset({"input-document", "input-file", "catalogued"}),
        "processing",
    ),
    "a queue's policy": Fault(
        refusing_dead_letters,
        frozenset({"rejected"}),
        frozenset({"message", "code", "aws-metrics"}),
        "no dead letter",
    ),
    "an alarm's metric": Fault(
        misspelt_metric,
        frozenset({"own-metrics"}),
        frozenset({"message", "aws-metrics", "code"}),
        "LargeExecutionsAlarm: DurablePipeline ExecutionOperation",
    ),
    "the version behind the alias": Fault(
        older_version,
        frozenset({"code"}),
        frozenset({"aws-metrics"}),
        "the newest is",
    ),
}
# What never comes is waited for until the time is up; the longer ones are for a busy machine.
SECONDS = (8, 60, PATIENCE)


@pytest.mark.parametrize("name", FAULTS)
def test_of_a_planted_fault_the_right_line_differs_and_no_other(
    stack: Stack, target: Target, operator: Operator, name: str
) -> None:
    fault = FAULTS[name]
    prefixes = []
    with fault.planted(target):
        for seconds in SECONDS:
            found = verify(operator, "--timeout", str(seconds), *fault.only)
            prefixes.append(found.document["prefix"])
            if found.lines("differs") == fault.differ and found.lines("holds") == fault.hold:
                break

    assert found.lines("differs") == fault.differ, found.document
    assert found.lines("holds") == fault.hold, found.document
    assert found.exit_code == 1
    assert any(fault.seen in found.seen(line) for line in fault.differ), found.document
