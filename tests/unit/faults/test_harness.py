"""The harness with a durable function that is none of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from aws_durable_execution_sdk_python import DurableContext, InvokeError, durable_execution

from faults import NotSucceeded, UnknownStage, stages
from faults.durable import (
    crash_after_checkpoint,
    crash_before_checkpoint,
    lose_answer,
    stale_checkpoint_token,
)
from faults.harness import Call, Harness
from faults.stages import Crash, Hang, PartialWork, ServiceError, StageFault, Throttle, WrongAnswer

BOTH = {"first": 1, "second": 1}
RECORDS = {"records": [{"id": "a"}, {"id": "b"}]}


@durable_execution
def chain(event: dict[str, Any], context: DurableContext) -> dict[str, Any]:
    first: Any = context.invoke("first", event, name="first")
    return {"first": first, "second": context.invoke("second", event, name="second")}


@durable_execution
def cautious(event: dict[str, Any], context: DurableContext) -> dict[str, Any]:
    """Names the error of a stage in its answer."""
    try:
        return {"answer": context.invoke("first", event, name="first")}
    except InvokeError as error:
        return {"error_type": error.error_type, "message": str(error)}


def echo(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    return {"results": [{"id": record["id"]} for record in event["records"]]}


@pytest.fixture
def chained(durable_harness: type[Harness]) -> Harness:
    return durable_harness(chain, {"first": echo, "second": echo})


@pytest.fixture
def alone(durable_harness: type[Harness]) -> Harness:
    return durable_harness(cautious, {"first": echo})


def test_without_a_fault_each_stage_runs_once(chained: Harness) -> None:
    answer = chained.process(RECORDS)

    assert answer["second"] == {"results": [{"id": "a"}, {"id": "b"}]}
    assert chained.calls == [Call("first", 2), Call("second", 2)]
    assert chained.invocations == 3


ERRORS: dict[StageFault, str] = {
    Crash(): "Runtime.ExitError",
    Crash("MyError"): "MyError",
    Hang(): "Sandbox.Timedout",
    Throttle(): "TooManyRequestsException",
    ServiceError(): "ServiceException",
    PartialWork(1): "Runtime.ExitError",
}


@pytest.mark.parametrize("fault", ERRORS, ids=repr)
def test_a_fault_is_seen_under_the_error_type_that_lambda_gives_it(
    alone: Harness, fault: StageFault
) -> None:
    alone.inject("first", fault)

    assert alone.process(RECORDS)["error_type"] == ERRORS[fault]


def test_a_hang_takes_no_time_but_on_the_harnesss_clock(alone: Harness) -> None:
    before = alone.clock.now()
    alone.inject("first", Hang(seconds=3600))

    alone.process(RECORDS)

    assert (alone.clock.now() - before).total_seconds() >= 3600
    assert alone.clock.iso().endswith("Z")


def test_an_answer_can_be_too_large(alone: Harness) -> None:
    alone.inject("first", WrongAnswer(stages.too_large))

    assert "payload size" in alone.process(RECORDS)["message"]


ANSWERS: dict[Any, Any] = {
    stages.result_missing: [{"id": "b"}],
    stages.result_doubled: [{"id": "a"}, {"id": "a"}, {"id": "b"}],
    stages.result_foreign: [{"id": "a"}, {"id": "b"}, {"id": "foreign"}],
}


@pytest.mark.parametrize("change", ANSWERS)
def test_a_wrong_answer_is_the_stages_own_but_for_one_thing(alone: Harness, change: Any) -> None:
    alone.inject("first", WrongAnswer(change))

    assert alone.process(RECORDS)["answer"]["results"] == ANSWERS[change]


def test_attempts_count_the_invocations_that_the_condition_lets_through(alone: Harness) -> None:
    alone.inject("first", Crash(), attempts={2}, when=lambda record: record["id"] == "a")
    other = {"records": [{"id": "b"}]}

    answers = [alone.process(event) for event in (RECORDS, other, RECORDS, RECORDS)]

    assert ["error_type" in answer for answer in answers] == [False, False, True, False]


def test_a_throttle_ends_after_its_times(alone: Harness) -> None:
    alone.inject("first", Throttle(times=1))

    answers = [alone.process(RECORDS) for _ in range(2)]

    assert ["error_type" in answer for answer in answers] == [True, False]


def test_of_two_faults_the_first_that_strikes_does(alone: Harness) -> None:
    alone.inject("first", Crash("First"), attempts={1})
    alone.inject("first", Crash("Second"))

    answers = [alone.process(RECORDS) for _ in range(2)]

    assert [answer["error_type"] for answer in answers] == ["First", "Second"]


def test_partial_work_has_its_effects(durable_harness: type[Harness]) -> None:
    seen: list[str] = []

    def remember(event: Mapping[str, Any], context: Any) -> None:
        seen.extend(record["id"] for record in event["records"])

    harness = durable_harness(cautious, {"first": remember})
    harness.inject("first", PartialWork(1))

    harness.process(RECORDS)

    assert seen == ["a"]


def test_an_event_without_records_is_one(durable_harness: type[Harness]) -> None:
    harness = durable_harness(cautious, {"first": lambda event, context: "done"})
    harness.inject("first", Crash(), when=lambda event: bool(event["bad"]))

    assert harness.process({"bad": False}) == {"answer": "done"}
    assert "error_type" in harness.process({"bad": True})
    assert harness.calls == [Call("first", 1), Call("first", 1)]


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(
    "fault", [crash_after_checkpoint, crash_before_checkpoint, stale_checkpoint_token]
)
def test_a_disturbed_checkpoint_costs_at_most_an_invocation_and_no_stage(
    chained: Harness, fault: Any, number: int
) -> None:
    chained.inject_durable(fault(number))

    chained.process(RECORDS)

    assert chained.calls_by_stage == BOTH
    # What was accepted resumes the function anyway, and may do so before it is repeated.
    assert chained.invocations in (3, 4)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_lost_answer_costs_at_most_an_invocation_and_no_stage(
    chained: Harness, number: int
) -> None:
    chained.inject_durable(lose_answer(number))

    chained.process(RECORDS)

    assert chained.calls_by_stage == BOTH
    assert chained.invocations in (3, 4)


def test_a_fault_at_a_checkpoint_that_never_comes_does_nothing(chained: Harness) -> None:
    chained.inject_durable(crash_after_checkpoint(3))

    chained.process(RECORDS)

    assert chained.invocations == 3


def test_a_fault_needs_a_stage(chained: Harness) -> None:
    with pytest.raises(UnknownStage, match="'third' is none of first, second"):
        chained.inject("third", Crash())


def test_an_execution_that_was_to_succeed_and_did_not_says_why(chained: Harness) -> None:
    chained.inject("second", Crash(message="broken for good"))

    with pytest.raises(NotSucceeded, match="broken for good"):
        chained.process(RECORDS)
