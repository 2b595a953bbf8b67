"""What AWS answers of a stack that nothing is wrong with, and of one with a fault."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from pipelinectl.doctor.stack import Deployed
from pipelinectl.session import Connection
from pipelinectl.stack import OUTPUTS

Question = tuple[str, ...]

OPERATORS = "arn:aws:sns:eu-central-1:123456789012:operators"
EVENTS = "arn:aws:sns:eu-central-1:123456789012:events"
_FUNCTIONS = "arn:aws:lambda:eu-central-1:123456789012:function"
_QUEUES = "arn:aws:sqs:eu-central-1:123456789012"
_DENIAL = {"Effect": "Deny", "Action": "sqs:SendMessage", "Condition": {"X": {"aws:SourceArn": ""}}}
REFUSES = json.dumps({"Statement": [_DENIAL]})

QUEUE, TOPIC, BUCKET = "AWS::SQS::Queue", "AWS::SNS::Topic", "AWS::S3::Bucket"
FUNCTION, MAPPING = "AWS::Lambda::Function", "AWS::Lambda::EventSourceMapping"

STACK: Question = ("stack",)
RESOURCES: Question = ("resources",)
ALARMS: Question = ("alarms",)
ACCOUNT: Question = ("account",)
IN, TOLD, DEAD = ((QUEUE, f"https://sqs/{name}") for name in ("in", "told", "dead"))
PIPELINE, STORE, NOTIFY = ((FUNCTION, name) for name in ("pipeline", "store", "notify"))
FROM_IN, FROM_TOLD = ((MAPPING, f"uuid-{name}") for name in ("in", "told"))
TO_EVENTS, TO_OPERATORS = (TOPIC, EVENTS), (TOPIC, OPERATORS)
INPUT: Question = (BUCKET, "input")

DENIED = ClientError(
    {"Error": {"Code": "AccessDenied", "Message": "not you"}}, "GetQueueAttributes"
)
GONE = ClientError({"Error": {"Code": "NotFoundException", "Message": "gone"}}, "Get")


def redrive(queue: str, count: int) -> str:
    """A redrive policy."""
    return json.dumps({"deadLetterTargetArn": f"{_QUEUES}:{queue}", "maxReceiveCount": count})


def queue(visibility: int, *, policy: str = "", **more: str) -> dict[str, str]:
    """GetQueueAttributes."""
    return {
        "VisibilityTimeout": str(visibility),
        "MessageRetentionPeriod": "1209600",
        "ApproximateNumberOfMessages": "0",
        "Policy": policy,
        **more,
    }


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
}
_OUTPUTS = {
    **dict.fromkeys(OUTPUTS.values(), "x"),
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


def subscribed(arn: str, endpoint: str = "x") -> dict[str, str]:
    """A part of ListSubscriptionsByTopic."""
    return {"SubscriptionArn": arn, "Endpoint": endpoint}


ANSWERS: Mapping[Question, Any] = {
    STACK: {
        "StackStatus": "UPDATE_COMPLETE",
        "Outputs": outputs(),
        "Parameters": [{"ParameterKey": "OperatorRoleArns", "ParameterValue": _OPERATOR}],
    },
    RESOURCES: {
        QUEUE: {"https://sqs/in": "In", "https://sqs/told": "Told", "https://sqs/dead": "Dead"},
        FUNCTION: {"pipeline": "Pipeline", "store": "Store", "notify": "Notify"},
        MAPPING: {"uuid-in": "FromIn", "uuid-told": "FromTold"},
        TOPIC: {EVENTS: "Events", OPERATORS: "Operators"},
        BUCKET: {"input": "PayloadBucket"},
        "AWS::SNS::Subscription": {f"{EVENTS}:1": "Subscription"},
        "AWS::CloudWatch::Alarm": {"errors": "Errors"},
    },
    ALARMS: {"errors": ALARM},
    ACCOUNT: {
        "AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000}
    },
    IN: queue(960, RedrivePolicy=redrive("dead", 5)),
    TOLD: queue(180, RedrivePolicy=redrive("dead", 5)),
    DEAD: queue(30, policy=REFUSES),
    FROM_IN: mapping("in", "pipeline:live", ScalingConfig={"MaximumConcurrency": 10}),
    FROM_TOLD: mapping("told", "notify"),
    PIPELINE: {"Timeout": 900, **durable(900), **environment()},
    STORE: {"Timeout": 60},
    NOTIFY: {"Timeout": 30},
    ("aliases", "pipeline"): ["live"],
    **{("reserved", name): {} for name in ("pipeline", "store", "notify")},
    TO_EVENTS: [subscribed(f"{EVENTS}:1")],
    TO_OPERATORS: [subscribed("mail")],
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


def answering(question: Question, answer: Any) -> dict[Question, Any]:
    """Sound answers but for one."""
    return {**ANSWERS, question: answer}
