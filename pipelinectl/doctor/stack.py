"""A deployed stack as AWS's APIs describe it; what checks find; the checks of the stack itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipelinectl import errors
from pipelinectl.aws import OUTPUTS, describe, outputs_of
from pipelinectl.errors import NotFoundError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackTypeDef

    from localcloud.settings import Settings
    from pipelinectl.aws import Connection

QUEUE, TOPIC, BUCKET = "AWS::SQS::Queue", "AWS::SNS::Topic", "AWS::S3::Bucket"
FUNCTION, MAPPING = "AWS::Lambda::Function", "AWS::Lambda::EventSourceMapping"
READ = (QUEUE, TOPIC, BUCKET, FUNCTION, MAPPING)
_WORKERS = 8
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")
_GONE = frozenset(
    {
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
        "NoSuchBucket",
        "NotFound",
        "NotFoundException",
        "ResourceNotFoundException",
    }
)

CREATED, REMOVED = "s3:ObjectCreated:*", "s3:ObjectRemoved:*"
DOORS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "InputBucket": tuple((door, on) for door in ("input/", "direct/") for on in (CREATED, REMOVED)),
    "PayloadBucket": (("messages/", CREATED),),
}
"""The prefixes and events that template.yaml's buckets announce, by the buckets' logical ids."""


class Level(Enum):
    """How bad it is, from good to bad."""

    OK = "ok"
    UNCHECKED = "unchecked"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """What was found of one thing, and what to do about it; what is ok needs no remedy."""

    level: Level
    subject: str
    found: str
    remedy: str = ""


Findings = Iterator[Finding]


def ok(subject: str, found: str) -> Finding:
    """It keeps the rule."""
    return Finding(Level.OK, subject, found)


def warning(subject: str, found: str, remedy: str) -> Finding:
    """It works, but not as well, or only for some time."""
    return Finding(Level.WARNING, subject, found, remedy)


def problem(subject: str, found: str, remedy: str) -> Finding:
    """Something is lost, delayed or repeated, or will be."""
    return Finding(Level.PROBLEM, subject, found, remedy)


def verdict(subject: str, found: str, remedy: str, *, bad: Level | None) -> Finding:
    """What was found, with the remedy where it is bad."""
    return Finding(bad, subject, found, remedy) if bad else ok(subject, found)


@dataclass(frozen=True)
class Deployed:
    """A stack, asked for through APIs that AWS and the local cloud both have.

    `absence` says why there is no stack; `machine` are the local cloud's settings, None outside of
    a project's folder. `answers` are those so far, or errors, by what was asked.
    """

    connection: Connection | None
    name: str
    absence: str = ""
    machine: Settings | None = None
    answers: dict[tuple[str, ...], Any] = field(default_factory=dict)

    def ask(self, service: str, operation: str, **arguments: Any) -> Any:
        """What AWS answers, all pages of it; each question is asked once, errors are raised."""
        from botocore.exceptions import BotoCoreError, ClientError

        question = (operation, *map(str, arguments.values()))
        if question not in self.answers and self.connection:
            client = getattr(self.connection, service)
            try:
                if client.can_paginate(operation):
                    pages = client.get_paginator(operation).paginate(**arguments)
                    self.answers[question] = pages.build_full_result()
                else:
                    self.answers[question] = getattr(client, operation)(**arguments)
            except (BotoCoreError, ClientError) as error:
                self.answers[question] = error
        answer = self.answers[question]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def local(self) -> bool:
        """Whether it is on this machine: an endpoint elsewhere may be one of AWS's, in a VPC."""
        url = self.connection.endpoint_url if self.connection else None
        return bool(url) and urlsplit(url).hostname in _THIS_MACHINE

    @property
    def description(self) -> StackTypeDef:
        """The stack itself."""
        described: StackTypeDef = self.ask(
            "cloudformation", "describe_stacks", StackName=self.name
        )["Stacks"][0]
        return described

    def output(self, name: str) -> str:
        """One of the stack's outputs, or nothing."""
        return outputs_of(self.description).get(name, "")

    @property
    def alias(self) -> str:
        """The alias by which clients invoke the durable function, if there is one."""
        return invoked(self.output("DurableFunctionArn"))[1]

    def resources(self, kind: str) -> Mapping[str, str]:
        """Logical ids of the stack's resources of a kind, by their physical ids.

        What was never made has no physical id.
        """
        if self.absence:
            return {}
        found = self.ask("cloudformation", "list_stack_resources", StackName=self.name)
        return {
            one["PhysicalResourceId"]: one["LogicalResourceId"]
            for one in found["StackResourceSummaries"]
            if one["ResourceType"] == kind and one.get("PhysicalResourceId")
        }

    def there(self, kind: str) -> list[str]:
        """Physical ids of the stack's resources of a kind that have not been deleted by hand."""
        names = self.resources(kind)
        return sorted(name for name in names if not is_gone(self.error_of(kind, name)))

    def readable(self, kind: str) -> list[Any]:
        """What AWS says of those that it answers for."""
        names = self.there(kind)
        return [self.read(kind, name) for name in names if not self.error_of(kind, name)]

    def read(self, kind: str, name: str) -> Any:
        """What AWS says first of all of a resource."""
        match kind:
            case "AWS::SQS::Queue":
                attributes = ["All"]
                return self.ask(
                    "sqs", "get_queue_attributes", QueueUrl=name, AttributeNames=attributes
                )["Attributes"]
            case "AWS::Lambda::EventSourceMapping":
                return self.ask("lambda_", "get_event_source_mapping", UUID=name)
            case "AWS::Lambda::Function":
                return self.function(name)
            case "AWS::SNS::Topic":
                return self.ask("sns", "list_subscriptions_by_topic", TopicArn=name)[
                    "Subscriptions"
                ]
        return self.ask("s3", "get_bucket_notification_configuration", Bucket=name)

    def alarms(self) -> Mapping[str, Any]:
        """The stack's alarms by their names, asked for by hundreds."""
        names = list(self.resources("AWS::CloudWatch::Alarm"))
        starts = range(0, len(names), 100)
        hundreds = [
            self.ask("cloudwatch", "describe_alarms", AlarmNames=names[at : at + 100])
            for at in starts
        ]
        return {alarm["AlarmName"]: alarm for found in hundreds for alarm in found["MetricAlarms"]}

    def function(self, name: str) -> Any:
        """A function's configuration; of what the alias names, where there is such an alias.

        A version's settings stay as they were published: what runs is what the alias names.
        """
        asked = {"FunctionName": name}
        if self.alias and invoked(self.output("DurableFunctionArn"))[0] == name:
            try:
                return self.ask(
                    "lambda_", "get_function_configuration", **asked, Qualifier=self.alias
                )
            except errors.expected() as error:
                if not is_gone(error):
                    raise
        return self.ask("lambda_", "get_function_configuration", **asked)

    def mappings_to(self, function: str) -> list[Any]:
        """The event source mappings, of those that can be read, that invoke a function."""
        return [m for m in self.readable(MAPPING) if invoked(m["FunctionArn"])[0] == function]

    def queue_url(self, name: str) -> str:
        """The URL of one of the stack's queues; `NotFoundError` where it has none of this name."""
        urls = {short(url): url for url in self.there(QUEUE)}
        if name not in urls:
            raise NotFoundError(f"the stack has no queue {name}")
        return urls[name]

    def error_of(self, kind: str, name: str) -> Exception | None:
        """Why a resource cannot be read, if it cannot."""
        try:
            self.read(kind, name)
        except errors.expected() as error:
            return error
        return None

    def read_ahead(self) -> None:
        """Ask for all resources, several at a time; errors wait in `answers`."""
        wanted = [(kind, name) for kind in READ for name in self.resources(kind)]
        if self.connection:
            # Clients of one session must be made one after the other.
            aws = self.connection
            _ = aws.sqs, aws.sns, aws.s3, aws.lambda_
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="doctor") as pool:
            list(pool.map(lambda one: self.error_of(*one), wanted))


def examine(connection: Connection, name: str, machine: Settings | None = None) -> Deployed:
    """A stack, with what is known of it at once.

    Raises:
        StackMissingError: there is none.
    """
    described = {"Stacks": [describe(connection.cloudformation, name)]}
    return Deployed(connection, name, "", machine, {("describe_stacks", name): described})


def short(name: str) -> str:
    """The name in a queue's URL or in an ARN."""
    return name.rpartition("/")[2].rpartition(":")[2]


def invoked(arn: str) -> tuple[str, str]:
    """The function that an ARN names, and the alias or version, if any."""
    name, _, qualifier = arn.partition(":function:")[2].partition(":")
    return name, qualifier


def durable_timeout(function: Mapping[str, Any]) -> int | None:
    """A durable function's ExecutionTimeout in seconds; None of one that is not durable."""
    seconds = (function.get("DurableConfig") or {}).get("ExecutionTimeout")
    return int(seconds) if seconds else None


def variables(function: Mapping[str, Any]) -> Mapping[str, str]:
    """A function's environment."""
    found: Mapping[str, str] = function.get("Environment", {}).get("Variables", {})
    return found


def is_gone(error: Exception | None) -> bool:
    """Whether the service says that there is no such thing."""
    response = getattr(error, "response", {})
    return response.get("Error", {}).get("Code") in _GONE


def stack_found(stack: Deployed, _: str) -> Findings:
    """The absence's own line has the remedy: it depends on what is missing."""
    if stack.absence:
        what, _, how = stack.absence.partition(": ")
        yield problem("", what, how or "check the AWS environment variables and --stack-name")
    else:
        yield ok(stack.name, "on a local cloud" if stack.local else "on AWS")


def stack_status(stack: Deployed, name: str) -> Findings:
    """A rollback leaves what was there before; of a failed first deployment, nothing."""
    status = stack.description["StackStatus"]
    found = f"{status} {stack.description.get('StackStatusReason', '')}".strip()
    events = f"aws cloudformation describe-stack-events --stack-name {name}"
    if status.endswith("_IN_PROGRESS"):
        yield warning(name, found, "wait until it is done, and ask again")
    elif status == "UPDATE_ROLLBACK_COMPLETE":
        remedy = f"the version before runs: see why with '{events}', then deploy again"
        yield warning(name, found, remedy)
    elif status.endswith("FAILED") or "ROLLBACK" in status:
        remedy = f"see why with '{events}', then repair or delete the stack and deploy again"
        yield problem(name, found, remedy)
    else:
        yield ok(name, found)


def stack_outputs(stack: Deployed, name: str) -> Findings:
    """An older template has fewer of them."""
    missing = [output for output in OUTPUTS.values() if not stack.output(output)]
    found = f"no {', '.join(missing)}" if missing else f"all {len(OUTPUTS)}"
    again = "deploy template.yaml again ('pipelinectl local up' or 'sam deploy')"
    remedy = f"the stack is older than this tool: {again}"
    yield verdict(name, found, remedy, bad=Level.PROBLEM if missing else None)


def resources(stack: Deployed, name: str) -> Findings:
    """CloudFormation does not notice what was deleted by hand."""
    wanted = [(kind, name) for kind in READ for name in stack.resources(kind)]
    errors = {name: stack.error_of(kind, name) for kind, name in wanted}
    gone = [short(name) for name, error in errors.items() if is_gone(error)]
    if gone:
        remedy = (
            "it was deleted behind the stack's back: delete the stack and deploy it anew, or "
            "make it again under its name"
        )
        yield problem(name, f"gone: {', '.join(gone)}", remedy)
        return
    for error in filter(None, errors.values()):
        raise error
    yield ok(name, f"all {len(wanted)} queues, functions, mappings, topics and buckets")


def processed_data_stream(stack: Deployed, _: str) -> Findings:
    """Who switches a stream off and on again gets another one, which no sink reads."""
    arn = stack.output("ProcessedDataStreamArn")
    if not arn:
        return
    name = stack.output("ProcessedDataTable")
    table = stack.ask("dynamodb", "describe_table", TableName=name)["Table"]
    enabled = table.get("StreamSpecification", {}).get("StreamEnabled", False)
    is_known = table.get("LatestStreamArn") == arn
    found = "off" if not enabled else "on" if is_known else "not the one in the stack's outputs"
    remedy = (
        "somebody changed it behind the stack's back: deploy with ProcessedDataStream=false, with "
        "true, and then each sink with the new ProcessedDataStreamArn"
    )
    yield verdict(name, found, remedy, bad=None if enabled and is_known else Level.PROBLEM)


def bucket_notifications(stack: Deployed, bucket: str) -> Findings:
    """Whoever sets one notification of a bucket replaces them all."""
    expected = DOORS.get(stack.resources(BUCKET)[bucket], ())
    if not expected:
        return
    answer: Any = stack.read(BUCKET, bucket)
    kinds = ("QueueConfigurations", "TopicConfigurations", "LambdaFunctionConfigurations")
    announced = {
        (_prefix(configuration), event)
        for kind in kinds
        for configuration in answer.get(kind, [])
        for event in configuration["Events"]
    }
    if missing := [
        f"{event} below {door}" for door, event in expected if (door, event) not in announced
    ]:
        remedy = "deploy again under another stack name, or restore them"
        yield problem(bucket, f"nothing tells of {', '.join(missing)}", remedy)
    else:
        yield ok(bucket, ", ".join(f"{door} {event}" for door, event in expected))


def _prefix(configuration: Mapping[str, Any]) -> str:
    rules = configuration.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    return next((r["Value"] for r in rules if r["Name"].lower() == "prefix"), "")


def _subscribed(stack: Deployed, topic: str) -> tuple[set[str], list[str]]:
    """ARNs of a topic's subscriptions, and the endpoints that have not confirmed theirs."""
    answer: Any = stack.read(TOPIC, topic)
    pending = "PendingConfirmation"
    arns = {one["SubscriptionArn"] for one in answer} - {pending}
    return arns, [one["Endpoint"] for one in answer if one["SubscriptionArn"] == pending]


def topic_subscriptions(stack: Deployed, topic: str) -> Findings:
    """What a topic has no subscription for is dropped without a trace.

    One that nobody has confirmed yet is listed without its ARN: it is not gone.
    """
    made = stack.resources("AWS::SNS::Subscription")
    expected = {arn for arn in made if arn.rpartition(":")[0] == topic}
    if not expected:
        return
    arns, unconfirmed = _subscribed(stack, topic)
    lost = expected - arns
    found = f"{len(expected) - len(lost)} of {len(expected)}"
    if len(lost) > len(unconfirmed):
        remedy = (
            "subscribe the queue again with 'aws sns subscribe', or delete and deploy the stack"
        )
        yield problem(short(topic), f"{found}, gone: {', '.join(sorted(lost))}", remedy)
    else:
        yield ok(short(topic), found)


def alarms(stack: Deployed, name: str) -> Findings:
    """Its description says what it is about."""
    found = stack.alarms()[name]
    if found["StateValue"] != "ALARM":
        yield ok(name, found["StateValue"])
        return
    reason = " ".join(found.get("StateReason", "").split())
    remedy = f"see what it is about: aws cloudwatch describe-alarms --alarm-names {name}"
    yield warning(name, f"ALARM {reason}".strip(), remedy)


def alarm_actions(stack: Deployed, name: str) -> Findings:
    """One without actions changes its colour on a page that nobody looks at."""
    found = stack.alarms()[name]
    if found["AlarmActions"] and found["ActionsEnabled"]:
        yield ok(name, "tells " + ", ".join(map(short, found["AlarmActions"])))
        return
    remedy = f"deploy again, or aws cloudwatch enable-alarm-actions --alarm-names {name}"
    yield warning(name, "tells nobody", remedy)


def operators(stack: Deployed, topic: str) -> Findings:
    """On a local cloud nobody need be told: it sends no mail, and its alarms keep still."""
    if topic != stack.output("OperatorsTopicArn"):
        return
    arns, unconfirmed = _subscribed(stack, topic)
    if unconfirmed:
        remedy = "open the mail that SNS sent there, and confirm"
        yield warning(short(topic), f"unconfirmed: {', '.join(unconfirmed)}", remedy)
    elif arns:
        yield ok(short(topic), f"{len(arns)} subscribed")
    elif stack.local:
        yield ok(short(topic), "nobody, which is no fault on a local cloud")
    else:
        remedy = "deploy with OperatorsEmail, OperatorsPhone or AlarmTopicArn"
        yield warning(short(topic), "nobody hears of alarms and failed objects", remedy)
