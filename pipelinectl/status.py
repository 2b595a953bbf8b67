"""What lies where in the pipeline now, and what became of records lately."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pipelinectl.doctor.stack import QUEUE
from pipelinectl.doors import Doors
from pipelinectl.errors import StackMissingError
from pipelinectl.items import Items, Only

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypy_boto3_cloudformation.client import CloudFormationClient
    from mypy_boto3_cloudwatch.client import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef
    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType

    from pipelinectl.aws import Connection, Stack
    from pipelinectl.doors import DoorName
    from pipelinectl.doors import Mapping as DoorMapping
    from pipelinectl.executions import Execution, Executions

HOUR = timedelta(hours=1)
MOST = 100
"""Executions that are counted of each kind: more than that is "100 or more"."""

_VISIBLE: QueueAttributeNameType = "ApproximateNumberOfMessages"
_IN_FLIGHT: QueueAttributeNameType = "ApproximateNumberOfMessagesNotVisible"
_DELAYED: QueueAttributeNameType = "ApproximateNumberOfMessagesDelayed"
_WORKERS = 8
# SQS tells CloudWatch about a queue once a minute, some minutes late, and of one that nobody used
# for six hours not at all.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
_MINUTE = 60
_LATE = timedelta(minutes=15)

_FAILED_AS_A_WHOLE = ("FAILED", "TIMED_OUT", "STOPPED")
_NAMESPACE, _SERVICE = "DurablePipeline", "durable-pipeline"
"""Of the metrics that the durable function emits (src/durable_pipeline/report.py)."""


@dataclass(frozen=True)
class QueueState:
    """How many messages a queue holds, as SQS estimates; the oldest's age in seconds, if known."""

    name: str
    url: str
    waiting: int
    in_flight: int
    delayed: int
    oldest_seconds: float | None = None

    @property
    def depth(self) -> int:
        """All of its messages."""
        return self.waiting + self.in_flight + self.delayed


@dataclass(frozen=True)
class LastHour:
    """What became of records in the last hour.

    `stored` counts items, `dead_letters` what was sent to the dead-letter queue; None where nobody
    has counted.
    """

    stored: int | None
    dead_letters: int | None


@dataclass(frozen=True)
class Status:
    """All of it at one time.

    Executions are the newest `MOST` of their kind, those that failed of the last hour.
    """

    at: datetime
    queues: tuple[QueueState, ...]
    doors: tuple[DoorMapping, ...]
    running: tuple[Execution, ...]
    failed: tuple[Execution, ...]
    last_hour: LastHour

    @property
    def paused(self) -> tuple[DoorName, ...]:
        """The doors by which nothing comes in now."""
        return tuple(door.door for door in self.doors if door.is_paused)

    def queue(self, url: str) -> QueueState | None:
        """The queue at `url`."""
        return next((queue for queue in self.queues if queue.url == url), None)


def look(connection: Connection, stack: Stack, executions: Executions, now: datetime) -> Status:
    """Ask the queues, Lambda and CloudWatch, side by side."""
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="status") as pool:
        urls = queue_urls(connection.cloudformation, stack)
        queues = pool.submit(queue_states, connection, urls, now)
        doors = pool.submit(_doors, connection, stack)
        running = pool.submit(_newest, executions, ("RUNNING",), None)
        failed = pool.submit(_newest, executions, _FAILED_AS_A_WHOLE, now - HOUR)
        hour = pool.submit(last_hour, connection, stack, now)
        return Status(
            now,
            tuple(queues.result()),
            doors.result(),
            running.result(),
            failed.result(),
            hour.result(),
        )


def _newest(
    executions: Executions, statuses: Sequence[str], since: datetime | None
) -> tuple[Execution, ...]:
    return tuple(executions.newest(statuses=statuses, since=since, limit=MOST))


def _doors(connection: Connection, stack: Stack) -> tuple[DoorMapping, ...]:
    """The intake's doors; none where one has no mapping, of which the doctor says more."""
    try:
        return tuple(Doors(connection.lambda_, stack).mappings())
    except StackMissingError:
        return ()


def queue_urls(cloudformation: CloudFormationClient, stack: Stack) -> list[str]:
    """The stack's queues, dead-letter queues among them."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack.name)
    return [
        one["PhysicalResourceId"]
        for page in pages
        for one in page["StackResourceSummaries"]
        if one["ResourceType"] == QUEUE and one.get("PhysicalResourceId")
    ]


def queue_states(connection: Connection, urls: Sequence[str], now: datetime) -> list[QueueState]:
    """Each queue, in the order of `urls`."""
    ages = oldest_ages(connection.cloudwatch, [name_of(url) for url in urls], now)
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="queues") as pool:
        return list(pool.map(lambda url: _state(connection.sqs, url, ages), urls))


def name_of(url: str) -> str:
    """A queue's name."""
    return url.rsplit("/", 1)[-1]


def _state(sqs: SQSClient, url: str, ages: Mapping[str, float]) -> QueueState:
    wanted = [_VISIBLE, _IN_FLIGHT, _DELAYED]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)["Attributes"]
    waiting, in_flight, delayed = (int(found.get(name, 0)) for name in wanted)
    name = name_of(url)
    # CloudWatch is minutes late: of a queue that is empty now, it may still tell an age.
    age = ages.get(name) if waiting + in_flight + delayed else None
    return QueueState(name, url, waiting, in_flight, delayed, age)


def oldest_ages(
    cloudwatch: CloudWatchClient, names: Sequence[str], now: datetime
) -> dict[str, float]:
    """The age of each queue's oldest message in seconds, as CloudWatch heard it last."""
    queries = [
        _query(
            index, "AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", _MINUTE, QueueName=name
        )
        for index, name in enumerate(names)
    ]
    return {
        names[index]: values[0]
        for index, values in _values(cloudwatch, queries, now - _LATE, now).items()
        if values
    }


def last_hour(connection: Connection, stack: Stack, now: datetime) -> LastHour:
    """What metrics say of the last hour.

    The local cloud keeps none. There the table is read, which nobody is charged for.
    """
    since, seconds = now - HOUR, int(HOUR.total_seconds())
    if connection.at:
        items = Items(connection.dynamodb, stack.table_name)
        return LastHour(items.count(Only(since=since)), None)
    ours = {"service": _SERVICE, "stack": stack.name}
    letters = filter(None, (stack.dead_letter_queue_url, stack.fifo_dead_letter_queue_url))
    queries = [_query(0, _NAMESPACE, "RecordsStored", "Sum", seconds, **ours)] + [
        _query(n, "AWS/SQS", "NumberOfMessagesSent", "Sum", seconds, QueueName=name_of(url))
        for n, url in enumerate(letters, 1)
    ]
    values = _values(connection.cloudwatch, queries, since, now)
    stored, *dead = (round(sum(values.get(index, []))) for index in range(len(queries)))
    return LastHour(stored, sum(dead))


def _query(
    index: int, namespace: str, metric: str, statistic: str, period: int, **dimensions: str
) -> MetricDataQueryTypeDef:
    return {
        "Id": f"m{index}",
        "MetricStat": {
            "Metric": {
                "Namespace": namespace,
                "MetricName": metric,
                "Dimensions": [{"Name": n, "Value": value} for n, value in dimensions.items()],
            },
            "Period": period,
            "Stat": statistic,
        },
    }


def _values(
    cloudwatch: CloudWatchClient,
    queries: Sequence[MetricDataQueryTypeDef],
    since: datetime,
    until: datetime,
) -> dict[int, list[float]]:
    """The values of each query, newest first, by its place among `queries`."""
    found: dict[int, list[float]] = {}
    for result in _results(cloudwatch, queries, since, until):
        found.setdefault(int(result["Id"][1:]), []).extend(result["Values"])
    return found


def _results(
    cloudwatch: CloudWatchClient,
    queries: Sequence[MetricDataQueryTypeDef],
    since: datetime,
    until: datetime,
) -> Iterator[Mapping[str, Any]]:
    if not queries:
        return iter(())
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=list(queries),
        StartTime=since,
        EndTime=until,
        ScanBy="TimestampDescending",
    )
    return itertools.chain.from_iterable(page["MetricDataResults"] for page in pages)


def document(status: Status) -> dict[str, Any]:
    """As --json prints it: times in ISO 8601, ages in seconds."""
    return {
        "at": status.at,
        "queues": [asdict(queue) for queue in status.queues],
        "doors": {door.door: door.state for door in status.doors},
        "executions": {
            "running": len(status.running),
            "failed_in_the_last_hour": len(status.failed),
            "counted_up_to": MOST,
        },
        "last_hour": asdict(status.last_hour),
    }
