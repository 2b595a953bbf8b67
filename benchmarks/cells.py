"""One cell of the table: so many messages, at a batch size and a concurrency, through one side.

The sides are the pipeline and the reference, next to each other on one local cloud. `peers` has
what else one would pick.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median
from typing import Any

import boto3

from benchmarks.histories import Run, run_of
from benchmarks.memory import peak_bytes_of
from faults.deployed import Application, with_faults
from localcloud import processes
from localcloud.deploy import deploy
from localcloud.settings import Settings
from pipelinectl import cost
from pipelinectl.cost import Usage
from pipelinectl.executions import Executions

ROOT = Path(__file__).parents[1]

PIPELINE = "pipeline"
REFERENCE = "reference"
PLAIN = "plain function"
DBOS = "DBOS"

# None of these changes what a healthy execution does.
PARAMETERS = {"Environment": "bench", "RetryDelay": "1", "MaxRetryDelay": "2"}
STAGES = {
    "validate": "ValidateFunction",
    "transform": "TransformFunction",
    "store": "StoreFunction",
}
EFFECTS = "reference/src/effects.py"

MAX_OPERATIONS = 3000
"""https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

DURABLE_GIGABYTES = 0.5
"""Of the durable function's memory, on both sides."""

POLL_SECONDS = 0.25
STOP_SECONDS = 30
NOTE = "A sentence or two, as orders, events and readings have them, with some length to it. " * 2

_COUNTS = tuple(f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed"))
_REPORT = re.compile(r"Billed Duration: (?P<ms>[\d.]+) ms\s+Memory Size: (?P<mb>\d+) MB")
# What the local cloud reports of a durable function, under a version's number, is each invocation
# of its handler and the whole execution, waits included, which Lambda does not bill. So its own
# are those in histories.
_UNPUBLISHED = "[$LATEST]"


class BenchmarkError(Exception):
    """A benchmark did not come to its end; the message says which and why."""


@dataclass(frozen=True)
class Side:
    """One of those that are measured: a queue, and the function behind it.

    Of a message an item of ``table`` has the id in ``id_attribute``. What functions note (see
    `effects`) is in ``effects``.
    """

    name: str
    settings: Settings
    queue_url: str
    function_arn: str
    table: str
    id_attribute: str
    dead_letter_queue_url: str
    effects: Path
    more_queue_urls: tuple[str, ...] = ()

    @property
    def executions(self) -> Executions:
        """The durable function's executions."""
        name = self.function_arn.split(":function:", 1)[-1].split(":", 1)[0]
        return Executions(self.client("lambda"), name)

    @property
    def is_durable(self) -> bool:
        """Whether its function is one of Lambda's durable functions."""
        return self.name in (PIPELINE, REFERENCE)

    @property
    def functions(self) -> str:
        """What the names of its functions begin with."""
        return self.function_arn.rsplit(":function:", 1)[-1].partition("-")[0] + "-"

    @property
    def mapping(self) -> str:
        """The id of the event source mapping from the queue."""
        return mapping_of(self.settings, self.queue_url)

    def client(self, service: str) -> Any:
        """A stock client of the local cloud."""
        return client_of(self.settings, service)


def client_of(settings: Settings, service: str) -> Any:
    """A stock client of the local cloud."""
    root = settings.credentials
    make: Any = boto3.client
    return make(
        service,
        endpoint_url=(
            settings.lambda_endpoint_url if service == "lambda" else settings.aws_endpoint_url
        ),
        region_name=settings.region,
        aws_access_key_id=root.access_key,
        aws_secret_access_key=root.secret_key,
    )


def mapping_of(settings: Settings, queue_url: str) -> str:
    """The id of the event source mapping from a queue."""
    queue = queue_url.rsplit("/", 1)[-1]
    mappings = client_of(settings, "lambda").list_event_source_mappings()["EventSourceMappings"]
    (uuid,) = [m["UUID"] for m in mappings if m["EventSourceArn"].rsplit(":", 1)[-1] == queue]
    return str(uuid)


def deploy_pipeline(settings: Settings) -> Side:
    """The pipeline as its template has it, but for stages that note what they have done."""
    effects = settings.directory / "effects-pipeline"
    template = _noting(settings.directory / "pipeline", effects)
    out = deploy(settings, template=template, stack_name=PIPELINE, parameters=PARAMETERS)
    return Side(
        PIPELINE,
        settings,
        out["DataProcessingQueueUrl"],
        out["DurableFunctionArn"],
        out["ProcessedDataTable"],
        "message_id",
        out["DeadLetterQueueUrl"],
        effects,
        (out["InternalQueueUrl"],),
    )


def _noting(copy: Path, effects: Path) -> Path:
    wrapper, writer = (ROOT / "benchmarks" / path for path in ("noting.py", EFFECTS))
    template = with_faults(Application(ROOT / "template.yaml"), STAGES, copy, wrapper)
    document = json.loads(template.read_text())
    for stage, function in STAGES.items():
        shutil.copyfile(writer, copy / "src" / stage / writer.name)
        variables = document["Resources"][function]["Properties"]["Environment"]["Variables"]
        variables["EFFECTS"] = str(effects)
    template.write_text(json.dumps(document))
    return template


def deploy_reference(settings: Settings) -> dict[str, Side]:
    """The published per-record pattern; beside it a plain function, and a queue for DBOS."""
    template = ROOT / "benchmarks" / "reference" / "template.yaml"
    effects = settings.directory / "effects-reference"
    parameters = {"Effects": str(effects)}
    out = deploy(settings, template=template, stack_name=REFERENCE, parameters=parameters)

    def side(name: str, queue: str, function: str) -> Side:
        table, dead_letters = out["Table"], out["DeadLetterQueueUrl"]
        arn = out.get(function, "")
        return Side(name, settings, out[queue], arn, table, "execution_id", dead_letters, effects)

    return {
        REFERENCE: side(REFERENCE, "QueueUrl", "FunctionArn"),
        PLAIN: side(PLAIN, "PlainQueueUrl", "PlainFunctionArn"),
        DBOS: side(DBOS, "DbosQueueUrl", ""),
    }


@dataclass(frozen=True)
class Load:
    """So many messages in batches of ``batch``, ``concurrency`` of them at once.

    After ``seconds`` the cell ends, with what was stored by then. First comes a warm-up of
    ``warm_up`` messages that does not count.
    """

    batch: int
    concurrency: int
    messages: int
    seconds: float = 60
    warm_up: int = 0

    @property
    def rounds(self) -> list[int]:
        """How many messages are put into the queue at a time.

        A mapping takes two batches at once at least, so one at a time means one in the queue.
        """
        if self.concurrency > 1:
            return [self.messages]
        starts = range(0, self.messages, self.batch)
        return [min(self.batch, self.messages - first) for first in starts]

    def __str__(self) -> str:
        return f"batch {self.batch:,}, concurrency {self.concurrency}"


@dataclass(frozen=True)
class Figures:
    """What one side did with a load.

    Times are seconds. Latencies count from when the mapping took its first batch, all messages
    being in the queue by then; ``own_p50`` and ``own_p99`` from when a message's own batch was
    taken. ``batch_seconds`` is the median time that a batch took.
    Operations, invocations, bytes and gigabyte-seconds are those of a message. ``peak_megabytes``
    is the most memory that a worker of the durable function has had so far, with this load and
    those before it.
    """

    side: str
    batch: int
    concurrency: int
    messages: int
    stored: int
    messages_per_second: float
    p50: float
    p95: float
    p99: float
    own_p50: float
    own_p99: float
    batch_seconds: float
    operations: float
    durable_invocations: float
    stage_invocations: float
    checkpoint_bytes: float
    gigabyte_seconds: float
    breakdown: Mapping[str, float]
    peak_megabytes: float = 0.0

    @property
    def cut_off(self) -> bool:
        """Whether the time was over before all messages were stored."""
        return self.stored < self.messages

    def as_json(self) -> dict[str, Any]:
        """The figures as a JSON document."""
        return asdict(self) | {"cut_off": self.cut_off}


def measure(side: Side, load: Load) -> Figures:
    """Put ``load`` on ``side``, whose queue is empty, and leave it empty.

    Raises:
        BenchmarkError: messages were not stored although there was time, or do not come to rest.
    """
    set_mapping(side, load.batch, load.concurrency)
    if load.warm_up:
        _run(side, load.warm_up, load.seconds)
    begun = datetime.now(UTC)
    deadline = time.monotonic() + load.seconds
    rounds: list[list[Run]] = []
    in_time = True
    for messages in load.rounds:
        runs, in_time = _run(side, messages, deadline - time.monotonic())
        rounds.append(runs)
        if not in_time:
            break
    own = sum(run.durable_seconds for some in rounds for run in some) * DURABLE_GIGABYTES
    figures = figures_of(side.name, load, rounds, billed(_reports(side, begun)) + own)
    figures = replace(figures, peak_megabytes=_peak_megabytes(side))
    if in_time and figures.cut_off:
        raise BenchmarkError(
            f"{side.name}, {load}: {figures.stored} of {load.messages} messages were stored; "
            f"see the logs in {side.settings.directory / 'logs'}"
        )
    return figures


def _peak_megabytes(side: Side) -> float:
    name = side.executions.function_name
    workers = [w for w in processes.find_workers(side.settings) if w.function_name == name]
    return max((peak_bytes_of(w.identity.pid) for w in workers), default=0) / 1e6


def set_mapping(side: Side, batch: int, concurrency: int) -> None:
    """Have the mapping take so many messages and so many batches at once, when it is opened."""
    side.client("lambda").update_event_source_mapping(
        UUID=side.mapping,
        Enabled=False,
        BatchSize=batch,
        MaximumBatchingWindowInSeconds=0 if batch <= 10 else 1,  # Lambda's rule
        ScalingConfig={"MaximumConcurrency": max(concurrency, 2)},
    )


def figures_of(
    side: str, load: Load, rounds: Sequence[Sequence[Run]], gigabyte_seconds: float
) -> Figures:
    """Sum up the executions of one load, which were billed so many gigabyte-seconds.

    Raises:
        BenchmarkError: they stored nothing.
    """
    runs = [run for some in rounds for run in some]
    latencies = sorted(seconds for some in rounds for seconds in _latencies(some))
    if not latencies:
        raise BenchmarkError(f"{side}, {load}: nothing was stored in {load.seconds:g} s")
    own = sorted(at - run.started_at for run in runs for at in run.stored.values())
    count = len(latencies)
    phases = dict.fromkeys(name for run in runs for name in run.phases)
    return Figures(
        side=side,
        batch=load.batch,
        concurrency=load.concurrency,
        messages=load.messages,
        stored=count,
        messages_per_second=count / sum(_seconds(some) for some in rounds),
        p50=percentile(latencies, 50),
        p95=percentile(latencies, 95),
        p99=percentile(latencies, 99),
        own_p50=percentile(own, 50),
        own_p99=percentile(own, 99),
        batch_seconds=median(run.ended_at - run.started_at for run in runs),
        operations=sum(run.operations for run in runs) / count,
        durable_invocations=sum(run.durable_invocations for run in runs) / count,
        stage_invocations=sum(run.stage_invocations for run in runs) / count,
        checkpoint_bytes=sum(run.bytes for run in runs) / count,
        gigabyte_seconds=gigabyte_seconds / count,
        breakdown={name: fmean(run.phases.get(name, 0.0) for run in runs) for name in phases},
    )


def usage_since(side: Side, moment: datetime, batch: int) -> Usage:
    """What the executions of full batches used that have begun since then."""
    used = cost.measure(side.executions, _since(side, moment), lambda _: None).values()
    return sum((usage for usage in used if usage and usage.deliveries == batch), Usage())


def percentile(ordered: Sequence[float], rank: float) -> float:
    """The nearest-rank percentile of values in ascending order: one of them, never between."""
    return ordered[max(0, math.ceil(len(ordered) * rank / 100) - 1)]


def billed(messages: Iterable[str]) -> float:
    """Gigabyte-seconds of the report lines among the log's ``messages``."""
    reports = filter(None, map(_REPORT.search, messages))
    return sum(float(r["ms"]) / 1000 * int(r["mb"]) / 1024 for r in reports)


def exceeds_quota(records: int, operations_per_record: int) -> bool:
    """Whether one execution of so many records has more operations than Lambda allows."""
    return records * operations_per_record + 1 > MAX_OPERATIONS


def body(number: int) -> str:
    """A message, about as long as they are."""
    return json.dumps(
        {
            "data_source": "benchmark.csv",
            "processing_type": "standard",
            "number": number,
            "amount": f"{number}.50",
            "note": NOTE,
        }
    )


def _seconds(runs: Sequence[Run]) -> float:
    """Seconds from the first batch of a round until the last one was done.

    One that was stopped was done when its last message was stored.
    """
    ends = [
        run.ended_at if run.succeeded else max(run.stored.values(), default=run.started_at)
        for run in runs
    ]
    return max(ends, default=0.0) - min((run.started_at for run in runs), default=0.0)


def _latencies(runs: Sequence[Run]) -> list[float]:
    """Seconds from when the first batch of a round was taken until each message was stored."""
    begun = min((run.started_at for run in runs), default=0.0)
    return [at - begun for run in runs for at in run.stored.values()]


def _run(side: Side, messages: int, seconds: float) -> tuple[list[Run], bool]:
    """The executions of so many messages, and whether they ended within so many seconds."""
    begun = datetime.now(UTC)
    send(side, messages)
    mapping, client = side.mapping, side.client("lambda")
    client.update_event_source_mapping(UUID=mapping, Enabled=True)
    in_time = _wait_until_empty(side, seconds)
    client.update_event_source_mapping(UUID=mapping, Enabled=False)
    if not in_time:
        abandon(side)
    return [run_of(side.executions.history(arn)) for arn in _since(side, begun)], in_time


def send(side: Side, messages: int) -> list[str]:
    """Queue so many messages; their ids."""
    sqs, ids = side.client("sqs"), []
    for first in range(0, messages, 10):
        numbers = range(first, min(first + 10, messages))
        entries = [{"Id": str(number), "MessageBody": body(number)} for number in numbers]
        answer = sqs.send_message_batch(QueueUrl=side.queue_url, Entries=entries)
        ids += [sent["MessageId"] for sent in answer["Successful"]]
    return ids


def _wait_until_empty(side: Side, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    sqs = side.client("sqs")
    while queued(sqs, side.queue_url):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def queued(sqs: Any, queue_url: str) -> int:
    """How many messages a queue has, received, delayed or not."""
    found = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=list(_COUNTS))
    return sum(int(found["Attributes"][name]) for name in _COUNTS)


def abandon(side: Side) -> None:
    """Drop what is queued, and stop what runs."""
    side.client("sqs").purge_queue(QueueUrl=side.queue_url)
    if not side.is_durable:
        return
    client, error = side.client("lambda"), {"ErrorType": "TimeIsUp", "ErrorMessage": "time is up"}
    deadline = time.monotonic() + STOP_SECONDS
    while running := list(side.executions.newest(statuses=["RUNNING"])):
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{side.name}: {len(running)} executions do not stop")
        for execution in running:
            client.stop_durable_execution(DurableExecutionArn=execution.arn, Error=error)
        time.sleep(POLL_SECONDS)


def _since(side: Side, moment: datetime) -> Iterator[str]:
    """The executions begun since ``moment``."""
    for execution in side.executions.newest():
        if execution.started_at < moment:
            return
        yield execution.arn


def _reports(side: Side, since: datetime) -> Iterator[str]:
    """The report lines of all of a side's functions since then."""
    logs = side.client("logs")
    groups = logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{side.name}-")["logGroups"]
    for group in groups:
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=group["logGroupName"],
            startTime=int(since.timestamp() * 1000),
            filterPattern="REPORT",
        )
        for event in (event for page in pages for event in page["events"]):
            if _UNPUBLISHED in event["logStreamName"]:
                yield event["message"]
