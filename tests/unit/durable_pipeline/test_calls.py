from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aws_durable_execution_sdk_python import InvokeError
from aws_durable_execution_sdk_python_testing import child_dispatcher
from hypothesis import given
from hypothesis import strategies as st

from durable_pipeline import calls
from durable_pipeline.bisect import Stage, StageRunner
from durable_pipeline.calls import SETTLE_SECONDS, Budget, Deadline, Problem, Remedy, Tally
from durable_pipeline.report import known_reason
from pipeline_core.contract import ContractViolation
from tests.cloudformation import TEMPLATE
from tests.unit.durable_pipeline.fake_context import START, FakeContext, LambdaError


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (InvokeError("rate", error_type="TooManyRequestsException"), Remedy.BACK_OFF),
        (InvokeError("oops", error_type="ServiceException"), Remedy.BACK_OFF),
        (InvokeError("no", error_type="AccessDeniedException"), Remedy.NONE),
        (InvokeError("no", error_type="ResourceNotFoundException"), Remedy.NONE),
        (InvokeError("big", error_type="RequestTooLargeException"), Remedy.BISECT),
        (InvokeError("The result is too large."), Remedy.BISECT),
        (InvokeError("died", error_type="Runtime.ExitError"), Remedy.TRY_ONCE_MORE),
        (InvokeError("late", error_type="Sandbox.Timedout"), Remedy.TRY_ONCE_MORE),
        (InvokeError("bug", error_type="KeyError"), Remedy.TRY_ONCE_MORE),
        (InvokeError("who knows"), Remedy.TRY_ONCE_MORE),
        (ContractViolation("wrong"), Remedy.BISECT),
    ],
)
def test_each_error_has_its_remedy(error: Exception, remedy: Remedy) -> None:
    assert Problem.of(error).remedy is remedy


def test_a_problem_is_named_as_the_stage_named_it() -> None:
    problem = Problem.of(InvokeError("poisoned", error_type="MemoryError"))

    assert (problem.type, problem.message) == ("MemoryError", "poisoned")


# Each type and each text by which AWS's service says that a chained invoke came to nothing.
OF_CHAINED_INVOKES = {
    "CHAINED_INVOKE_TIMEOUT_ERROR_TYPE": Remedy.TRY_ONCE_MORE,
    "FUNCTION_TIMEOUT_ERROR_TYPE": Remedy.TRY_ONCE_MORE,
    "FUNCTION_NOT_FOUND_ERROR_TYPE": Remedy.NONE,
    "CHAINED_INVOKE_INPUT_TOO_LARGE_MESSAGE": Remedy.BISECT,
    "CHAINED_INVOKE_OUTPUT_TOO_LARGE_MESSAGE": Remedy.BISECT,
    "CHILD_EXECUTION_OUTPUT_TOO_LARGE_MESSAGE": Remedy.BISECT,
    "CHAINED_INVOKE_UTF8_DECODING_MESSAGE": Remedy.TRY_ONCE_MORE,
    # Of a name that cannot be invoked, which the template cannot give.
    "INVALID_FUNCTION_ARN_MESSAGE_FORMAT": Remedy.TRY_ONCE_MORE,
    "INVALID_TENANT_ID_MESSAGE": Remedy.TRY_ONCE_MORE,
    "CHAINED_INVOKE_DIFFERENT_ACCOUNT_MESSAGE": Remedy.TRY_ONCE_MORE,
    "CHAINED_INVOKE_DIFFERENT_REGION_MESSAGE": Remedy.TRY_ONCE_MORE,
}


@pytest.mark.parametrize(
    "name",
    [n for n in vars(child_dispatcher) if n.endswith(("_ERROR_TYPE", "_MESSAGE", "_FORMAT"))],
)
def test_each_error_that_the_service_has_for_a_chained_invoke_has_its_remedy(name: str) -> None:
    said: str = getattr(child_dispatcher, name)
    error = InvokeError("", error_type=said) if name.endswith("_ERROR_TYPE") else InvokeError(said)

    assert Problem.of(error).remedy is OF_CHAINED_INVOKES[name]


@pytest.mark.parametrize("name", [n for n in OF_CHAINED_INVOKES if n.endswith("_ERROR_TYPE")])
def test_each_type_that_the_service_has_for_a_chained_invoke_is_told_apart(name: str) -> None:
    said: str = getattr(child_dispatcher, name)

    assert known_reason(said) == said


EARLY, LATE = (datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in (8, 9))


def test_only_what_comes_after_the_first_attempt_is_a_retry() -> None:
    tally = Tally()

    for attempt in (1, 2, 3, 1):
        tally.invoked(attempt)

    assert (tally.invokes, tally.retries) == (4, 2)


def test_parts_add_up_and_the_latest_of_their_times_counts() -> None:
    whole = Tally(1, 0, 0, 0, LATE)

    whole.add(Tally(3, 2, 1, 0, EARLY))
    whole.add(Tally(1))

    assert whole == Tally(5, 2, 1, 0, LATE)


def test_the_latest_answer_counts_in_whatever_order_they_come() -> None:
    tally = Tally()

    for text in ("2026-03-01T09:00:00Z", "2026-03-01T10:00:00+02:00"):
        tally.learn(text)

    assert tally.until == LATE


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

    monkeypatch.setattr(calls, "utc_now", lambda: after(clock["seconds"]))
    fake = context(arn=hang)
    chunk = StageRunner(fake, Deadline(fake, 900, 60), Tally(), Budget(140, 10**6))

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
