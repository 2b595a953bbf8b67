"""What a stage tells of an invocation, also of one that fails."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit

from pipeline_core.contract import Result, StageRecord, failed, ok, rejected
from pipeline_core.telemetry import answer_stage, emit
from tests.cloudformation import LAMBDAS_LEVELS

SRC = Path(__file__).parents[3] / "src"

EVENT: dict[str, Any] = {
    "durable_execution_arn": "arn:1",
    "records": [{"id": "m-1", "body": "private"}, {"id": "m-2", "body": "private"}],
}


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    monkeypatch.setenv("STACK_NAME", "stack")
    return StringIO()


@pytest.fixture
def logger(log: StringIO, request: pytest.FixtureRequest) -> Logger:
    return Logger(service=request.node.name, stream=log)


def lines(log: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_a_line_says_whose_records_they_were_and_what_became_of_them(
    logger: Logger, log: StringIO
) -> None:
    answer_stage(logger, EVENT, lambda records: [ok("m-1"), failed("m-2", "Busy", "private")])

    (line,) = lines(log)
    assert line["message"] == "answered"
    assert line["durable_execution_arn"] == "arn:1"
    assert line["message_ids"] == "m-1, m-2"
    assert line["record_count"] == 2
    assert line["outcomes"] == {"ok": 1, "failed": 1}
    assert line["error_types"] == {"Busy": 1}


def test_an_invocation_that_fails_is_logged_by_the_type_of_its_error_and_fails(
    logger: Logger, log: StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(records: Sequence[StageRecord]) -> list[Result]:
        raise KeyError(records[0]["body"])

    with pytest.raises(KeyError):
        answer_stage(logger, EVENT, work)

    (line,) = lines(log)
    assert (line["level"], line["message"], line["error_type"]) == ("ERROR", "failed", "KeyError")
    assert line["message_ids"] == "m-1, m-2"
    assert capsys.readouterr().out == ""


def test_no_line_quotes_a_record_or_a_reason(
    logger: Logger, log: StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = rejected("m-1", {"type": "Wrong", "message": "private", "errors": ["private"]})

    answer_stage(logger, EVENT, lambda records: [wrong, ok("m-2", "private")])

    assert "private" not in log.getvalue() + capsys.readouterr().out


def test_a_stage_is_measured_by_service_and_stack(
    logger: Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    answer_stage(logger, EVENT, lambda records: [ok("m-1"), ok("m-2")])

    metric = json.loads(capsys.readouterr().out)
    assert metric["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service", "stack"]]
    assert (metric["service"], metric["stack"]) == (logger.service, "stack")
    assert metric["StageDuration"][0] >= 0


def test_a_stage_answers_an_orchestrator_that_does_not_name_its_execution(logger: Logger) -> None:
    event = {"records": EVENT["records"]}

    answer = answer_stage(logger, event, lambda records: [ok("m-1"), ok("m-2")])

    assert len(answer["results"]) == 2


# Of Lambda's levels, from the least to the most that is let through.
LEVELS = ["FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"]


def lets_through(level: str, line: dict[str, Any]) -> bool:
    """Whether Lambda passes a JSON line on, at an ApplicationLogLevel.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
    """
    timed = datetime.fromisoformat(line.get("timestamp", "")).tzinfo is not None
    own = {"WARNING": "WARN", "CRITICAL": "FATAL"}.get(line["level"], line["level"])
    return LEVELS.index(own if timed and own in LEVELS else "INFO") <= LEVELS.index(level)


@pytest.mark.parametrize("level", [*LAMBDAS_LEVELS.values(), None])
def test_metrics_are_let_through_at_every_level(
    level: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AWS_LAMBDA_LOG_LEVEL", raising=False)
    if level:
        monkeypatch.setenv("AWS_LAMBDA_LOG_LEVEL", level)

    emit({"Rows": (MetricUnit.Count, 1)}, {"service": "stage"})

    line = json.loads(capsys.readouterr().out)
    assert lets_through(level or "INFO", line)
    assert (line["Rows"], line["service"]) == ([1.0], "stage")


@pytest.mark.parametrize("parameter", LAMBDAS_LEVELS)
def test_a_function_logs_what_lambda_lets_through(
    parameter: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    level = LAMBDAS_LEVELS[parameter]
    monkeypatch.setenv("POWERTOOLS_LOG_LEVEL", parameter)
    monkeypatch.setenv("AWS_LAMBDA_LOG_LEVEL", level)
    log = StringIO()
    logger = Logger(service=request.node.name, stream=log, use_rfc3339=True)

    for write in (logger.debug, logger.info, logger.warning, logger.error):
        write("said")

    asked = LEVELS[1 : LEVELS.index(level) + 1]
    assert all(lets_through(level, line) for line in lines(log))
    assert len(lines(log)) == len(asked)


@pytest.mark.parametrize("handler", sorted(SRC.glob("*/handler.py")), ids=lambda p: p.parent.name)
def test_every_functions_lines_have_a_time_that_lambda_reads(handler: Path) -> None:
    module = importlib.import_module(f"{handler.parent.name}.handler")

    assert module.logger.registered_formatter.use_rfc3339_iso8601
