"""Reports one set of metrics and one log line per batch, from the invocation that completes it."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from aws_durable_execution_sdk_python import DurableContext
from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

from durable_pipeline.records import Outcomes

metrics = Metrics(namespace="DurablePipeline", service="durable-pipeline")

METRICS: dict[Literal["stored", "rejected", "failed"], str] = {
    "stored": "RecordsStored",
    "rejected": "RecordsRejected",
    "failed": "RecordsFailed",
}


def report(context: DurableContext, outcomes: Outcomes) -> None:
    """Count the batch's outcomes. Comes last, so that a replay never counts twice."""
    counts = Counter(outcome["outcome"] for outcome in outcomes.values())
    metrics.add_metric(name="BatchSize", unit=MetricUnit.Count, value=len(outcomes))
    for outcome, name in METRICS.items():
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=counts[outcome])
    metrics.flush_metrics()
    context.logger.info("batch processed", extra={"outcomes": dict(counts)})
