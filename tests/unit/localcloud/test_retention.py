"""ministack keeps the newest of what passes through it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from localcloud import retention
from localcloud.retention import forgetting_points, forgetting_streams, log_group


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "MOST_INVOCATIONS", 10)
    monkeypatch.setattr(retention, "_AT_ONCE", 5)
    monkeypatch.setattr(retention, "MOST_POINTS", 10)


@pytest.mark.usefixtures("few")
def test_the_logs_of_the_newest_invocations_stay() -> None:
    groups: dict[str, Any] = {"/aws/lambda/f": {"streams": {}}, "/aws/lambda/g": {"streams": {}}}
    groups["/aws/lambda/g"]["streams"] = dict.fromkeys(range(100))

    def emit(function: Any, number: int) -> None:
        groups[log_group(function)]["streams"][number] = {"events": [number]}

    emitted = forgetting_streams(emit, groups)
    for number in range(100):
        emitted({"FunctionName": "f"}, number)
        assert len(groups["/aws/lambda/f"]["streams"]) <= 15
    kept = list(groups["/aws/lambda/f"]["streams"])
    assert kept == list(range(100 - len(kept), 100))
    assert len(groups["/aws/lambda/g"]["streams"]) == 100, "of another function"
    forgetting_streams(lambda *_: None, {})({"config": {"FunctionName": "unknown"}})


@pytest.mark.parametrize(
    ("config", "group"),
    [
        ({"FunctionName": "f"}, "/aws/lambda/f"),
        ({"FunctionName": "f", "LoggingConfig": {}}, "/aws/lambda/f"),
        ({"FunctionName": "f", "LoggingConfig": {"LogGroup": "own"}}, "own"),
    ],
)
def test_a_functions_log_group(config: dict[str, Any], group: str) -> None:
    assert log_group(config) == group


@pytest.mark.usefixtures("few")
def test_the_newest_points_of_a_metric_stay() -> None:
    metrics: dict[str, list[int]] = {}
    bucket = forgetting_points(lambda key: metrics.setdefault(key, []))
    for number in range(95):
        bucket("m").append(number)
        assert len(metrics["m"]) <= 20
    assert metrics["m"] == list(range(95 - len(metrics["m"]), 95))


def test_both_are_put_in_place() -> None:
    service = SimpleNamespace(_emit_lambda_logs=print)
    metrics = SimpleNamespace(_metric_bucket=print)
    retention.install(service, SimpleNamespace(_log_groups={}), metrics)
    assert service._emit_lambda_logs is not print
    assert metrics._metric_bucket is not print
