"""Reads one resource each: what an API answers, as the fact that the rules need."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from localcloud.overlay import TIMEOUT_VARIABLE
from pipelinectl.diagnosis.facts import (
    Account,
    Alarm,
    Bucket,
    Door,
    Function,
    Mapping,
    Queue,
    Redrive,
    Topic,
)
from pipelinectl.diagnosis.unread import attempt, is_gone

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from mypy_boto3_cloudwatch.client import CloudWatchClient
    from mypy_boto3_lambda.client import LambdaClient
    from mypy_boto3_lambda.type_defs import FunctionConfigurationResponseTypeDef
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sns.client import SNSClient
    from mypy_boto3_sqs.client import SQSClient

_PENDING = "PendingConfirmation"
_NOTIFICATIONS = (
    "QueueConfigurations",
    "TopicConfigurations",
    "LambdaFunctionConfigurations",
)
_SENDING = frozenset({"sqs:sendmessage", "sqs:*"})
_SENDERS = frozenset({"aws:sourcearn", "aws:principalarn"})


def read_queue(sqs: SQSClient, url: str) -> Queue:
    """A queue by its URL."""
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    policy = json.loads(attributes.get("RedrivePolicy") or "null")
    return Queue(
        name=_last(attributes["QueueArn"]),
        url=url,
        visibility_timeout=int(attributes["VisibilityTimeout"]),
        retention=int(attributes["MessageRetentionPeriod"]),
        messages=int(attributes["ApproximateNumberOfMessages"]),
        redrive=_redrive(policy) if policy else None,
        refuses_strangers=_refuses_strangers(json.loads(attributes.get("Policy") or "{}")),
    )


def _refuses_strangers(policy: dict[str, Any]) -> bool:
    """Whether it denies to send, whatever IAM allows, by who sends or on whose behalf."""
    return any(
        statement["Effect"] == "Deny"
        and _SENDING & {action.lower() for action in _listed(statement.get("Action", []))}
        and _SENDERS
        & {key.lower() for one in statement.get("Condition", {}).values() for key in one}
        for statement in _listed(policy.get("Statement", []))
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _redrive(policy: dict[str, Any]) -> Redrive:
    return Redrive(_last(policy["deadLetterTargetArn"]), int(policy["maxReceiveCount"]))


def read_mapping(lambda_: LambdaClient, uuid: str) -> Mapping:
    """An event source mapping by its UUID."""
    mapping = lambda_.get_event_source_mapping(UUID=uuid)
    name, _, qualifier = mapping["FunctionArn"].partition(":function:")[2].partition(":")
    return Mapping(
        uuid=uuid,
        queue=_last(mapping["EventSourceArn"]),
        function=name,
        qualifier=qualifier or None,
        state=mapping["State"],
        batch_size=mapping["BatchSize"],
        window=mapping.get("MaximumBatchingWindowInSeconds", 0),
        maximum_concurrency=mapping.get("ScalingConfig", {}).get("MaximumConcurrency"),
        reports_item_failures="ReportBatchItemFailures" in mapping.get("FunctionResponseTypes", []),
    )


def read_function(lambda_: LambdaClient, name: str, alias: str | None = None) -> Function:
    """A function by its name; of what `alias` names, where there is such an alias."""
    configuration = _configuration(lambda_, name, alias)
    variables = configuration.get("Environment", {}).get("Variables", {})
    return Function(
        name=name,
        timeout=configuration["Timeout"],
        state=configuration.get("State", "Active"),
        state_reason=configuration.get("StateReason", ""),
        last_update=configuration.get("LastUpdateStatus", "Successful"),
        last_update_reason=configuration.get("LastUpdateStatusReason", ""),
        execution_timeout=_execution_timeout(configuration, variables),
        reserved_concurrency=attempt(lambda: _reserved(lambda_, name)),
        qualifiers=attempt(lambda: frozenset(_aliases(lambda_, name))),
        variables=variables,
    )


def _configuration(
    lambda_: LambdaClient, name: str, alias: str | None
) -> FunctionConfigurationResponseTypeDef:
    """A version's settings stay as they were published: what runs is what the alias names."""
    from botocore.exceptions import ClientError

    if alias is not None:
        try:
            return lambda_.get_function_configuration(FunctionName=name, Qualifier=alias)
        except ClientError as error:
            if not is_gone(error):
                raise
    return lambda_.get_function_configuration(FunctionName=name)


def _execution_timeout(
    configuration: FunctionConfigurationResponseTypeDef, variables: dict[str, str]
) -> int | None:
    """On a local cloud, where the overlay has put it."""
    durable = configuration.get("DurableConfig") or {}
    seconds = durable.get("ExecutionTimeout") or variables.get(TIMEOUT_VARIABLE)
    return int(seconds) if seconds else None


def _reserved(lambda_: LambdaClient, name: str) -> int | None:
    answer = lambda_.get_function_concurrency(FunctionName=name)
    return answer.get("ReservedConcurrentExecutions")


def _aliases(lambda_: LambdaClient, name: str) -> Iterator[str]:
    for page in lambda_.get_paginator("list_aliases").paginate(FunctionName=name):
        yield from (alias["Name"] for alias in page["Aliases"])


def read_topic(sns: SNSClient, arn: str, expected: frozenset[str]) -> Topic:
    """A topic by its ARN; `expected` are the ARNs of the stack's subscriptions to it."""
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=arn)
    found = [subscription for page in pages for subscription in page["Subscriptions"]]
    return Topic(
        arn=arn,
        expected=expected,
        subscriptions=frozenset(
            s["SubscriptionArn"] for s in found if s["SubscriptionArn"] != _PENDING
        ),
        unconfirmed=tuple(s["Endpoint"] for s in found if s["SubscriptionArn"] == _PENDING),
    )


def read_bucket(s3: S3Client, name: str, expected: tuple[Door, ...]) -> Bucket:
    """A bucket by its name; `expected` are the doors that it has by template.yaml."""
    answer: Any = s3.get_bucket_notification_configuration(Bucket=name)
    configurations = (one for kind in _NOTIFICATIONS for one in answer.get(kind, []))
    doors = (
        Door(_prefix(configuration), event)
        for configuration in configurations
        for event in configuration["Events"]
    )
    return Bucket(name, expected, frozenset(doors))


def _prefix(configuration: dict[str, Any]) -> str:
    rules = configuration.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    return next((r["Value"] for r in rules if r["Name"].lower() == "prefix"), "")


def read_alarms(cloudwatch: CloudWatchClient, names: Sequence[str]) -> list[Alarm]:
    """Alarms by their names, at most 100."""
    return [
        Alarm(
            name=alarm["AlarmName"],
            state=alarm["StateValue"],
            reason=" ".join(alarm.get("StateReason", "").split()),
            actions=tuple(alarm["AlarmActions"]) if alarm["ActionsEnabled"] else (),
        )
        for alarm in cloudwatch.describe_alarms(AlarmNames=list(names), MaxRecords=100)[
            "MetricAlarms"
        ]
    ]


def read_account(lambda_: LambdaClient) -> Account:
    """The account's limits of concurrency."""
    limit = lambda_.get_account_settings()["AccountLimit"]
    return Account(limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"])


def _last(arn: str) -> str:
    return arn.rpartition(":")[2]
