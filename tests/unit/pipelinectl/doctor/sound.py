"""What AWS answers of a stack that nothing is wrong with, and of one with a fault."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from pipelinectl.aws import OUTPUTS, Connection
from pipelinectl.doctor.stack import BUCKET, FUNCTION, MAPPING, QUEUE, TOPIC, Deployed

Question = tuple[str, ...]

OPERATORS = "arn:aws:sns:eu-central-1:123456789012:operators"
EVENTS = "arn:aws:sns:eu-central-1:123456789012:events"
_FUNCTIONS = "arn:aws:lambda:eu-central-1:123456789012:function"
_QUEUES = "arn:aws:sqs:eu-central-1:123456789012"
_DENIAL = {"Effect": "Deny", "Action": "sqs:SendMessage", "Condition": {"X": {"aws:SourceArn": ""}}}
REFUSES = json.dumps({"Statement": [_DENIAL]})

STACK: Question = ("describe_stacks", "prod")
RESOURCES: Question = ("list_stack_resources", "prod")
ALARMS: Question = ("describe_alarms", "['errors']")
ACCOUNT: Question = ("get_account_settings",)
IN, TOLD, DEAD = (
    ("get_queue_attributes", f"https://sqs/{name}", "['All']") for name in ("in", "told", "dead")
)
PIPELINE: Question = ("get_function_configuration", "pipeline", "live")
STORE, NOTIFY = (("get_function_configuration", name) for name in ("store", "notify"))
FROM_IN, FROM_TOLD = (("get_event_source_mapping", f"uuid-{name}") for name in ("in", "told"))
ALIASES: Question = ("list_aliases", "pipeline")
TO_EVENTS, TO_OPERATORS = (("list_subscriptions_by_topic", topic) for topic in (EVENTS, OPERATORS))
INPUT: Question = ("get_bucket_notification_configuration", "input")

DENIED = ClientError(
    {"Error": {"Code": "AccessDenied", "Message": "not you"}}, "GetQueueAttributes"
)
GONE = ClientError({"Error": {"Code": "NotFoundException", "Message": "gone"}}, "Get")


def redrive(queue: str, count: int) -> str:
    """A redrive policy."""
    return json.dumps({"deadLetterTargetArn": f"{_QUEUES}:{queue}", "maxReceiveCount": count})


def queue(visibility: int, *, policy: str = "", **more: str) -> dict[str, Any]:
    """GetQueueAttributes."""
    attributes = {
        "VisibilityTimeout": str(visibility),
        "MessageRetentionPeriod": "1209600",
        "ApproximateNumberOfMessages": "0",
        "Policy": policy,
    }
    return {"Attributes": attributes | more}


def mapping(name: str, function: str, **more: Any) -> dict[str, Any]:
    """GetEventSourceMapping."""
    return {
        "UUID": f"uuid-{name}",
        "EventSourceArn": f"{_QUEUES}:{name}",
        "FunctionArn": f"{_FUNCTIONS}:{function}",
        "State": "Enabled",
        "BatchSize": 10,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        **more,
    }


VARIABLES = {
    "EXECUTION_TIMEOUT": "900",
    "STAGE_TIMEOUT": "60",
    "MAX_RECEIVE_COUNT": "5",
    "STORAGE_FUNCTION_ARN": f"{_FUNCTIONS}:store",
    "CSV_FILE_FUNCTION_ARN": f"{_FUNCTIONS}:files",
    "ENRICHMENT_FUNCTION_ARN": f"{_FUNCTIONS}:enrich:1",
}
_ROLE = "arn:aws:iam::123456789012:role/pipeline"
_FILES_ROLE = "arn:aws:iam::123456789012:role/files"
FILES: Question = ("get_function_configuration", "files")
OWN_STAGE: Question = ("get_function_configuration", f"{_FUNCTIONS}:enrich:1")
MAY_INVOKE: Question = (
    "simulate_principal_policy",
    _ROLE,
    "['lambda:InvokeFunction']",
    f"['{_FUNCTIONS}:enrich:1']",
)
FILES_MAY_INVOKE, FILES_MAY_STORE = (
    (
        "simulate_principal_policy",
        _FILES_ROLE,
        "['lambda:InvokeFunction']",
        f"['{_FUNCTIONS}:{name}']",
    )
    for name in ("enrich:1", "store")
)
STREAM: Question = ("describe_table", "processed")
_STREAM = "arn:aws:dynamodb:eu-central-1:123456789012:table/processed/stream/2026"
_OUTPUTS = {
    **dict.fromkeys(OUTPUTS.values(), "x"),
    "ProcessedDataTable": "processed",
    "ProcessedDataStreamArn": _STREAM,
    "DurableFunctionArn": f"{_FUNCTIONS}:pipeline:live",
    "OperatorsTopicArn": OPERATORS,
    "DeadLetterQueueUrl": "https://sqs/dead",
}
_OPERATOR = "arn:aws:iam::123456789012:role/operator"
ALARM = {
    "AlarmName": "errors",
    "StateValue": "OK",
    "StateReason": "",
    "AlarmActions": [OPERATORS],
    "ActionsEnabled": True,
}


def outputs(**change: str | None) -> list[dict[str, str]]:
    """The stack's outputs but for a `change`; None takes one away."""
    found = {**_OUTPUTS, **change}
    return [{"OutputKey": name, "OutputValue": value} for name, value in found.items() if value]


def table(*, enabled: bool = True, **change: str) -> dict[str, Any]:
    """DescribeTable, but for a `change`."""
    stream = {"StreamSpecification": {"StreamEnabled": True}} if enabled else {}
    return {"Table": {"LatestStreamArn": _STREAM, **stream, **change}}


def durable(seconds: int) -> dict[str, Any]:
    """A part of GetFunctionConfiguration."""
    return {"DurableConfig": {"ExecutionTimeout": seconds}}


def environment(**change: str) -> dict[str, Any]:
    """The durable function's variables but for a `change`."""
    return {"Environment": {"Variables": {**VARIABLES, **change}}}


def notifications(*doors: tuple[str, str]) -> dict[str, Any]:
    """GetBucketNotificationConfiguration."""
    return {
        "QueueConfigurations": [
            {
                "Events": [event],
                "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": prefix}]}},
            }
            for prefix, event in doors
        ]
    }


def subscribed(*subscriptions: tuple[str, str]) -> dict[str, Any]:
    """ListSubscriptionsByTopic, of ARNs and endpoints."""
    return {"Subscriptions": [{"SubscriptionArn": a, "Endpoint": e} for a, e in subscriptions]}


def stack(**change: Any) -> dict[str, Any]:
    """DescribeStacks, but for a `change`."""
    operators = {"ParameterKey": "OperatorRoleArns", "ParameterValue": _OPERATOR}
    sound = {"StackStatus": "UPDATE_COMPLETE", "Outputs": outputs(), "Parameters": [operators]}
    return {"Stacks": [sound | change]}


def alarms(**change: Any) -> dict[str, Any]:
    """DescribeAlarms, but for a `change`."""
    return {"MetricAlarms": [ALARM | change]}


def reserved_of(function: str) -> Question:
    """The question for a function's reserved concurrency."""
    return ("get_function_concurrency", function)


ANSWERS: Mapping[Question, Any] = {
    STACK: stack(),
    RESOURCES: {
        "StackResourceSummaries": [
            {"ResourceType": kind, "PhysicalResourceId": name, "LogicalResourceId": logical}
            for kind, logical, names in (
                (QUEUE, "Queue", ("https://sqs/in", "https://sqs/told", "https://sqs/dead")),
                (FUNCTION, "Function", ("pipeline", "store", "notify")),
                (MAPPING, "Mapping", ("uuid-in", "uuid-told")),
                (TOPIC, "Topic", (EVENTS, OPERATORS)),
                (BUCKET, "PayloadBucket", ("input",)),
                ("AWS::SNS::Subscription", "Subscription", (f"{EVENTS}:1",)),
                ("AWS::CloudWatch::Alarm", "Alarm", ("errors",)),
            )
            for name in names
        ]
    },
    ALARMS: alarms(),
    STREAM: table(),
    ACCOUNT: {
        "AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000}
    },
    IN: queue(960, RedrivePolicy=redrive("dead", 5)),
    TOLD: queue(180, RedrivePolicy=redrive("dead", 5)),
    DEAD: queue(30, policy=REFUSES),
    FROM_IN: mapping("in", "pipeline:live", ScalingConfig={"MaximumConcurrency": 10}),
    FROM_TOLD: mapping("told", "notify"),
    PIPELINE: {"Timeout": 900, "Role": _ROLE, **durable(900), **environment()},
    OWN_STAGE: {"Timeout": 60},
    MAY_INVOKE: {"EvaluationResults": [{"EvalDecision": "allowed"}]},
    FILES: {"Timeout": 60, "Role": _FILES_ROLE},
    FILES_MAY_INVOKE: {"EvaluationResults": [{"EvalDecision": "allowed"}]},
    FILES_MAY_STORE: {"EvaluationResults": [{"EvalDecision": "allowed"}]},
    STORE: {"Timeout": 60},
    NOTIFY: {"Timeout": 30},
    ALIASES: {"Aliases": [{"Name": "live"}]},
    **{reserved_of(name): {} for name in ("pipeline", "store", "notify")},
    TO_EVENTS: subscribed((f"{EVENTS}:1", "x")),
    TO_OPERATORS: subscribed(("mail", "x")),
    INPUT: notifications(("messages/", "s3:ObjectCreated:*")),
}
LOCAL = Connection({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"})


def deployed(
    answers: Mapping[Question, Any] = ANSWERS, connection: Connection | None = None
) -> Deployed:
    """A stack of which AWS answers so to every question."""
    return Deployed(connection, "prod", answers=dict(answers))


def but(question: Question, **change: Any) -> dict[Question, Any]:
    """Sound answers but for a part of one."""
    return {**ANSWERS, question: {**ANSWERS[question], **change}}


def but_queue(question: Question, **change: str) -> dict[Question, Any]:
    """Sound answers but for attributes of a queue."""
    return but(question, Attributes=ANSWERS[question]["Attributes"] | change)


def answering(question: Question, answer: Any) -> dict[Question, Any]:
    """Sound answers but for one."""
    return {**ANSWERS, question: answer}
