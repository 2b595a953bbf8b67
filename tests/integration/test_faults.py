"""Every fault against the pipeline: no record is lost, none is stored twice, no work is wasted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from aws_durable_execution_sdk_python.lambda_service import CheckpointOutput, OperationUpdate

from durable_pipeline.calls import LARGEST_SHARE
from faults import UnknownStage, stages
from faults.durable import (
    Checkpoint,
    CheckpointFault,
    DurableFault,
    at_checkpoint,
    crash_after_checkpoint,
    crash_before_checkpoint,
    stale_checkpoint_token,
)
from faults.stages import Crash, Hang, PartialWork, ServiceError, Throttle, WrongAnswer
from tests.events import sqs_event, sqs_event_of, sqs_message, standard
from tests.integration.conftest import Pipeline

ONCE = {"validate": 1, "transform": 1, "store": 1}
STAGES = list(ONCE)
BATCH = sqs_event_of([standard()] * 10)

every_stage = pytest.mark.parametrize("stage", STAGES)


@dataclass(frozen=True)
class Settled:
    """Where the messages of one batch are: in the table, among the dead letters, or sent back."""

    stored: list[str]
    dead: list[str]
    back: list[str]
    reasons: Mapping[str, str]

    @property
    def everywhere(self) -> list[str]:
        """All message ids, as often as they were found."""
        return sorted([*self.stored, *self.dead, *self.back])


def settled(pipeline: Pipeline, response: Mapping[str, Any]) -> Settled:
    letters = pipeline.dead_letters
    return Settled(
        stored=sorted(item["message_id"] for item in pipeline.items.values()),
        dead=sorted(letter["original_message_id"] for letter in letters),
        back=sorted(failure["itemIdentifier"] for failure in response["batchItemFailures"]),
        reasons={letter["original_message_id"]: letter["error_type"] for letter in letters},
    )


def ids_of(event: Mapping[str, Any]) -> list[str]:
    return sorted(message["messageId"] for message in event["Records"])


@every_stage
def test_a_throttled_stage_backs_off_and_succeeds_without_a_bisection(
    pipeline: Pipeline, stage: str
) -> None:
    pipeline.inject(stage, Throttle(times=3))

    found = settled(pipeline, pipeline.process(BATCH))

    assert found.stored == ids_of(BATCH) == found.everywhere
    assert pipeline.calls_by_stage == ONCE | {stage: 4}
    assert {call.records for call in pipeline.calls} == {10}


@every_stage
@pytest.mark.parametrize("fault", [Throttle(), ServiceError()], ids=repr)
def test_a_stage_that_has_no_room_for_ever_fails_its_records_without_a_bisection(
    pipeline: Pipeline, stage: str, fault: Throttle | ServiceError
) -> None:
    pipeline.inject(stage, fault)

    found = settled(pipeline, pipeline.process(BATCH))

    assert found.back == ids_of(BATCH) == found.everywhere
    assert pipeline.calls_by_stage[stage] == 4
    assert {call.records for call in pipeline.calls} == {10}


@every_stage
def test_an_error_of_the_service_passes(pipeline: Pipeline, stage: str) -> None:
    pipeline.inject(stage, ServiceError(), attempts={1, 2})

    found = settled(pipeline, pipeline.process(BATCH))

    assert found.stored == ids_of(BATCH)
    assert pipeline.calls_by_stage == ONCE | {stage: 3}


@every_stage
def test_a_stage_that_hangs_with_one_record_is_tried_once_more_and_bisected(
    pipeline: Pipeline, stage: str
) -> None:
    pipeline.inject(stage, Hang(seconds=5), when=lambda record: record["id"] == "m-7")

    found = settled(pipeline, pipeline.process(BATCH))

    assert found.back == ["m-7"]
    assert found.everywhere == ids_of(BATCH)
    sizes = [call.records for call in pipeline.calls if call.stage == stage]
    assert sizes[:3] == [10, 10, 5]
    assert sum(call.stage != stage for call in pipeline.calls) == 2


def test_a_store_that_dies_halfway_is_tried_again_and_still_makes_one_item_of_each(
    pipeline: Pipeline,
) -> None:
    pipeline.inject("store", PartialWork(records=4), attempts={1})

    found = settled(pipeline, pipeline.process(BATCH))

    assert found.stored == ids_of(BATCH) == found.everywhere
    assert pipeline.calls_by_stage == ONCE | {"store": 2}


def test_a_store_that_always_dies_halfway_loses_and_doubles_nothing(pipeline: Pipeline) -> None:
    pipeline.inject("store", PartialWork(records=4))

    found = settled(pipeline, pipeline.process(BATCH))

    # What a dying store has written stays written; its message comes back and writes the same.
    assert found.back == ids_of(BATCH)
    assert len(found.stored) == len(set(found.stored)) == 10


WRONG = [
    stages.result_missing,
    stages.result_doubled,
    stages.result_foreign,
    stages.not_an_object,
    stages.not_json,
]


@every_stage
@pytest.mark.parametrize("change", WRONG)
def test_a_stage_that_answers_wrongly_for_one_record_fails_that_record_alone(
    pipeline: Pipeline, stage: str, change: Any
) -> None:
    pipeline.inject(stage, WrongAnswer(change), when=lambda record: record["id"] == "m-3")

    found = settled(pipeline, pipeline.process(BATCH))

    assert found.back == ["m-3"]
    assert set(found.stored) >= set(ids_of(BATCH)) - {"m-3"}
    assert len(found.stored) == len(set(found.stored))


@every_stage
def test_an_answer_that_is_too_large_is_bisected_until_it_fits(
    pipeline: Pipeline, stage: str
) -> None:
    def large_for_many(invocation: stages.StageInvocation) -> Any:
        answer = invocation.work()
        return stages.too_large(answer) if len(answer["results"]) > 3 else answer

    pipeline.inject(stage, large_for_many)

    found = settled(pipeline, pipeline.process(BATCH))

    assert found.stored == ids_of(BATCH) == found.everywhere
    # 10, then 5, 2, 3, 5, 2, 3; none of them twice.
    assert pipeline.calls_by_stage[stage] == 7


POISON = standard(note="poison")
MIXED = sqs_event(
    sqs_message(standard(), "good"),
    sqs_message("not JSON", "rejected"),
    sqs_message(POISON, "failed"),
)
# Both valid records twice, and then each of them alone.
MIXED_CALLS = ONCE | {"transform": 4}
MIXED_INVOCATIONS = 8
MOST_CHECKPOINTS = 14


def is_poison(record: Any) -> bool:
    return "poison" in record["body"]


def noting(names: list[str | None]) -> CheckpointFault:
    """No fault: writes down what the checkpoint was for."""

    def note(
        checkpoint: Checkpoint, token: str, updates: Sequence[OperationUpdate]
    ) -> CheckpointOutput:
        names.extend(update.name for update in updates)
        return checkpoint(token, updates)

    return note


def process_mixed(pipeline: Pipeline, fault: DurableFault, number: int) -> tuple[Settled, Any]:
    """How the mixed batch is settled, and what the checkpoint was for at which it was disturbed."""
    names: list[str | None] = []
    pipeline.inject("transform", Crash(), when=is_poison)
    pipeline.inject_durable(at_checkpoint(number, noting(names)))
    pipeline.inject_durable(fault)
    return settled(pipeline, pipeline.process(MIXED)), names


every_checkpoint = pytest.mark.parametrize("number", range(1, MOST_CHECKPOINTS + 1))


def test_the_mixed_batch_undisturbed_makes_no_more_checkpoints_than_are_disturbed_here(
    pipeline: Pipeline,
) -> None:
    _, names = process_mixed(pipeline, lambda handler: handler, MOST_CHECKPOINTS)

    assert names == []
    assert pipeline.calls_by_stage == MIXED_CALLS
    assert pipeline.invocations == MIXED_INVOCATIONS


@every_checkpoint
def test_a_crash_after_a_checkpoint_repeats_nothing(pipeline: Pipeline, number: int) -> None:
    found, names = process_mixed(pipeline, crash_after_checkpoint(number), number)

    assert (found.stored, found.dead, found.back) == (["good"], ["rejected"], ["failed"])
    assert pipeline.calls_by_stage == MIXED_CALLS
    assert pipeline.invocations <= MIXED_INVOCATIONS + bool(names)


@every_checkpoint
@pytest.mark.parametrize("fault", [crash_before_checkpoint, stale_checkpoint_token])
def test_a_checkpoint_that_never_came_or_was_refused_doubles_at_most_its_own_dead_letters(
    pipeline: Pipeline, fault: Any, number: int
) -> None:
    found, names = process_mixed(pipeline, fault(number), number)

    assert (found.stored, found.back) == (["good"], ["failed"])
    assert set(found.dead) == {"rejected"}
    assert len(found.dead) <= 1 + ("dead-letters" in names)
    assert pipeline.calls_by_stage == MIXED_CALLS


@dataclass(frozen=True)
class Poison:
    """So many poison records in a batch, and the most invokes that may be spent on them.

    A healthy chunk takes three. A chunk with poison repeats the stage once, and then spends at most
    `LARGEST_SHARE` of operations on finding it, of which half are invokes.
    """

    records: int
    poison: int
    chunks: int

    @property
    def most_invokes(self) -> int:
        poisoned = min(self.chunks, self.poison)
        return 3 * self.chunks + poisoned * (1 + LARGEST_SHARE // 2)

    @property
    def ids(self) -> set[str]:
        """Spread evenly, so that no two share a half for longer than they must."""
        return {f"m-{index * self.records // self.poison}" for index in range(self.poison)}


POISONS = [
    Poison(records=10, poison=1, chunks=1),
    Poison(records=100, poison=1, chunks=1),
    Poison(records=100, poison=4, chunks=1),
    Poison(records=1000, poison=3, chunks=10),
    Poison(records=10, poison=10, chunks=1),
    Poison(records=100, poison=100, chunks=1),
]


@pytest.mark.parametrize("case", POISONS, ids=lambda case: f"{case.poison}-in-{case.records}")
def test_poison_costs_no_more_invokes_than_documented(pipeline: Pipeline, case: Poison) -> None:
    event = sqs_event_of([standard()] * case.records)
    poisoned = case.ids
    pipeline.inject("transform", Crash(), when=lambda record: record["id"] in poisoned)

    found = settled(pipeline, pipeline.process(event))

    print(f"{case.poison} in {case.records}: {len(pipeline.calls)} of {case.most_invokes} invokes")
    assert set(found.back) == poisoned
    assert found.everywhere == ids_of(event)
    assert len(pipeline.calls) <= case.most_invokes


def test_one_poison_record_in_ten_costs_at_most_twelve_invokes(pipeline: Pipeline) -> None:
    pipeline.inject("transform", Crash(), when=lambda record: record["id"] == "m-7")

    pipeline.process(BATCH)

    assert len(pipeline.calls) <= 12


def test_more_poison_than_can_be_isolated_takes_neighbours_back_to_the_queue_and_loses_none(
    pipeline: Pipeline,
) -> None:
    poison = {f"m-{index}" for index in range(0, 100, 5)}
    event = sqs_event_of([standard()] * 100)
    pipeline.inject("store", Crash(), when=lambda record: record["id"] in poison)

    found = settled(pipeline, pipeline.process(event))

    print(f"{len(found.back)} come back for {len(poison)} poison records")
    assert set(found.back) >= poison
    assert found.everywhere == ids_of(event)
    assert len(pipeline.calls) <= 3 + 1 + LARGEST_SHARE // 2


@every_stage
def test_a_stage_that_hangs_leaves_the_execution_time_to_end(
    shared_clock: None, pipeline: Pipeline, stage: str
) -> None:
    pipeline.inject(stage, Hang(seconds=20))

    found = settled(pipeline, pipeline.process(BATCH))

    # Work starts within the first 60 of 120 seconds: all twice, a half once, and no more.
    assert found.back == ids_of(BATCH) == found.everywhere
    assert pipeline.calls_by_stage[stage] == 3


def test_a_record_that_found_no_time_says_so_and_holds_back_no_other(
    shared_clock: None, pipeline: Pipeline
) -> None:
    messages = [sqs_message(standard(), f"m-{n}", receive_count=3) for n in range(10)]
    pipeline.inject("store", Hang(seconds=20), when=lambda record: record["id"] == "m-7")

    found = settled(pipeline, pipeline.process(sqs_event(*messages)))

    # Each had failed before, and so was alone: only the one that hangs has no time.
    assert found.stored == [f"m-{n}" for n in range(10) if n != 7]
    assert found.reasons == {"m-7": "Sandbox.Timedout"}


def test_a_fault_is_for_a_stage_that_there_is(pipeline: Pipeline) -> None:
    with pytest.raises(UnknownStage, match="publish"):
        pipeline.inject("publish", Crash())
