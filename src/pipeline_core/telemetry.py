"""What a chained function tells operators of each invocation: one log line, and how long it took.

Whose records they were, what became of them and of what type the reasons are; never what is in a
record, nor a reason's message, which may quote it.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from pipeline_core.contract import Result, StageRecord, StageResponse, respond, utc_now

NAMESPACE = "DurablePipeline"

Answer = dict[str, Any]


def answer_stage(
    logger: Logger,
    event: Mapping[str, Any],
    work: Callable[[Sequence[StageRecord]], Sequence[Result]],
) -> StageResponse:
    """A stage's answer: what ``work`` makes of the records of ``event``."""
    records: Sequence[StageRecord] = event["records"]
    whose: dict[str, Any] = {
        "durable_execution_arn": event.get("durable_execution_arn"),
        "message_ids": listed(record["id"] for record in records),
    }
    if ids := listed(record["execution_id"] for record in records if "execution_id" in record):
        whose["execution_ids"] = ids
    with observed(logger, whose) as seen:
        results = work(records)
        seen["record_count"] = len(results)
        seen["outcomes"] = Counter(result["outcome"] for result in results)
        seen["error_types"] = Counter(r["reason"]["type"] for r in results if "reason" in r)
    return respond(results)


def listed(ids: Iterable[str]) -> str:
    """``ids`` as one field of a line: Logs Insights finds 200 in one, and a chunk has 100 ids."""
    return ", ".join(ids)


@contextmanager
def observed(
    logger: Logger, whose: Mapping[str, Any], dimensions: Mapping[str, str] | None = None
) -> Iterator[Answer]:
    """Log what the block puts into the mapping that it gets, and measure the block.

    ``whose`` is in each line that is logged meanwhile, also in that of an invocation that fails.
    The measurement is the metric StageDuration, by service, stack and ``dimensions``.
    """
    logger.append_keys(**whose)
    began = time.perf_counter()
    seen: Answer = {}
    try:
        yield seen
    except Exception as error:  # whatever it is, it is told of and goes on its way
        # Without the traceback, whose last line may quote a record; Lambda has it in its own.
        logger.error("failed", extra={"error_type": type(error).__name__})  # noqa: TRY400 - a traceback could quote a record
        raise
    milliseconds = round((time.perf_counter() - began) * 1000, 1)
    logger.info("answered", extra={**seen, "duration_ms": milliseconds})
    emit(
        {"StageDuration": (MetricUnit.Milliseconds, milliseconds)},
        {"service": logger.service, "stack": os.environ["STACK_NAME"], **(dimensions or {})},
    )


def emit(values: Mapping[str, tuple[MetricUnit, float]], dimensions: Mapping[str, str]) -> None:
    """Emit metrics, by name with unit and value, as one line in CloudWatch's embedded format.

    Lambda takes a line without a level, or without a time in RFC 3339, for INFO and drops it where
    the function's level is higher. So it carries a time, and the level that is just let through.
    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
    """
    metrics = EphemeralMetrics(namespace=NAMESPACE)
    metrics.add_metadata("level", os.environ.get("AWS_LAMBDA_LOG_LEVEL", "INFO"))
    metrics.add_metadata("timestamp", utc_now())
    for name, dimension in dimensions.items():
        metrics.add_dimension(name, dimension)
    for name, (unit, value) in values.items():
        metrics.add_metric(name, unit, value)
    metrics.flush_metrics()
