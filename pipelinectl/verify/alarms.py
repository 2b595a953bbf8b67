"""Whether the metrics that the stack's alarms look at are ones that somebody writes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelinectl.verify.judging import Seen, awaited, differs, holds, unseen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pipelinectl.verify.judging import Run

OURS = "DurablePipeline"

# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
_OF_FUNCTIONS = ("Errors", "Throttles", "Invocations", "Duration", "DeadLetterErrors")
# https://docs.aws.amazon.com/lambda/latest/dg/durable-monitoring.html
DURABLE: tuple[str, ...] = (
    "ApproximateRunningDurableExecutions",
    "DurableExecutionStarted",
    "DurableExecutionSucceeded",
    "DurableExecutionFailed",
    "DurableExecutionTimedOut",
    "DurableExecutionStopped",
    "DurableExecutionDuration",
    "DurableExecutionOperations",
    "DurableExecutionStorageWrittenBytes",
)
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
_OF_QUEUES = ("ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage")

DOCUMENTED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "AWS/Lambda": ("FunctionName", (*_OF_FUNCTIONS, *DURABLE)),
    "AWS/SQS": ("QueueName", _OF_QUEUES),
}
"""By namespace the dimension, and those of AWS's metrics that a pipeline may have alarms on."""

_REMEDY = "correct the alarm's metric, dimensions or namespace: deploy template.yaml again"
_PER_REQUEST = 100
_SHOWN = 3


@dataclass(frozen=True)
class Metric:
    """A metric with its dimensions, and the alarm that looks at it."""

    alarm: str
    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]

    @property
    def identity(self) -> tuple[str, str, frozenset[tuple[str, str]]]:
        """What tells it from other metrics."""
        return self.namespace, self.name, self.dimensions

    def __str__(self) -> str:
        """The alarm, and what it looks at."""
        dimensions = " ".join(f"{name}={value}" for name, value in sorted(self.dimensions))
        return f"{self.alarm}: {self.namespace} {self.name} {dimensions}"


def metrics_of(alarms: Iterable[Mapping[str, Any]]) -> list[Metric]:
    """What alarms look at."""
    return [
        Metric(
            alarm["AlarmName"],
            alarm.get("Namespace", ""),
            alarm.get("MetricName", ""),
            frozenset((d["Name"], d["Value"]) for d in alarm.get("Dimensions", ())),
        )
        for alarm in alarms
    ]


def written(lines: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, frozenset[tuple[str, str]]]]:
    """The metrics of ours in log lines, by name and dimensions, in the embedded metric format.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    for line in lines:
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", ()):
            if directive.get("Namespace") != OURS:
                continue
            for names in directive["Dimensions"]:
                dimensions = frozenset((name, str(line.get(name))) for name in names)
                for metric in directive["Metrics"]:
                    yield metric["Name"], dimensions


def own(run: Run) -> Seen:
    """Each alarm on a metric of ours: a function's log has it, with these dimensions."""
    wanted = [metric for metric in _of_stack(run) if not metric.namespace.startswith("AWS/")]
    found: set[tuple[str, frozenset[tuple[str, str]]]] = set()
    for role in sorted({dict(metric.dimensions).get("service", "") for metric in wanted} - {""}):
        found |= set(written(run.observed.log_lines(role, "CloudWatchMetrics")))
    if not found:
        return awaited("no function has written a metric", "look at the functions' logs")
    return judged_own(wanted, found)


def judged_own(
    wanted: Sequence[Metric], found: Iterable[tuple[str, frozenset[tuple[str, str]]]]
) -> Seen:
    """Alarms on metrics of ours against what the functions write."""
    known = {(OURS, *one) for one in found}
    if missing := [str(metric) for metric in wanted if metric.identity not in known]:
        return awaited(f"no function writes what these look at: {_some(missing)}", _REMEDY)
    return holds(f"{len(wanted)} alarms, each on a metric that the functions write")


def documented(run: Run) -> Seen:
    """Each alarm on a metric of AWS's: one that is documented, of a resource of this stack."""
    stack = run.deployed.stack.name
    wanted = [metric for metric in _of_stack(run) if metric.namespace != OURS]
    return judged_documented(wanted, stack)


def judged_documented(wanted: Sequence[Metric], stack_name: str) -> Seen:
    """Alarms on metrics of AWS's against its documentation."""
    if wrong := [str(metric) for metric in wanted if not _is_documented(metric, stack_name)]:
        return differs(f"AWS documents none of these: {_some(wrong)}", _REMEDY)
    return holds(f"{len(wanted)} alarms, each on a metric that AWS documents")


def _is_documented(metric: Metric, stack_name: str) -> bool:
    dimension, names = DOCUMENTED.get(metric.namespace, ("", ()))
    ((name, value), *more) = metric.dimensions or [("", "")]
    of_stack = name == dimension and value.startswith(f"{stack_name}-")
    return metric.name in names and of_stack and not more


def seen(run: Run) -> Seen:
    """Whether CloudWatch has them; one that was never written may be, later."""
    wanted = _of_stack(run)
    known: set[tuple[str, str, frozenset[tuple[str, str]]]] = set()
    for namespace, name in sorted({(metric.namespace, metric.name) for metric in wanted}):
        known |= set(_listed(run, namespace, name))
    missing = [metric for metric in wanted if metric.identity not in known]
    if not missing:
        return holds(f"all {len(wanted)}")
    counts = Counter(f"{metric.namespace} {metric.name}" for metric in missing)
    names = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
    if run.deployed.connection.at is not None:
        return unseen(f"the local cloud does not have {len(missing)} of {len(wanted)}: {names}")
    again = "some are written only when something happens, and a new one is listed after minutes"
    return unseen(f"{len(missing)} of {len(wanted)} have not been written so far: {names}; {again}")


def _listed(
    run: Run, namespace: str, name: str
) -> Iterator[tuple[str, str, frozenset[tuple[str, str]]]]:
    cloudwatch = run.deployed.connection.cloudwatch
    pages = cloudwatch.get_paginator("list_metrics").paginate(Namespace=namespace, MetricName=name)
    for page in pages:
        for metric in page["Metrics"]:
            dimensions = frozenset((d["Name"], d["Value"]) for d in metric["Dimensions"])
            yield metric["Namespace"], metric["MetricName"], dimensions


def _of_stack(run: Run) -> list[Metric]:
    """What the stack's alarms look at, named without what CloudFormation adds."""
    name, aws = run.deployed.stack.name, run.deployed.connection
    pages = aws.cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
    ids = {
        one["PhysicalResourceId"]: one["LogicalResourceId"]
        for page in pages
        for one in page["StackResourceSummaries"]
        if one["ResourceType"] == "AWS::CloudWatch::Alarm" and one.get("PhysicalResourceId")
    }
    names = list(ids)
    found: list[Any] = []
    for at in range(0, len(names), _PER_REQUEST):
        some = names[at : at + _PER_REQUEST]
        found += aws.cloudwatch.describe_alarms(AlarmNames=some)["MetricAlarms"]
    return metrics_of(alarm | {"AlarmName": ids[alarm["AlarmName"]]} for alarm in found)


def _some(texts: Sequence[str]) -> str:
    more = len(texts) - _SHOWN
    return "; ".join(texts[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
