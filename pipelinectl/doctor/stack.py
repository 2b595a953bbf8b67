"""A deployed stack as AWS's APIs describe it; what checks find; the checks of the stack itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from pipelinectl import failures
from pipelinectl.errors import NotFoundError
from pipelinectl.stack import OUTPUTS, describe, outputs_of, parameters_of

if TYPE_CHECKING:
    from localcloud.settings import Settings
    from pipelinectl.session import Connection

T = TypeVar("T")

_QUEUE, _TOPIC, _BUCKET = "AWS::SQS::Queue", "AWS::SNS::Topic", "AWS::S3::Bucket"
_FUNCTION, _MAPPING = "AWS::Lambda::Function", "AWS::Lambda::EventSourceMapping"
_READ = (_QUEUE, _TOPIC, _BUCKET, _FUNCTION, _MAPPING)
_WORKERS = 8
_ALARMS_A_CALL = 100
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


@dataclass(frozen=True)
class Deployed:
    """A stack, asked for through APIs that AWS and the local cloud both have.

    `absence` says why there is no stack; `machine` are the local cloud's settings, None outside of
    a project's folder. `answers` holds what was answered to each question, or the error, so that
    none is asked twice.
    """

    connection: Connection | None
    name: str
    absence: str = ""
    machine: Settings | None = None
    answers: dict[tuple[str, ...], Any] = field(default_factory=dict)

    def once(self, question: tuple[str, ...], ask: Callable[[Connection], T]) -> T:
        """The answer to a question, or the error of AWS's that it was answered with."""
        from botocore.exceptions import BotoCoreError, ClientError

        if question not in self.answers and self.connection:
            try:
                self.answers[question] = ask(self.connection)
            except (BotoCoreError, ClientError) as error:
                self.answers[question] = error
        answer = self.answers[question]
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]  # the cache holds answers of every type

    @property
    def local(self) -> bool:
        """Whether it is on this machine: an endpoint elsewhere may be one of AWS's, in a VPC."""
        url = self.connection.endpoint_url if self.connection else None
        return bool(url) and urlsplit(url).hostname in _THIS_MACHINE

    @property
    def description(self) -> Mapping[str, Any]:
        """DescribeStacks; `StackMissingError` where there is none."""
        return self.once(("stack",), lambda aws: describe(aws.cloudformation, self.name))

    def output(self, name: str) -> str:
        """One of the stack's outputs, or nothing."""
        return outputs_of(self.description).get(name, "")  # type: ignore[arg-type]  # as answered

    @property
    def parameters(self) -> Mapping[str, str]:
        """The stack's parameters."""
        return parameters_of(self.description)  # type: ignore[arg-type]  # as it was answered

    @property
    def alias(self) -> str:
        """The alias by which clients invoke the durable function, if there is one."""
        return self.output("DurableFunctionArn").partition(":function:")[2].partition(":")[2]

    def stack(self) -> list[str]:
        """Its name, if there is one."""
        return [] if self.absence else [self.name]

    def resources(self, kind: str) -> Mapping[str, str]:
        """Logical ids of the stack's resources of a kind, by their physical ids."""
        if self.absence:
            return {}
        found = self.once(("resources",), self._list)
        return found.get(kind, {})

    def queues(self) -> list[str]:
        """URLs of the queues that are still there."""
        return self._there(_QUEUE)

    def topics(self) -> list[str]:
        """ARNs of the topics that are still there."""
        return self._there(_TOPIC)

    def buckets(self) -> list[str]:
        """Names of the buckets that are still there."""
        return self._there(_BUCKET)

    def functions(self) -> list[str]:
        """Names of the functions that are still there."""
        return self._there(_FUNCTION)

    def mappings(self) -> list[str]:
        """UUIDs of the event source mappings that are still there."""
        return self._there(_MAPPING)

    def alarms(self) -> Mapping[str, Mapping[str, Any]]:
        """DescribeAlarms, by the alarms' names."""
        names = list(self.resources("AWS::CloudWatch::Alarm"))
        if not names:
            return {}
        starts = range(0, len(names), _ALARMS_A_CALL)
        return self.once(
            ("alarms",),
            lambda aws: {
                alarm["AlarmName"]: alarm
                for at in starts
                for alarm in aws.cloudwatch.describe_alarms(
                    AlarmNames=names[at : at + _ALARMS_A_CALL], MaxRecords=_ALARMS_A_CALL
                )["MetricAlarms"]
            },
        )

    def queue(self, url: str) -> Mapping[str, str]:
        """GetQueueAttributes."""

        def ask(aws: Connection) -> Mapping[Any, str]:
            asked = aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
            return asked["Attributes"]

        return self.once((_QUEUE, url), ask)

    def queue_url(self, name: str) -> str:
        """The URL of one of the stack's queues; `NotFoundError` where it has none of this name."""
        urls = {short(url): url for url in self.queues()}
        if name not in urls:
            raise NotFoundError(f"the stack has no queue {name}")
        return urls[name]

    def readable_queues(self) -> list[Mapping[str, str]]:
        """GetQueueAttributes of the queues that can be read."""
        return self._readable(_QUEUE)

    def mapping(self, uuid: str) -> Mapping[str, Any]:
        """GetEventSourceMapping."""
        return self.once(
            (_MAPPING, uuid), lambda aws: aws.lambda_.get_event_source_mapping(UUID=uuid)
        )

    def mappings_to(self, function: str) -> list[Mapping[str, Any]]:
        """The event source mappings, of those that can be read, that invoke a function."""
        return [found for found in self._readable(_MAPPING) if invoked(found)[0] == function]

    def function(self, name: str) -> Mapping[str, Any]:
        """GetFunctionConfiguration; of what the alias names, where there is such an alias.

        A version's settings stay as they were published: what runs is what the alias names.
        """
        from botocore.exceptions import ClientError

        def ask(aws: Connection) -> Mapping[str, Any]:
            if self.alias and name in self.output("DurableFunctionArn").split(":"):
                try:
                    return aws.lambda_.get_function_configuration(
                        FunctionName=name, Qualifier=self.alias
                    )
                except ClientError as error:
                    if not _is_gone(error):
                        raise
            return aws.lambda_.get_function_configuration(FunctionName=name)

        return self.once((_FUNCTION, name), ask)

    def reserved(self, name: str) -> int | None:
        """A function's reserved concurrency; None where there is none."""
        answer = self.once(
            ("reserved", name), lambda aws: aws.lambda_.get_function_concurrency(FunctionName=name)
        )
        return answer.get("ReservedConcurrentExecutions")

    def _list(self, aws: Connection) -> Mapping[str, Mapping[str, str]]:
        found: dict[str, dict[str, str]] = defaultdict(dict)
        pages = aws.cloudformation.get_paginator("list_stack_resources")
        for page in pages.paginate(StackName=self.name):
            for one in page["StackResourceSummaries"]:
                # What was never made has no physical id.
                if name := one.get("PhysicalResourceId"):
                    found[one["ResourceType"]][name] = one["LogicalResourceId"]
        return found

    def read(self, kind: str, name: str) -> object:
        """What AWS says of a resource first of all."""
        match kind:
            case "AWS::SQS::Queue":
                return self.queue(name)
            case "AWS::Lambda::EventSourceMapping":
                return self.mapping(name)
            case "AWS::Lambda::Function":
                return self.function(name)
            case "AWS::SNS::Topic":
                return self.once((kind, name), lambda aws: list(_subscriptions(aws, name)))
        return self.once(
            (kind, name), lambda aws: aws.s3.get_bucket_notification_configuration(Bucket=name)
        )

    def read_ahead(self) -> None:
        """Ask for all resources at once, several at a time; errors wait in `answers`."""
        wanted = [(kind, name) for kind in _READ for name in self.resources(kind)]
        if self.connection:
            # Clients of one session must be made one after the other.
            aws = self.connection
            _ = aws.sqs, aws.sns, aws.s3, aws.lambda_
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="doctor") as pool:
            for _ in pool.map(lambda one: self.error_of(*one), wanted):
                pass

    def error_of(self, kind: str, name: str) -> Exception | None:
        """Why a resource cannot be read, if it cannot."""
        try:
            self.read(kind, name)
        except failures.expected() as error:
            return error
        return None

    def _readable(self, kind: str) -> list[Any]:
        answers = (self.answers[kind, name] for name in self._there(kind))
        return [answer for answer in answers if not isinstance(answer, Exception)]

    def _there(self, kind: str) -> list[str]:
        names = self.resources(kind)
        return sorted(name for name in names if not _is_gone(self.error_of(kind, name)))


def short(name: str) -> str:
    """The name in a queue's URL or in an ARN."""
    return name.rpartition("/")[2].rpartition(":")[2]


def invoked(mapping: Mapping[str, Any]) -> tuple[str, str]:
    """The function that an event source mapping invokes, and the alias or version, if any."""
    name, _, qualifier = mapping["FunctionArn"].partition(":function:")[2].partition(":")
    return name, qualifier


def durable_timeout(function: Mapping[str, Any]) -> int | None:
    """A durable function's ExecutionTimeout in seconds; None of one that is not durable."""
    from localcloud.overlay import TIMEOUT_VARIABLE

    durable = function.get("DurableConfig") or {}
    # On a local cloud, where the overlay has put it.
    seconds = durable.get("ExecutionTimeout") or variables(function).get(TIMEOUT_VARIABLE)
    return int(seconds) if seconds else None


def variables(function: Mapping[str, Any]) -> Mapping[str, str]:
    """A function's environment."""
    found: Mapping[str, str] = function.get("Environment", {}).get("Variables", {})
    return found


def _is_gone(error: Exception | None) -> bool:
    """Whether the service says that there is no such thing."""
    response = getattr(error, "response", {})
    return response.get("Error", {}).get("Code") in _GONE


def _subscriptions(aws: Connection, topic: str) -> Iterable[Any]:
    pages = aws.sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    return (one for page in pages for one in page["Subscriptions"])


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
        yield warning(name, found, "wait until it is through, and ask again")
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
    if missing:
        again = "deploy template.yaml again ('pipelinectl local up' or 'sam deploy')"
        remedy = f"the stack is older than this tool: {again}"
        yield problem(name, f"no {', '.join(missing)}", remedy)
    else:
        yield ok(name, f"all {len(OUTPUTS)}")


def resources(stack: Deployed, name: str) -> Findings:
    """CloudFormation does not notice what was deleted by hand."""
    wanted = [(kind, name) for kind in _READ for name in stack.resources(kind)]
    errors = {name: stack.error_of(kind, name) for kind, name in wanted}
    gone = [short(name) for name, error in errors.items() if _is_gone(error)]
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


def bucket_notifications(stack: Deployed, bucket: str) -> Findings:
    """Whoever sets one notification of a bucket replaces them all."""
    expected = DOORS.get(stack.resources(_BUCKET)[bucket], ())
    if not expected:
        return
    answer: Any = stack.read(_BUCKET, bucket)
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
    answer: Any = stack.read(_TOPIC, topic)
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
