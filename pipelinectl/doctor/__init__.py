"""What is wrong with a deployed pipeline or with this machine, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from pipelinectl import errors
from pipelinectl.doctor import functions, machine, queues, stack
from pipelinectl.doctor.stack import Deployed, Finding, Findings, Level, short

_LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg"
_SQS = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide"
_CLOUDFORMATION = "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide"
_SNS = "https://docs.aws.amazon.com/sns/latest/dg"
_MAPPINGS = "https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html"
_NOTIFICATIONS = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html"
_ALARMS = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html"


@dataclass(frozen=True)
class Check:
    """Holds each of some things to a rule: one sentence, from a URL or a file of this project."""

    judge: Callable[[Deployed, str], Findings]
    says: str
    source: str
    of: Callable[[Deployed], Iterable[str]] = lambda _: ()

    @property
    def name(self) -> str:
        """What the check is called."""
        return self.judge.__name__.replace("_", "-")

    def findings(self, deployed: Deployed) -> list[Finding]:
        """What is found; none where there is nothing to judge. What cannot be read is not ok."""
        try:
            subjects = list(self.of(deployed))
        except errors.expected() as error:
            return [_unchecked("", error)]
        return [found for name in subjects for found in self._judged(deployed, name)]

    def _judged(self, deployed: Deployed, name: str) -> Findings:
        try:
            yield from self.judge(deployed, name)
        except errors.expected() as error:
            yield _unchecked("" if name == deployed.name else short(name), error)


def _unchecked(subject: str, error: Exception) -> Finding:
    found = f"could not be checked: {errors.explain(error).line}"
    return Finding(Level.UNCHECKED, subject, found, "see to that, and ask again")


@dataclass(frozen=True)
class Result:
    """A check and what it found."""

    check: Check
    findings: list[Finding]

    @property
    def level(self) -> Level:
        """That of its worst finding."""
        levels = {finding.level for finding in self.findings}
        return next(level for level in reversed(Level) if level in levels)

    @property
    def document(self) -> dict[str, Any]:
        """As --json prints it."""
        return {
            "check": self.check.name,
            "level": self.level.value,
            "rule": self.check.says,
            "source": self.check.source,
            "findings": [vars(one) | {"level": one.level.value} for one in self.findings],
        }


def diagnose(deployed: Deployed) -> list[Result]:
    """Every check that has something to judge."""
    try:
        deployed.read_ahead()
    except errors.expected():
        pass  # each check says so
    results = (Result(check, check.findings(deployed)) for check in CHECKS)
    return [result for result in results if result.findings]


def _whole(deployed: Deployed) -> list[str]:
    return [] if deployed.absence else [deployed.name]


def _each(kind: str) -> Callable[[Deployed], list[str]]:
    return lambda deployed: deployed.there(kind)


def _of(of: Callable[[Deployed], Iterable[str]], *checks: Check) -> Iterator[Check]:
    return (replace(check, of=of) for check in checks)


CHECKS = (
    *_of(
        machine.here,
        Check(machine.python, "the python3 that make takes is 3.11 or newer", "pyproject.toml"),
        Check(
            machine.commands,
            "make is on the PATH, and uv there or beside pipelinectl: 'sam build' calls both",
            "src/Makefile",
        ),
        Check(machine.tools, "make setup has installed ministack and sam", "Makefile"),
        Check(
            machine.ports,
            "nobody else holds the ports of the local cloud",
            "localcloud/settings.py",
        ),
    ),
    *_of(
        lambda deployed: [deployed.name],
        Check(
            stack.stack_found,
            "the stack exists where the AWS environment leads to",
            "pipelinectl/aws.py",
        ),
    ),
    *_of(
        _whole,
        Check(
            stack.stack_status,
            "the last deployment went through",
            f"{_CLOUDFORMATION}/view-stack-events.html",
        ),
        Check(
            stack.stack_outputs,
            "the stack has every output that pipelinectl looks for",
            "pipelinectl/aws.py",
        ),
        Check(
            stack.resources,
            "what the stack made still exists",
            f"{_CLOUDFORMATION}/using-cfn-stack-drift.html",
        ),
        Check(
            stack.processed_data_stream,
            "the stream of the table of processed data is on, if the stack is to have one, and is "
            "the one that its sinks were told of",
            "docs/guides/take-results-elsewhere.md",
        ),
        Check(
            functions.mapping_concurrency,
            "a function's reserved concurrency is at least the MaximumConcurrency of its "
            "event source mappings together",
            f"{_LAMBDA}/services-sqs-scaling.html",
        ),
        Check(
            functions.account_concurrency,
            "the account leaves room for the MaximumConcurrency of all event source mappings "
            "whose functions reserve nothing",
            f"{_LAMBDA}/gettingstarted-limits.html",
        ),
    ),
    *_of(
        _each(stack.FUNCTION),
        Check(
            functions.function_state,
            "every function is Active and its last update went through",
            f"{_LAMBDA}/functions-states.html",
        ),
        Check(
            functions.alias,
            "the alias by which the durable function is invoked exists",
            f"{_LAMBDA}/configuration-aliases.html",
        ),
        Check(
            functions.execution_timeout,
            f"a durable function behind a queue ends within {functions.LONGEST_EXECUTION} s, "
            "waits included, and its own timeout is no shorter than its executions: a queue "
            "invokes synchronously, which ends at the lower of the two",
            f"{_LAMBDA}/durable-invoking.html",
        ),
        Check(
            functions.stage_timeout,
            "what the durable function calls ends within half of the execution's time: its "
            "deadline lets calls begin until then, retries included",
            "src/durable_pipeline/calls.py",
        ),
        Check(
            functions.deadline_settings,
            "the durable function counts with the timeouts that are in force "
            "(EXECUTION_TIMEOUT, STAGE_TIMEOUT, FILES_TIMEOUT)",
            "src/durable_pipeline/calls.py",
        ),
        Check(
            functions.own_stage,
            "the function of EnrichmentFunctionArn exists, ends within StageTimeout, and may be "
            "invoked by the durable function and, for rows, by the file function",
            "docs/guides/add-a-stage.md",
        ),
        Check(
            functions.row_items,
            "the file function may invoke the store stage, for files whose rows become items",
            "docs/guides/files-and-results.md",
        ),
        Check(
            functions.reserved_concurrency,
            "no function is throttled for good by a reserved concurrency of 0",
            f"{_LAMBDA}/configuration-concurrency.html",
        ),
    ),
    *_of(
        _each(stack.MAPPING),
        Check(queues.mapping_enabled, "every queue's event source mapping is enabled", _MAPPINGS),
        Check(
            queues.mapping_qualified,
            "an event source mapping invokes a durable function by an alias or a version",
            f"{_LAMBDA}/durable-invoking-esm.html",
        ),
        Check(
            queues.partial_batch_response,
            "an event source mapping hears which records of a batch failed "
            "(ReportBatchItemFailures)",
            f"{_LAMBDA}/services-sqs-errorhandling.html",
        ),
        Check(
            queues.batch_window,
            f"batches of more than {queues.LARGEST_BATCH_WITHOUT_WINDOW} have a batching "
            "window of at least 1 second (Lambda ends a batch at 6 MB by itself), and what comes "
            "from a FIFO queue comes one by one",
            _MAPPINGS,
        ),
        Check(
            queues.visibility_timeout,
            "a queue hides a received message for longer than a durable execution may take, "
            "and for six times the timeout of a function that is not durable, each plus the "
            "batching window",
            f"{_LAMBDA}/services-sqs-configure.html",
        ),
        Check(
            queues.redrive_policy,
            "a queue that a function reads has a dead-letter queue, and that exists",
            f"{_SQS}/sqs-dead-letter-queues.html",
        ),
        Check(
            queues.max_receive_count,
            f"a message gets at least {queues.ADVISED_DELIVERIES} deliveries before it is a "
            "dead letter, and the durable function knows how many",
            f"{_LAMBDA}/services-sqs-configure.html",
        ),
        Check(
            queues.dead_letter_retention,
            "a dead-letter queue keeps messages longer than the queue before it, or for the "
            "longest time there is (14 days): a message's age counts from when it was first "
            "sent",
            f"{_SQS}/setting-up-dead-letter-queue-retention.html",
        ),
    ),
    *_of(
        _each(stack.QUEUE),
        Check(queues.dead_letters, "no dead letters wait", "docs/guides/redrive-dead-letters.md"),
        Check(
            queues.queue_senders,
            "the queue of S3's events refuses all other senders; those in which the pipeline "
            "is believed refuse all but its operators, if these are named (OperatorRoleArns)",
            "docs/decisions/0011-trust-by-door.md",
        ),
    ),
    *_of(
        _each(stack.BUCKET),
        Check(
            stack.bucket_notifications,
            "each bucket announces what is put and removed below the prefixes that are doors",
            _NOTIFICATIONS,
        ),
    ),
    *_of(
        _each(stack.TOPIC),
        Check(
            stack.topic_subscriptions,
            "each topic still has the subscriptions that the stack made",
            f"{_SNS}/sns-sqs-as-subscriber.html",
        ),
        Check(
            stack.operators,
            "somebody has subscribed to the operators' topic, and confirmed it",
            f"{_SNS}/SendMessageToHttp.confirm.html",
        ),
    ),
    *_of(
        Deployed.alarms,
        Check(stack.alarms, "no alarm is in ALARM", _ALARMS),
        Check(stack.alarm_actions, "every alarm tells somebody", _ALARMS),
    ),
)
"""All checks, in the order in which their findings are shown: rule, and where it is from."""
