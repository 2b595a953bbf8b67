"""What operators see of a batch: metrics, lines, traces. And that the template asks for these."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, get_args

import pytest
from aws_durable_execution_sdk_python import durable_execution
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import csv_file.handler
import durable_pipeline.handler
import store.handler
import transform.handler
import validate.handler
from durable_pipeline.records import OutcomeName
from durable_pipeline.report import COUNTERS, exporters
from faults.durable import lose_answer
from faults.stages import Crash
from tests.cloudwatch import OURS, Metric, alarmed, fields_of, messages_of, of_type, queries, shown
from tests.events import s3_event, sqs_event, sqs_event_of, sqs_message, standard
from tests.integration.conftest import Pipeline

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "observe.md"

PRIVATE = "Jane Roe, 4111 1111 1111 1111"
POISON = standard(note=PRIVATE, poison=True)
INVALID = standard(processing_type=PRIVATE)  # which the reason's message quotes

# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
# https://docs.aws.amazon.com/lambda/latest/dg/durable-monitoring.html
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
OF_AWS = {
    "AWS/Lambda": (
        "FunctionName",
        {
            *("Invocations", "Errors", "Throttles", "Duration", "ConcurrentExecutions"),
            *("ApproximateRunningDurableExecutions", "DurableExecutionDuration"),
            *("DurableExecutionStarted", "DurableExecutionStopped", "DurableExecutionSucceeded"),
            *("DurableExecutionFailed", "DurableExecutionTimedOut", "DurableExecutionOperations"),
            "DurableExecutionStorageWrittenBytes",
        },
        "AWS::Serverless::Function",
    ),
    "AWS/SQS": (
        "QueueName",
        {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"},
        "AWS::SQS::Queue",
    ),
}


@dataclass
class Seen:
    """What the functions have written: structured lines, and metrics among them."""

    logs: StringIO
    printed: Callable[[], str]
    _out: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The log lines."""
        return [json.loads(line) for line in self.logs.getvalue().splitlines()]

    @property
    def embedded(self) -> list[dict[str, Any]]:
        """The lines in CloudWatch's embedded metric format."""
        self._out.append(self.printed())
        return [json.loads(line) for line in "".join(self._out).splitlines() if "_aws" in line]

    @property
    def metrics(self) -> dict[Metric, list[float]]:
        """The values of each metric, in the order they were emitted."""
        values: dict[Metric, list[float]] = {}
        for line in self.embedded:
            (directive,) = line["_aws"]["CloudWatchMetrics"]
            (names,) = directive["Dimensions"]
            dimensions = frozenset((name, line[name]) for name in names)
            for metric in directive["Metrics"]:
                key = Metric(directive["Namespace"], metric["Name"], dimensions)
                values.setdefault(key, []).extend(line[metric["Name"]])
        return values

    def value(self, name: str, **dimensions: str) -> float:
        """The sum of a metric of the durable function."""
        whose = {"service": "durable-pipeline", "stack": "stack", **dimensions}
        return sum(self.metrics.get(Metric(OURS, name, frozenset(whose.items())), ()))

    def with_message(self, message: str) -> list[dict[str, Any]]:
        """The log lines with one message."""
        return [line for line in self.lines if line["message"] == message]


@pytest.fixture
def seen(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Seen:
    """What is written from now on."""
    logs = StringIO()
    for module in (durable_pipeline, validate, transform, store, csv_file):
        logger = module.handler.logger
        monkeypatch.setattr(logger.registered_handler, "stream", logs)
    return Seen(logs, lambda: capsys.readouterr().out)


@pytest.fixture
def everything(pipeline: Pipeline, seen: Seen) -> Seen:
    """What is written of a batch of which not all is well, and of a file."""
    pipeline.inject("transform", Crash(), when=lambda record: "poison" in record["body"])
    pipeline.process(sqs_event_of([standard(note=PRIVATE), INVALID, POISON]))
    rows = f"id,name\n1,{PRIVATE.replace(',', '')}\n2,x,too many\n"
    state = pipeline.put("input/people.csv", rows)
    pipeline.process(sqs_event(sqs_message(json.dumps(s3_event(state)), "m-file", queue="objects")))
    return seen


def test_a_batch_says_what_became_of_its_records(everything: Seen) -> None:
    assert everything.value("BatchSize") == 4
    assert everything.value("RecordsStored") == 2
    assert everything.value("RecordsRejected") == 1
    assert everything.value("RecordsFailed") == 1
    rejected = {"outcome": "rejected", "reason": "UnknownProcessingType"}
    failed = {"outcome": "failed", "reason": "Runtime.ExitError"}
    assert everything.value("RecordsByReason", **rejected) == 1
    assert everything.value("RecordsByReason", **failed) == 1


def test_a_batch_says_what_it_took(pipeline: Pipeline, seen: Seen) -> None:
    pipeline.inject("transform", Crash(), when=lambda record: "poison" in record["body"])

    pipeline.process(sqs_event_of([standard(), POISON, standard(), standard()]))

    assert seen.value("ChainedInvokes") == len(pipeline.calls)
    assert seen.value("Retries") == 1
    assert seen.value("Bisects") == 2


def test_an_execution_says_how_many_operations_and_bytes_it_has(
    pipeline: Pipeline, seen: Seen
) -> None:
    event = sqs_event_of([standard(note="ß" * 100)] * 250)

    operations = pipeline.run(event).get_all_operations()

    results = [str(getattr(operation, "result", None) or "") for operation in operations]
    size = len(json.dumps(event)) + sum(len(result.encode()) for result in results)
    assert seen.value("ExecutionOperations") == 1 + len(operations) > 10
    assert seen.value("ExecutionStateBytes") == size


@pytest.mark.parametrize("ranges", [1, 12])
def test_an_execution_counts_what_a_finished_map_hides(
    pipeline: Pipeline, seen: Seen, monkeypatch: pytest.MonkeyPatch, ranges: int
) -> None:
    monkeypatch.setenv("RANGE_SIZE", "100")
    pipeline.inject("csv_file", Crash(), attempts={2, 3})
    rows = "id,name\n" + "".join(f"{n:04},{'x' * 93}\n" for n in range(ranges))
    state = pipeline.put("input/people.csv", rows)

    event = sqs_event(sqs_message(json.dumps(s3_event(state)), "m-file", queue="objects"))
    result = pipeline.run(event)

    assert seen.value("Retries") == 2
    assert seen.value("ExecutionOperations") == 1 + len(result.get_all_operations()) > ranges


def test_chunks_add_up(pipeline: Pipeline, seen: Seen) -> None:
    pipeline.inject("validate", Crash(), attempts={2})

    pipeline.process(sqs_event_of([standard()] * 250))

    assert seen.value("BatchSize") == 250
    assert seen.value("ChainedInvokes") == len(pipeline.calls) == 10
    assert seen.value("Retries") == 1


def test_a_file_says_what_became_of_its_rows(everything: Seen, pipeline: Pipeline) -> None:
    rows, results, rejects = (
        everything.value(name) for name in ("FileRows", "FileResults", "FileRejects")
    )
    assert (rows, results, rejects) == (2, 1, 1)
    assert everything.value("ObjectsByOutcome", outcome="stored") == 1
    of_files = everything.with_message("batch processed")[-1]
    assert of_files["chained_invokes"] == 4  # plan, one range, finish, store


def test_the_age_of_a_record_runs_from_sending_to_the_last_answer(
    pipeline: Pipeline, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline_core.contract.utc_now", lambda: "2026-03-01T08:40:30.500000Z")

    pipeline.process(sqs_event_of([standard()]))  # sent at 08:40:00

    assert seen.value("OldestRecordAge") == 30.5


@pytest.mark.parametrize(("number", "times"), [(1, 1), (2, 1), (3, 1), (4, 2)])
def test_only_the_loss_of_the_last_answer_counts_a_batch_twice(
    pipeline: Pipeline, seen: Seen, number: int, times: int
) -> None:
    pipeline.inject_durable(lose_answer(number))

    pipeline.process(sqs_event_of([standard()]))

    assert len(seen.with_message("batch processed")) == times
    assert seen.value("BatchSize") == seen.value("RecordsStored") == times


def test_every_outcome_has_its_metric() -> None:
    assert set(COUNTERS) == set(get_args(OutcomeName))


def test_every_function_says_whose_record_it_has_and_in_which_execution(everything: Seen) -> None:
    (received, _) = everything.with_message("batch received")
    arn = received["durable_execution_arn"]
    about = [line for line in everything.lines if line.get("durable_execution_arn") == arn]

    assert {line["service"] for line in about} == {
        *("durable-pipeline", "validate", "transform", "store")
    }
    assert [record["message_id"] for record in received["records"]] == ["m-0", "m-1", "m-2"]
    for line in everything.with_message("answered"):
        assert line["durable_execution_arn"]
        assert line["message_ids"]
        assert line["duration_ms"] >= 0
    (stored, _) = (line for line in everything.lines if line["service"] == "store")
    assert stored["execution_ids"] == "test-m-0"


def test_a_record_that_was_not_stored_is_logged_with_its_reason(everything: Seen) -> None:
    why = {
        line["message_id"]: (line["outcome"], line["stage"], line["error_type"])
        for line in everything.with_message("record not stored")
    }
    assert why == {
        "m-1": ("rejected", "validate", "UnknownProcessingType"),
        "m-2": ("failed", "transform", "Runtime.ExitError"),
    }


def test_a_record_is_told_of_with_its_group_where_it_has_one(
    pipeline: Pipeline, seen: Seen
) -> None:
    grouped = sqs_message(INVALID, "m-1", group="tenant-7")
    pipeline.process(sqs_event(grouped, sqs_message(INVALID, "m-2")))

    (received,) = seen.with_message("batch received")
    for told in (received["records"], seen.with_message("record not stored")):
        assert [one.get("message_group_id") for one in told] == ["tenant-7", None]


def test_an_object_is_named_with_its_version(everything: Seen) -> None:
    (_, received) = everything.with_message("batch received")
    (record,) = received["records"]
    ranges = [line for line in everything.lines if line.get("action") == "process"]

    assert record["object"]["key"] == "input/people.csv"
    assert record["object"]["version_id"]
    assert ranges[0]["object"]["version_id"] == record["object"]["version_id"]
    assert ranges[0]["message_ids"] == "m-file"


def test_no_line_has_more_fields_than_logs_insights_finds(pipeline: Pipeline, seen: Seen) -> None:
    states = [pipeline.put(f"input/{n}.json", standard()) for n in range(100)]
    bodies = [json.dumps(s3_event(state)) for state in states]

    pipeline.process(sqs_event_of(bodies))

    assert len(seen.with_message("batch received")) == 4
    assert max(map(fields_in, seen.lines)) <= 200


def fields_in(value: object) -> int:
    """How many fields Logs Insights makes of a JSON value."""
    if isinstance(value, dict):
        return sum(map(fields_in, value.values()))
    if isinstance(value, list):
        return sum(map(fields_in, value))
    return 1


def test_nothing_that_a_record_says_is_in_a_log_or_a_metric(everything: Seen) -> None:
    written = everything.logs.getvalue() + json.dumps(everything.embedded)
    assert "4111" not in written
    assert "Jane" not in written


def test_alarms_and_dashboard_name_metrics_that_are_emitted(everything: Seen) -> None:
    emitted = set(everything.metrics)
    ours = {metric for metric in shown("stack") if metric.namespace == OURS}
    watched = {metric for metric in alarmed("stack").values() if metric.namespace == OURS}

    assert {metric for metric in ours if not any(matches(metric, e) for e in emitted)} == set()
    assert {e for e in emitted if not any(matches(metric, e) for metric in ours)} == set()
    assert {metric.name for metric in watched} == {"ExecutionOperations", "ExecutionStateBytes"}
    assert watched <= emitted


def matches(shown: Metric, emitted: Metric) -> bool:
    """Whether the dashboard shows ``emitted``: dimensions that a search leaves open match any."""
    given = {(name, value) for name, value in shown.dimensions if value}
    same_names = {n for n, _ in shown.dimensions} == {n for n, _ in emitted.dimensions}
    return shown.name == emitted.name and same_names and given <= emitted.dimensions


@pytest.mark.parametrize(
    "metric", sorted({*alarmed("stack").values(), *shown("stack")}, key=str), ids=str
)
def test_metrics_of_aws_exist_and_are_of_resources_here(metric: Metric) -> None:
    if metric.namespace == OURS:
        return
    dimension, names, kind = OF_AWS[metric.namespace]
    ((name, resource),) = metric.dimensions
    assert metric.name in names
    assert name == dimension
    assert resource in of_type(kind)


def test_saved_queries_read_fields_that_are_logged(everything: Seen) -> None:
    assert queries()
    for name, query in queries().items():
        asked = messages_of(query)
        lines = [line for line in everything.lines if not asked or line["message"] in asked]

        assert asked <= {line["message"] for line in lines}, name
        assert fields_of(query) <= {key for line in lines for key in line}, name


def test_the_guide_lists_each_metric_with_its_unit_and_dimensions(everything: Seen) -> None:
    emitted = {
        (m["Name"], m["Unit"], tuple(names))
        for line in everything.embedded
        for directive in line["_aws"]["CloudWatchMetrics"]
        for names in directive["Dimensions"]
        for m in directive["Metrics"]
    }
    assert set(in_guide()) == emitted


def in_guide() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for line in GUIDE.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[1] in {"Bytes", "Count", "Seconds", "Milliseconds"}:
            for name in re.findall(r"`(\w+)`", cells[0]):
                yield name, cells[1], tuple(re.findall(r"`(\w+)`", cells[2]))


@pytest.fixture(scope="module")
def spans() -> InMemorySpanExporter:
    """Where spans go, as they would go to the layer's exporter on AWS."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def traced(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """The pipeline with the plugin that the template's parameter Tracing names."""
    variables = of_type("AWS::Serverless::Function")["DurablePipelineFunction"]["Environment"]
    plugin = variables["Variables"]["DURABLE_EXECUTION_PLUGINS"]["Fn::If"][1]
    monkeypatch.setenv("DURABLE_EXECUTION_PLUGINS", plugin)
    pipeline.inject_durable(lambda handler: durable_execution(handler.__wrapped__))  # type: ignore[attr-defined]  # functools.wraps sets it
    return pipeline


def test_a_trace_shows_the_execution_and_its_stages(
    traced: Pipeline, spans: InMemorySpanExporter
) -> None:
    spans.clear()
    traced.inject("transform", Crash(), attempts={1})

    result = traced.run(sqs_event_of([standard()] * 2))

    finished = spans.get_finished_spans()
    names = {span.context.span_id: span.name for span in finished if span.context}
    parents = {s.name: names[s.parent.span_id] if s.parent else None for s in finished}
    assert result.status.value == "SUCCEEDED"
    assert len({span.context.trace_id for span in finished if span.context}) == 1
    assert {name: parents[name] for name in ("DurableExecutionRoot", "Workflow", "Invocation")} == {
        "DurableExecutionRoot": None,
        "Workflow": "DurableExecutionRoot",
        "Invocation": "DurableExecutionRoot",
    }
    for invoke in ("validate", "transform", "transform attempt 2", "store"):
        assert parents[invoke] == "Workflow"


def test_tracing_costs_no_operation(traced: Pipeline, spans: InMemorySpanExporter) -> None:
    result = traced.run(sqs_event_of([standard()]))

    kinds = [operation.operation_type.value for operation in result.get_all_operations()]
    assert kinds == ["CHAINED_INVOKE"] * 3
    assert traced.invocations == 4


def test_a_record_of_each_execution_is_written_where_it_is_wanted(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = partial(durable_execution, plugins=exporters({"EXECUTION_RECORDS": "logs"}))
    pipeline.inject_durable(lambda handler: wanted(handler.__wrapped__))  # type: ignore[attr-defined]  # functools.wraps sets it
    pipeline.inject("transform", Crash(), attempts={1})

    result = pipeline.run(sqs_event_of([standard(note=PRIVATE), INVALID]))

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (record,) = [
        json.loads(line["message"])
        for line in lines
        if "DurableExecutionTelemetry" in str(line.get("message"))
    ]
    assert record["status"] == "SUCCEEDED"
    assert {"validate", "transform", "transform attempt 2", "store"} <= set(
        record["operationsByName"]
    )
    assert PRIVATE not in json.dumps(record)
    assert result.status.value == "SUCCEEDED"


def test_no_record_is_written_as_a_rule() -> None:
    assert exporters({"EXECUTION_RECORDS": "none"}) == exporters({}) == []
