"""Reads the facts about a deployed stack, through APIs that AWS and the local cloud both have."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipelinectl.diagnosis import resources
from pipelinectl.diagnosis.facts import Alarm, Door, Facts, Read, Resources, StackFacts, Unread
from pipelinectl.diagnosis.unread import attempt, attempt_existing
from pipelinectl.stack import OUTPUTS, describe, outputs_of, parameters_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_cloudformation.type_defs import StackResourceSummaryTypeDef

    from pipelinectl.diagnosis.facts import Machine
    from pipelinectl.session import Connection

    Summaries = list[StackResourceSummaryTypeDef]
    Job = tuple[str, str, Callable[[], Any]]

CREATED, REMOVED = "s3:ObjectCreated:*", "s3:ObjectRemoved:*"
DOORS: Mapping[str, tuple[Door, ...]] = {
    "InputBucket": (
        Door("input/", CREATED),
        Door("input/", REMOVED),
        Door("direct/", CREATED),
        Door("direct/", REMOVED),
    ),
    "PayloadBucket": (Door("messages/", CREATED),),
}
"""The doors of template.yaml's buckets, by the buckets' logical ids."""

_FOR_S3 = ("ObjectsQueueUrl",)
_FOR_OPERATORS = ("InternalQueueUrl", "FilesQueueUrl", "DeadLetterQueueUrl")

_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")
_WORKERS = 8
_ALARMS_A_CALL = 100


def read_facts(connection: Connection, stack_name: str, machine: Machine | None) -> Facts:
    """Everything about the stack; what cannot be read is `Unread` with the reason.

    Raises:
        StackMissingError: there is no such stack.
    """
    return Facts(_read_stack(connection, stack_name), "", machine)


def _read_stack(connection: Connection, name: str) -> StackFacts:
    stack = describe(connection.cloudformation, name)
    outputs = outputs_of(stack)
    function, _, alias = (
        outputs.get("DurableFunctionArn", "").partition(":function:")[2].partition(":")
    )
    summaries = attempt(lambda: _summaries(connection, name))
    found: Read[Resources]
    alarms: Read[tuple[Alarm, ...]]
    if isinstance(summaries, Unread):
        found = alarms = summaries
    else:
        found = _read_resources(_jobs(connection, summaries, {function: alias}))
        alarms = attempt(lambda: tuple(_read_alarms(connection, summaries)))
    return StackFacts(
        name=name,
        status=stack["StackStatus"],
        status_reason=stack.get("StackStatusReason", ""),
        missing_outputs=tuple(output for output in OUTPUTS.values() if output not in outputs),
        local=_is_on_this_machine(connection.endpoint_url),
        operators=outputs.get("OperatorsTopicArn"),
        dead_letter_queue_url=outputs.get("DeadLetterQueueUrl"),
        alias=alias or None,
        closed=_closed(outputs, parameters_of(stack)),
        resources=found,
        alarms=alarms,
        account=attempt(lambda: resources.read_account(connection.lambda_)),
    )


def _closed(outputs: Mapping[str, str], parameters: Mapping[str, str]) -> frozenset[str]:
    names = _FOR_S3 + (_FOR_OPERATORS if parameters.get("OperatorRoleArns") else ())
    return frozenset(_short(outputs[name]) for name in names if name in outputs)


def _is_on_this_machine(endpoint_url: str | None) -> bool:
    """An endpoint elsewhere may be one of AWS's own, within a VPC."""
    return bool(endpoint_url) and urlsplit(endpoint_url).hostname in _THIS_MACHINE


def _summaries(connection: Connection, name: str) -> Summaries:
    pages = connection.cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
    return [resource for page in pages for resource in page["StackResourceSummaries"]]


def _jobs(connection: Connection, summaries: Summaries, aliases: Mapping[str, str]) -> list[Job]:
    """What to read: the kind of resource, its physical id, and the call that reads it."""
    subscriptions = _subscriptions(summaries)
    jobs: list[Job] = []
    for summary in summaries:
        read = _reader(connection, summary, subscriptions, aliases)
        if read is not None:
            jobs.append((summary["ResourceType"], summary["PhysicalResourceId"], read))
    return jobs


def _reader(
    connection: Connection,
    summary: StackResourceSummaryTypeDef,
    subscriptions: Mapping[str, frozenset[str]],
    aliases: Mapping[str, str],
) -> Callable[[], Any] | None:
    """The call that reads a resource; None of what no rule is about, and of what was never made."""
    name = summary.get("PhysicalResourceId", "")
    match summary["ResourceType"] if name else None:
        case "AWS::SQS::Queue":
            return lambda: resources.read_queue(connection.sqs, name)
        case "AWS::Lambda::EventSourceMapping":
            return lambda: resources.read_mapping(connection.lambda_, name)
        case "AWS::Lambda::Function":
            return lambda: resources.read_function(connection.lambda_, name, aliases.get(name))
        case "AWS::SNS::Topic":
            expected = subscriptions.get(name, frozenset())
            return lambda: resources.read_topic(connection.sns, name, expected)
        case "AWS::S3::Bucket":
            doors = DOORS.get(summary["LogicalResourceId"], ())
            return lambda: resources.read_bucket(connection.s3, name, doors)
    return None


def _subscriptions(summaries: Summaries) -> Mapping[str, frozenset[str]]:
    """ARNs of the stack's subscriptions by their topic's; one that is unconfirmed has none."""
    arns: dict[str, set[str]] = defaultdict(set)
    for summary in summaries:
        arn = summary.get("PhysicalResourceId", "")
        if summary["ResourceType"] == "AWS::SNS::Subscription" and arn.startswith("arn:"):
            arns[arn.rpartition(":")[0]].add(arn)
    return {topic: frozenset(found) for topic, found in arns.items()}


def _read_resources(jobs: list[Job]) -> Resources:
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="doctor") as pool:
        answers = list(pool.map(lambda job: attempt_existing(job[2]), jobs))
    by_kind: dict[str, dict[str, Any]] = defaultdict(dict)
    gone = []
    for (kind, name, _), answer in zip(jobs, answers, strict=True):
        if answer is None:
            gone.append(_short(name))
        else:
            by_kind[kind][_key(kind, name)] = answer
    return Resources(
        queues=by_kind["AWS::SQS::Queue"],
        mappings=by_kind["AWS::Lambda::EventSourceMapping"],
        functions=by_kind["AWS::Lambda::Function"],
        topics=by_kind["AWS::SNS::Topic"],
        buckets=by_kind["AWS::S3::Bucket"],
        gone=tuple(gone),
        count=len(jobs),
    )


def _key(kind: str, name: str) -> str:
    return _short(name) if kind == "AWS::SQS::Queue" else name


def _short(name: str) -> str:
    """The name in a queue's URL or in an ARN."""
    return name.rpartition("/")[2].rpartition(":")[2]


def _read_alarms(connection: Connection, summaries: Summaries) -> list[Alarm]:
    names = [
        summary["PhysicalResourceId"]
        for summary in summaries
        if summary["ResourceType"] == "AWS::CloudWatch::Alarm"
    ]
    return [
        alarm
        for start in range(0, len(names), _ALARMS_A_CALL)
        for alarm in resources.read_alarms(
            connection.cloudwatch, names[start : start + _ALARMS_A_CALL]
        )
    ]
