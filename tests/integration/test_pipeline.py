"""The durable function with its stages: what a batch costs and what becomes of its records."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from faults.durable import lose_answer
from faults.stages import Crash, StageInvocation
from pipeline_core.contract import ok, respond
from pipeline_core.messages import ATTRIBUTE
from tests.events import order, sqs_event, sqs_event_of, sqs_message, standard
from tests.integration.conftest import Pipeline


def operation_types(result: Any) -> Counter[str]:
    return Counter(op.operation_type.value for op in result.get_all_operations())


def test_a_standard_record_becomes_an_item(pipeline: Pipeline) -> None:
    response = pipeline.process(sqs_event(sqs_message(standard(amount=1.10), "m-1")))

    item = pipeline.items["test-m-1"]
    assert response["batchItemFailures"] == []
    assert item["data_source"] == "TEST.CSV"
    assert item["processing_type"] == "standard"
    assert item["original_data"]["data_source"] == "test.csv"
    assert item["transformed_data"]["data_source"] == "TEST.CSV"
    assert item["transformed_data"]["amount"] == Decimal("1.1")
    assert item["processed_at"] <= item["stored_at"]


def test_an_item_names_its_execution_as_a_dead_letter_does(pipeline: Pipeline) -> None:
    pipeline.process(sqs_event(sqs_message(standard(), "m-1"), sqs_message("bad", "m-2")))

    (letter,) = pipeline.dead_letters
    assert pipeline.items["test-m-1"]["durable_execution_arn"] == letter["durable_execution_arn"]
    assert letter["durable_execution_arn"]


def carrying(message_id: str, **carried: Any) -> dict[str, Any]:
    """A message of the pipeline's own that says this of its record."""
    value = {"stringValue": json.dumps(carried), "dataType": "String"}
    return sqs_message(standard(n=2), message_id, queue="internal", attributes={ATTRIBUTE: value})


def test_a_record_processed_again_replaces_just_the_item_that_it_was_read_from(
    pipeline: Pipeline,
) -> None:
    pipeline.process(sqs_event(sqs_message(standard(n=1), "m-1")))
    read = pipeline.items["test-m-1"]
    known = {"execution_id": "test-m-1", "replaces": read["stored_at"]}

    pipeline.process(sqs_event(carrying("a-1", **known)))
    replaced = pipeline.items["test-m-1"]
    response = pipeline.process(sqs_event(carrying("a-2", **known)))

    assert replaced["original_data"]["n"] == 2
    assert replaced["message_id"] == "a-1"
    assert pipeline.items["test-m-1"] == replaced
    assert response["summary"]["superseded"] == 1


def test_a_record_processed_again_that_fails_is_a_dead_letter_that_is_still_bound_to_its_item(
    pipeline: Pipeline,
) -> None:
    pipeline.inject("transform", Crash())
    known = {"execution_id": "test-m-1", "replaces": "2026-01-01T00:00:00.000000Z"}
    message = carrying("a-1", **known)
    message["attributes"]["ApproximateReceiveCount"] = "3"

    pipeline.process(sqs_event(message))

    (letter,) = pipeline.dead_letters
    assert letter["execution_id"] == "test-m-1"
    assert json.loads(letter["original"])["replaces"] == known["replaces"]


def test_an_order_is_normalised(pipeline: Pipeline) -> None:
    pipeline.process(sqs_event(sqs_message(order(), "m-1")))

    transformed = pipeline.items["test-m-1"]["transformed_data"]
    assert transformed["order_id"] == "A-1001"
    assert transformed["currency"] == "EUR"
    assert transformed["total"] == Decimal("37.5")
    assert transformed["ordered_at"] == "2026-03-01T08:30:00Z"


@pytest.mark.parametrize("size", [1, 10, 100])
def test_a_healthy_batch_of_one_chunk_costs_three_invokes(pipeline: Pipeline, size: int) -> None:
    result = pipeline.run(sqs_event_of([standard()] * size))

    assert operation_types(result) == {"CHAINED_INVOKE": 3}
    assert pipeline.calls == [("validate", size), ("transform", size), ("store", size)]
    assert pipeline.invocations == 4
    assert len(pipeline.items) == size


def test_a_thousand_records_are_one_execution_of_at_most_forty_operations(
    pipeline: Pipeline,
) -> None:
    result = pipeline.run(sqs_event_of([standard()] * 1000))

    assert result.status.value == "SUCCEEDED"
    assert operation_types(result) == {"CHAINED_INVOKE": 30, "CONTEXT": 1}
    assert len(pipeline.items) == 1000


def test_numbers_keep_their_exact_value(pipeline: Pipeline) -> None:
    digits = "12345678901234567890.123456789012345678"
    body = standard()[:-1] + f', "amount": {digits}, "count": 9007199254740993}}'

    pipeline.process(sqs_event(sqs_message(body, "m-1")))

    item = pipeline.items["test-m-1"]
    assert item["original_data"]["amount"] == Decimal(digits)
    assert item["transformed_data"]["amount"] == Decimal(digits)
    assert item["original_data"]["count"] == 9007199254740993


DEEPEST = ("validate", "InvalidJson")
UNSTORABLE = {
    "39 digits": (standard()[:-1] + f', "n": {"1" * 39}}}', "store", "NotStorable"),
    "tiny number": (standard()[:-1] + ', "n": 1e-400}', "store", "NotStorable"),
    "NaN": (standard()[:-1] + ', "n": NaN}', "validate", "InvalidJson"),
    "too deep": (standard()[:-1] + f', "n": {"[" * 40}{"]" * 40}}}', "store", "NotStorable"),
    "far too deep": (standard()[:-1] + f', "n": {"[" * 400}{"]" * 400}}}', "store", "NotStorable"),
    "deeper than any": (standard()[:-1] + f', "n": {"[" * 986}{"]" * 986}}}', *DEEPEST),
    "not JSON": ("hello", "validate", "InvalidJson"),
    "unknown type": (standard(processing_type="nope"), "validate", "UnknownProcessingType"),
}


@pytest.mark.parametrize("case", UNSTORABLE)
def test_a_record_that_can_never_be_stored_is_a_dead_letter_and_its_neighbour_an_item(
    pipeline: Pipeline, case: str
) -> None:
    body, stage, error_type = UNSTORABLE[case]

    response = pipeline.process(
        sqs_event(sqs_message(body, "bad"), sqs_message(standard(), "good"))
    )

    (letter,) = pipeline.dead_letters
    assert response["batchItemFailures"] == []
    assert list(pipeline.items) == ["test-good"]
    assert letter["body"] == body
    assert (letter["stage"], letter["error_type"]) == (stage, error_type)
    assert letter["execution_id"] == "test-bad"
    assert letter["original_message_id"] == "bad"
    assert letter["receive_count"] == "1"


def test_a_dead_letter_carries_every_reason(pipeline: Pipeline) -> None:
    bad = order(quantity=0, currency="ZZZ", ordered_at="yesterday")

    pipeline.process(sqs_event(sqs_message(bad, "bad")))

    (letter,) = pipeline.dead_letters
    errors = json.loads(letter["errors"])
    assert len(errors) == 3
    assert [error.split()[0] for error in errors] == ["quantity", "currency", "ordered_at"]


def test_the_same_record_delivered_twice_is_one_item(pipeline: Pipeline) -> None:
    event = sqs_event(
        sqs_message(standard(), "m-1"),
        sqs_message(standard(record_id="mine"), "m-2"),
        sqs_message(standard(record_id="mine"), "m-3"),
    )

    pipeline.process(event)
    pipeline.process(event)

    assert sorted(pipeline.items) == ["mine", "test-m-1"]


def test_an_older_message_that_comes_late_does_not_replace_a_newer_one(pipeline: Pipeline) -> None:
    old = sqs_message(standard(record_id="mine", version=1), "m-1")
    new = sqs_message(standard(record_id="mine", version=2), "m-2")
    new["attributes"]["SentTimestamp"] = str(int(old["attributes"]["SentTimestamp"]) + 1)

    for message in (new, old):
        assert pipeline.process(sqs_event(message))["batchItemFailures"] == []

    assert pipeline.items["mine"]["original_data"]["version"] == 2


def test_a_redriven_message_is_as_old_as_it_was_first_sent(pipeline: Pipeline) -> None:
    new = sqs_message(standard(record_id="mine", version=2), "m-2")
    old = sent_again(standard(record_id="mine", version=1), execution_id="mine", sent_timestamp=1)

    for message in (new, old):
        pipeline.process(sqs_event(message))

    assert pipeline.items["mine"]["original_data"]["version"] == 2


def test_a_redriven_message_keeps_its_execution_id(pipeline: Pipeline) -> None:
    pipeline.process(sqs_event(sent_again(standard(), execution_id="kept")))

    assert list(pipeline.items) == ["kept"]


def sent_again(body: str, **carried: Any) -> dict[str, Any]:
    """A message from the queue that only the pipeline and its operators may send to."""
    attribute = {"stringValue": json.dumps(carried), "dataType": "String"}
    return sqs_message(body, "new", attributes={ATTRIBUTE: attribute}, queue="internal")


def test_what_anybody_sends_along_is_not_believed(pipeline: Pipeline) -> None:
    """Twenty messages with an attribute that a workflow might add are twenty items."""
    said = {"execution_id": {"stringValue": "run-7", "dataType": "String"}}

    pipeline.process(
        sqs_event(*(sqs_message(standard(n=n), f"m-{n}", attributes=said) for n in range(20)))
    )

    assert set(pipeline.items) == {f"test-m-{n}" for n in range(20)}


@pytest.mark.parametrize("stage", ["validate", "transform", "store"])
def test_a_stage_that_crashes_once_is_tried_again_and_no_finished_stage_is(
    pipeline: Pipeline, stage: str
) -> None:
    pipeline.inject(stage, Crash(), attempts={1})

    response = pipeline.process(sqs_event_of([standard()] * 10))

    assert response["batchItemFailures"] == []
    assert len(pipeline.items) == 10
    assert pipeline.calls_by_stage == {"validate": 1, "transform": 1, "store": 1} | {stage: 2}


@pytest.mark.parametrize("stage", ["validate", "transform", "store"])
def test_a_stage_that_stays_broken_reports_its_records_as_failed(
    pipeline: Pipeline, stage: str
) -> None:
    pipeline.inject(stage, Crash())

    response = pipeline.process(sqs_event_of([standard()] * 3))

    failures = [failure["itemIdentifier"] for failure in response["batchItemFailures"]]
    assert failures == ["m-0", "m-1", "m-2"]
    assert response["summary"] == {"stored": 0, "dead_letters": 0, "back_to_queue": 3}
    assert pipeline.items == {}


def test_a_failed_record_on_its_last_delivery_is_a_dead_letter(pipeline: Pipeline) -> None:
    pipeline.inject("transform", Crash())

    response = pipeline.process(sqs_event(sqs_message(standard(), "m-1", receive_count=3)))

    (letter,) = pipeline.dead_letters
    assert response["batchItemFailures"] == []
    assert (letter["stage"], letter["receive_count"]) == ("transform", "3")
    assert letter["error_message"] == "crashed"


@pytest.mark.parametrize("stage", ["validate", "transform", "store"])
def test_a_poison_record_does_not_hold_back_its_chunk(pipeline: Pipeline, stage: str) -> None:
    pipeline.inject(stage, Crash(), when=lambda record: "poison" in record["body"])
    bodies = [standard(note="poison" if index == 7 else "fine") for index in range(10)]

    response = pipeline.process(sqs_event_of(bodies))

    assert [failure["itemIdentifier"] for failure in response["batchItemFailures"]] == ["m-7"]
    assert len(pipeline.items) == 9
    assert len(pipeline.calls) <= 12


WRONG_ANSWERS: dict[str, Any] = {
    "nothing": lambda answer: None,
    "no time": lambda answer: answer | {"completed_at": "soon"},
    "no results": lambda answer: {"completed_at": answer["completed_at"]},
    "a result less": lambda answer: answer | {"results": answer["results"][1:]},
    "a result twice": lambda answer: answer | {"results": answer["results"] * 2},
    "a foreign id": lambda answer: (
        answer | {"results": [*answer["results"], {"id": "x", "outcome": "ok"}]}
    ),
    "an unknown outcome": lambda answer: (
        answer | {"results": [r | {"outcome": "done"} for r in answer["results"]]}
    ),
    "a rejection without reason": lambda answer: (
        answer | {"results": [r | {"outcome": "rejected"} for r in answer["results"]]}
    ),
}


def idle_answer(invocation: StageInvocation) -> dict[str, Any]:
    """The answer of any stage that has done nothing."""
    return {**respond([ok(record["id"], "{}") for record in invocation.event["records"]])}


@pytest.mark.parametrize("stage", ["validate", "transform", "store"])
@pytest.mark.parametrize("case", WRONG_ANSWERS)
def test_a_stage_that_answers_wrongly_is_a_failed_stage_and_named(
    pipeline: Pipeline, stage: str, case: str
) -> None:
    # Without having worked: what a stage has stored is no dead letter, whatever it answers.
    pipeline.inject(stage, lambda invocation: WRONG_ANSWERS[case](idle_answer(invocation)))

    response = pipeline.process(sqs_event(sqs_message(standard(), "m-1", receive_count=3)))

    (letter,) = pipeline.dead_letters
    assert response["summary"]["dead_letters"] == 1
    assert (letter["stage"], letter["error_type"]) == (stage, "ContractViolation")


def test_a_transformation_without_data_is_a_contract_violation(pipeline: Pipeline) -> None:
    def without_data(transform: StageInvocation) -> Any:
        answer = transform.work()
        return answer | {"results": [{"id": r["id"], "outcome": "ok"} for r in answer["results"]]}

    pipeline.inject("transform", without_data)

    response = pipeline.process(sqs_event(sqs_message(standard(), "m-1")))

    assert response["summary"]["back_to_queue"] == 1


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_an_invocation_that_dies_with_its_work_done_runs_no_finished_stage_again(
    pipeline: Pipeline, number: int
) -> None:
    pipeline.inject_durable(lose_answer(number))

    response = pipeline.process(sqs_event_of([standard()] * 10))

    assert response["batchItemFailures"] == []
    assert pipeline.calls_by_stage == {"validate": 1, "transform": 1, "store": 1}
    assert len(pipeline.items) == 10


def test_an_event_that_is_none_of_sqs_fails_with_what_to_do(pipeline: Pipeline) -> None:
    result = pipeline.run({"data_source": "x"})

    assert result.status.value == "FAILED"
    assert "send the message to the queue" in str(result.error)
