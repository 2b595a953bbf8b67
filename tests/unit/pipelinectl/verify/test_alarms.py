from __future__ import annotations

from typing import Any

import pytest

from pipelinectl.verify.alarms import judged_documented, judged_own, metrics_of, written
from pipelinectl.verify.judging import Verdict
from tests.cloudwatch import OURS, alarmed

LINE = {
    "service": "durable-pipeline",
    "stack": "prod",
    "ExecutionOperations": 4,
    "_aws": {
        "CloudWatchMetrics": [
            {
                "Namespace": OURS,
                "Dimensions": [["service", "stack"]],
                "Metrics": [{"Name": "ExecutionOperations", "Unit": "Count"}],
            }
        ]
    },
}


def alarm(**more: Any) -> dict[str, Any]:
    of_ours = {"service": "durable-pipeline", "stack": "prod"}
    return {
        "AlarmName": "LargeExecutionsAlarm",
        "Namespace": OURS,
        "MetricName": "ExecutionOperations",
        "Dimensions": [{"Name": name, "Value": value} for name, value in of_ours.items()],
        **more,
    }


def on_aws(namespace: str, name: str, dimension: str, value: str) -> dict[str, Any]:
    dimensions = [{"Name": dimension, "Value": value}]
    return alarm(Namespace=namespace, MetricName=name, Dimensions=dimensions)


def test_a_metric_that_a_function_writes_holds() -> None:
    assert judged_own(metrics_of([alarm()]), set(written([LINE]))).verdict is Verdict.HOLDS


@pytest.mark.parametrize(
    "wrong",
    [
        {"MetricName": "ExecutionOperation"},
        {"Dimensions": [{"Name": "service", "Value": "durable-pipeline"}]},
        {"Namespace": "DurablePipelines"},
    ],
)
def test_an_alarm_on_what_nobody_writes_is_named(wrong: dict[str, Any]) -> None:
    seen = judged_own(metrics_of([alarm(), alarm(**wrong)]), set(written([LINE])))

    assert seen.verdict is Verdict.AWAITED
    assert seen.otherwise is Verdict.DIFFERS
    assert "LargeExecutionsAlarm" in seen.text


@pytest.mark.parametrize(
    "wrong",
    [
        on_aws("AWS/Lambda", "DurableExecutionsFailed", "FunctionName", "prod-store"),
        on_aws("AWS/Lambda", "Errors", "Function", "prod-store"),
        on_aws("AWS/Lambda", "Errors", "FunctionName", "other-store"),
        on_aws("AWS/SQS", "Errors", "QueueName", "prod-objects"),
        on_aws("AWS/SNS", "NumberOfMessagesPublished", "TopicName", "prod-x"),
        alarm(Namespace="AWS/Lambda", MetricName="Errors", Dimensions=[]),
    ],
)
def test_an_alarm_on_what_aws_does_not_document_differs(wrong: dict[str, Any]) -> None:
    right = on_aws("AWS/Lambda", "Errors", "FunctionName", "prod-store")

    assert judged_documented(metrics_of([right]), "prod").verdict is Verdict.HOLDS
    assert judged_documented(metrics_of([right, wrong]), "prod").verdict is Verdict.DIFFERS


def test_the_templates_own_alarms_are_documented() -> None:
    found = [
        on_aws(metric.namespace, metric.name, name, f"prod-{value}")
        for metric in alarmed("prod").values()
        if metric.namespace != OURS
        for name, value in metric.dimensions
    ]

    assert len(found) > 30
    assert judged_documented(metrics_of(found), "prod").verdict is Verdict.HOLDS
