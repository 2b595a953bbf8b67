from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_pipeline import deadline
from durable_pipeline.budget import Budget
from durable_pipeline.containment import Containment, Stage
from durable_pipeline.deadline import SETTLE_SECONDS, Deadline
from durable_pipeline.tally import Tally
from tests.cloudformation import TEMPLATE
from tests.unit.durable_pipeline.fake_context import START, FakeContext, LambdaError


def after(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def context(**stages: Any) -> Any:
    return FakeContext(stages)


@given(execution=st.integers(10, 900), stage=st.integers(3, 240))
def test_work_may_start_at_the_start_and_never_at_the_end(execution: int, stage: int) -> None:
    limit = Deadline(context(), execution, stage)

    assert not limit.passed()
    limit.learn(after(execution / 2 - 1))
    assert not limit.passed()
    limit.learn(after(execution))
    assert limit.passed()


def test_what_starts_in_time_ends_in_time() -> None:
    limit = Deadline(context(), 900, 60)

    limit.learn(after(900 - 60 - SETTLE_SECONDS))
    assert not limit.passed()
    limit.learn(after(900 - 60 - SETTLE_SECONDS + 1))
    assert limit.passed()


def test_time_does_not_run_backwards() -> None:
    limit = Deadline(context(), 900, 60)

    limit.learn(after(899))
    limit.learn(after(1))

    assert limit.passed()


def test_a_hanging_stage_is_given_up_before_the_execution_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = {"seconds": 0.0}

    def hang(_: Any) -> Any:
        clock["seconds"] += 60
        raise LambdaError("Sandbox.Timedout")

    monkeypatch.setattr(deadline, "utc_now", lambda: after(clock["seconds"]))
    fake = context(arn=hang)
    chunk = Containment(fake, Deadline(fake, 900, 60), Tally(), Budget(140, 10**6))

    answer = chunk.run(Stage("validate", "arn"), [{"id": str(n), "body": ""} for n in range(100)])

    errors = {result["reason"]["type"] for result in answer.results.values()}
    assert len(answer.results) == 100
    assert errors == {"Sandbox.Timedout", "DeadlineExceeded"}
    assert clock["seconds"] <= 900 - SETTLE_SECONDS


def test_two_attempts_at_each_stage_fit_the_default_timeouts() -> None:
    parameters = TEMPLATE["Parameters"]
    stage, execution = (parameters[n]["Default"] for n in ("StageTimeout", "ExecutionTimeout"))

    slowest_chunk = 3 * (stage + 1 + stage)
    assert slowest_chunk + SETTLE_SECONDS <= execution
