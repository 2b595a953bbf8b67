"""One fault for each rule of the doctor that a deployed stack can break, put in and taken out."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from pipelinectl.aws import Connection
from tests.e2e.conftest import STACK, Stack
from tests.e2e.localcloud.support import wait_for

DURABLE = f"{STACK}-durable-pipeline"
SMALL_STACK = "small"

# What no call can make of the deployed stack, in a stack that may be broken for good.
SMALL_TEMPLATE: Mapping[str, Any] = {
    "Resources": {
        "Lost": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "small-lost"}},
        "Kept": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "small-kept"}},
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "small-topic"}},
        "Subscription": {
            "Type": "AWS::SNS::Subscription",
            "Properties": {
                "TopicArn": {"Ref": "Topic"},
                "Protocol": "sqs",
                "Endpoint": {"Fn::GetAtt": ["Kept", "Arn"]},
            },
        },
    },
    "Outputs": {"DataProcessingQueueUrl": {"Value": {"Ref": "Kept"}}},
}


@dataclass(frozen=True)
class Target:
    """The deployed stack, and the connection by which the doctor will look at it."""

    stack: Stack
    connection: Connection

    def client(self, service: str) -> Any:
        """A stock client."""
        return self.stack.client(service)

    def queue_url(self, name: str) -> str:
        """The URL of one of the stack's queues."""
        return str(self.client("sqs").get_queue_url(QueueName=f"{STACK}-{name}")["QueueUrl"])

    def mapping(self, queue: str) -> Any:
        """The event source mapping of one of the stack's queues."""
        mappings = self.client("lambda").list_event_source_mappings()["EventSourceMappings"]
        (found,) = [m for m in mappings if m["EventSourceArn"].endswith(f":{STACK}-{queue}")]
        return found


@dataclass(frozen=True)
class Plant:
    """How a fault is planted, the stack that then has it, and the thing it is found at."""

    planted: Callable[[Target], AbstractContextManager[None]]
    subject: str
    level: str = "problem"
    stack_name: str = STACK


@contextlib.contextmanager
def queue_attributes(target: Target, queue: str, attributes: Mapping[str, str]) -> Iterator[None]:
    """Attributes of a queue, and then what they were."""
    sqs, url = target.client("sqs"), target.queue_url(queue)
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    try:
        sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
        yield
    finally:
        restored = {name: before[name] for name in attributes}
        sqs.set_queue_attributes(QueueUrl=url, Attributes=restored)


def set_queue(queue: str, **attributes: str) -> Callable[[Target], AbstractContextManager[None]]:
    return lambda target: queue_attributes(target, queue, attributes)


@contextlib.contextmanager
def one_delivery(target: Target) -> Iterator[None]:
    url = target.queue_url("notify")
    asked = target.client("sqs").get_queue_attributes(
        QueueUrl=url, AttributeNames=["RedrivePolicy"]
    )
    policy = json.loads(asked["Attributes"]["RedrivePolicy"]) | {"maxReceiveCount": 1}
    with queue_attributes(target, "notify", {"RedrivePolicy": json.dumps(policy)}):
        yield


@contextlib.contextmanager
def dead_letter(target: Target) -> Iterator[None]:
    sqs, url = target.client("sqs"), target.queue_url("notify-dead-letters")
    try:
        sqs.send_message(QueueUrl=url, MessageBody="planted")
        yield
    finally:
        sqs.purge_queue(QueueUrl=url)


def set_mapping(queue: str, **change: Any) -> Callable[[Target], AbstractContextManager[None]]:
    """Change an event source mapping, and then back."""

    @contextlib.contextmanager
    def changed(target: Target) -> Iterator[None]:
        client, before = target.client("lambda"), target.mapping(queue)
        was = {**before, "Enabled": True, "FunctionName": before["FunctionArn"]}
        restored = {name: was[name] for name in change}
        try:
            client.update_event_source_mapping(UUID=before["UUID"], **change)
            yield
        finally:
            client.update_event_source_mapping(UUID=before["UUID"], **restored)

    return changed


@contextlib.contextmanager
def deleted_alias(target: Target) -> Iterator[None]:
    """An alias that a mapping invokes, deleted: Lambda asks for it only when it is named."""
    client = target.client("lambda")
    client.create_alias(FunctionName=DURABLE, Name="blue", FunctionVersion="1")
    with set_mapping("files", FunctionName=f"{DURABLE}:blue")(target):
        client.delete_alias(FunctionName=DURABLE, Name="blue")
        yield


def reserve(function: str, count: int) -> Callable[[Target], AbstractContextManager[None]]:
    """Reserve concurrency for a function, and then none."""

    @contextlib.contextmanager
    def reserved(target: Target) -> Iterator[None]:
        client = target.client("lambda")
        try:
            client.put_function_concurrency(
                FunctionName=f"{STACK}-{function}", ReservedConcurrentExecutions=count
            )
            yield
        finally:
            client.delete_function_concurrency(FunctionName=f"{STACK}-{function}")

    return reserved


def set_timeout(seconds: int) -> Callable[[Target], AbstractContextManager[None]]:
    """Another timeout of the function store, and then what it was."""

    @contextlib.contextmanager
    def changed(target: Target) -> Iterator[None]:
        before = _timeout(target)
        try:
            _set_timeout(target, seconds)
            yield
        finally:
            _set_timeout(target, before)

    return changed


def _timeout(target: Target) -> int:
    answer = target.client("lambda").get_function_configuration(FunctionName=f"{STACK}-store")
    return int(answer["Timeout"])


def _set_timeout(target: Target, seconds: int) -> None:
    client, name = target.client("lambda"), f"{STACK}-store"
    client.update_function_configuration(FunctionName=name, Timeout=seconds)

    def through() -> bool:
        found = client.get_function_configuration(FunctionName=name)
        return (found["State"], found["LastUpdateStatus"]) == ("Active", "Successful")

    wait_for(through)


@contextlib.contextmanager
def no_notifications(target: Target) -> Iterator[None]:
    s3, bucket = target.client("s3"), target.stack.outputs["PayloadBucketName"]
    before = s3.get_bucket_notification_configuration(Bucket=bucket)
    before.pop("ResponseMetadata")
    try:
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
        yield
    finally:
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=before)


def _alarm(target: Target) -> Any:
    alarms = target.client("cloudwatch").describe_alarms(
        AlarmNamePrefix=f"{STACK}-StoreErrorsAlarm"
    )
    return alarms["MetricAlarms"][0]


@contextlib.contextmanager
def ringing(target: Target) -> Iterator[None]:
    cloudwatch, alarm = target.client("cloudwatch"), _alarm(target)

    def set_state(value: str) -> None:
        cloudwatch.set_alarm_state(
            AlarmName=alarm["AlarmName"], StateValue=value, StateReason="planted"
        )

    try:
        set_state("ALARM")
        yield
    finally:
        set_state(alarm["StateValue"])


@contextlib.contextmanager
def silenced(target: Target) -> Iterator[None]:
    cloudwatch, name = target.client("cloudwatch"), _alarm(target)["AlarmName"]
    try:
        cloudwatch.disable_alarm_actions(AlarmNames=[name])
        yield
    finally:
        cloudwatch.enable_alarm_actions(AlarmNames=[name])


def answering(
    operation: str, edit: Callable[[dict[str, Any]], None]
) -> Callable[[Target], AbstractContextManager[None]]:
    """Let the doctor read an answer as AWS gives it of a fault that the local cloud cannot have."""

    @contextlib.contextmanager
    def edited(target: Target) -> Iterator[None]:
        service, _, name = operation.partition(".")
        client = getattr(target.connection, "lambda_" if service == "lambda" else service)
        client.meta.events.register(
            f"after-call.{service}.{name}", lambda parsed, **_: edit(parsed)
        )
        yield

    return edited


def failed_update(answer: dict[str, Any]) -> None:
    if answer["FunctionName"] == f"{STACK}-store":
        answer |= {"LastUpdateStatus": "Failed", "LastUpdateStatusReason": "the key is disabled"}


def too_long(answer: dict[str, Any]) -> None:
    if answer["FunctionName"] == DURABLE:
        answer["DurableConfig"] = {"ExecutionTimeout": 901, "RetentionPeriodInDays": 7}


def rolled_back(answer: dict[str, Any]) -> None:
    answer["Stacks"][0] |= {"StackStatus": "UPDATE_ROLLBACK_FAILED"}


@contextlib.contextmanager
def small_stack(target: Target) -> Iterator[None]:
    """A stack that is not ours, of which a queue and a subscription were deleted by hand."""
    cloudformation, sns = target.client("cloudformation"), target.client("sns")
    cloudformation.create_stack(StackName=SMALL_STACK, TemplateBody=json.dumps(SMALL_TEMPLATE))
    try:
        cloudformation.get_waiter("stack_create_complete").wait(
            StackName=SMALL_STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )
        made = cloudformation.describe_stack_resources(StackName=SMALL_STACK)["StackResources"]
        ids = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in made}
        target.client("sqs").delete_queue(QueueUrl=ids["Lost"])
        sns.unsubscribe(SubscriptionArn=ids["Subscription"])
        yield
    finally:
        cloudformation.delete_stack(StackName=SMALL_STACK)


def nothing(_: Target) -> AbstractContextManager[None]:
    return contextlib.nullcontext()


PLANTS: Mapping[str, Plant] = {
    "stack-found": Plant(nothing, "", stack_name="nowhere"),
    "stack-status": Plant(answering("cloudformation.DescribeStacks", rolled_back), STACK),
    "stack-outputs": Plant(small_stack, SMALL_STACK, stack_name=SMALL_STACK),
    "resources": Plant(small_stack, SMALL_STACK, stack_name=SMALL_STACK),
    "function-state": Plant(
        answering("lambda.GetFunctionConfiguration", failed_update), f"{STACK}-store"
    ),
    "alias": Plant(deleted_alias, DURABLE),
    "mapping-enabled": Plant(set_mapping("files", Enabled=False), f"{STACK}-files"),
    "mapping-qualified": Plant(set_mapping("files", FunctionName=DURABLE), f"{STACK}-files"),
    "partial-batch-response": Plant(
        set_mapping("notify", FunctionResponseTypes=[]), f"{STACK}-notify"
    ),
    "batch-window": Plant(set_mapping("catalog", BatchSize=100), f"{STACK}-catalog"),
    "visibility-timeout": Plant(set_queue("files", VisibilityTimeout="60"), f"{STACK}-files"),
    "execution-timeout": Plant(answering("lambda.GetFunctionConfiguration", too_long), DURABLE),
    "stage-timeout": Plant(set_timeout(31), f"{STACK}-store"),
    "deadline-settings": Plant(set_timeout(25), DURABLE),
    "redrive-policy": Plant(set_queue("notify", RedrivePolicy=""), f"{STACK}-notify"),
    "max-receive-count": Plant(one_delivery, f"{STACK}-notify"),
    "dead-letter-retention": Plant(
        set_queue("cleanup-dead-letters", MessageRetentionPeriod="345600"), f"{STACK}-cleanup"
    ),
    "dead-letters": Plant(dead_letter, f"{STACK}-notify-dead-letters", "warning"),
    "queue-senders": Plant(set_queue("objects", Policy=""), f"{STACK}-objects"),
    "reserved-concurrency": Plant(reserve("uploads", 0), f"{STACK}-uploads"),
    "mapping-concurrency": Plant(reserve("durable-pipeline", 11), DURABLE),
    "account-concurrency": Plant(
        answering(
            "lambda.GetAccountSettings",
            lambda answer: answer["AccountLimit"].update(UnreservedConcurrentExecutions=10),
        ),
        "",
    ),
    "bucket-notifications": Plant(no_notifications, "payloads"),
    "topic-subscriptions": Plant(small_stack, "small-topic", stack_name=SMALL_STACK),
    "alarms": Plant(ringing, "StoreErrorsAlarm", "warning"),
    "alarm-actions": Plant(silenced, "StoreErrorsAlarm", "warning"),
}
