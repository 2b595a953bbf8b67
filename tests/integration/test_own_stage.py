"""A function of one's own between transform and store: what it may do, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from csv_file import calling
from csv_file.handler import handler as csv_file
from examples.enrich.function.enrich import handler as example
from faults.stage_contract import Context
from faults.stages import (
    Crash,
    Hang,
    StageInvocation,
    Throttle,
    WrongAnswer,
    result_missing,
    too_large,
)
from pipeline_core.contract import utc_now
from tests.events import ORDER, order, sqs_event, sqs_event_of, sqs_message, standard
from tests.integration.conftest import Pipeline
from tests.integration.invoking import FakeLambda
from tests.integration.test_files import in_queue, lines, people

Enrich = Callable[[Any], dict[str, Any]]
IN_TIME: Any = Context(seconds=300)
ONCE = {"validate": 1, "transform": 1, "enrich": 1, "store": 1}


def each(enrich: Enrich) -> Callable[..., Any]:
    """A stage that answers what ``enrich`` says of each record."""

    def stage(event: Any, _context: object) -> Any:
        results = [{"id": record["id"], **enrich(record)} for record in event["records"]]
        return {"results": results, "completed_at": utc_now()}

    return stage


def marked(record: Any) -> dict[str, Any]:
    return {"outcome": "ok", "data": f'{record["transformed"][:-1]},"marked":true}}'}


Build = Callable[..., Pipeline]


@pytest.fixture
def having(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Build:
    """The pipeline with an own stage that answers so of each record; by default, it marks it."""

    def build(enrich: Enrich = marked) -> Pipeline:
        monkeypatch.setenv("ENRICHMENT_FUNCTION_ARN", "enrich")
        pipeline._stages |= {"enrich": each(enrich)}
        pipeline._injections["enrich"] = []
        return pipeline

    return build


def transformed(pipeline: Pipeline, message_id: str = "m-1") -> Any:
    return pipeline.items[f"test-{message_id}"]["transformed_data"]


def test_without_one_nothing_is_different(pipeline: Pipeline) -> None:
    pipeline.process(sqs_event_of([standard()]))

    assert [call.stage for call in pipeline.calls] == ["validate", "transform", "store"]
    assert "marked" not in transformed(pipeline, "m-0")


@pytest.mark.parametrize("count", [1, 100, 250])
def test_each_chunk_costs_one_invoke_more(having: Build, count: int) -> None:
    pipeline = having()

    result = pipeline.run(sqs_event_of([standard()] * count))

    chunks = -(-count // 100)
    assert pipeline.calls_by_stage == dict.fromkeys(ONCE, chunks)
    operations = [op.operation_type.value for op in result.get_all_operations()]
    assert operations.count("CHAINED_INVOKE") == len(ONCE) * chunks
    assert all(item["transformed_data"]["marked"] for item in pipeline.items.values())
    assert len(pipeline.items) == count


def noting(seen: list[Any]) -> Enrich:
    """An own stage that changes nothing and notes each record."""

    def enrich(record: Any) -> dict[str, Any]:
        seen.append(record)
        return {"outcome": "ok"}

    return enrich


def test_it_is_sent_what_store_would_be(having: Build) -> None:
    sent: list[Any] = []
    pipeline = having(noting(sent))

    pipeline.process(sqs_event(sqs_message(order(), "m-1")))

    (record,) = sent
    assert record.keys() == {"id", "body", "execution_id", "transformed"}
    assert (record["id"], record["body"]) == ("m-1", order())
    assert record["execution_id"] == "test-m-1"
    assert json.loads(record["transformed"])["total"] == 37.5
    assert transformed(pipeline)["order_id"] == str(ORDER["order_id"]).upper()  # as it was


@pytest.mark.parametrize("clock", ["2099-01-01T00:00:00Z", "1999-01-01T00:00:00Z"])
def test_a_clock_that_is_wrong_keeps_no_record_from_being_stored(having: Build, clock: str) -> None:
    pipeline = having()
    own = pipeline._stages["enrich"]
    pipeline._stages["enrich"] = lambda event, context: (
        own(event, context) | {"completed_at": clock}
    )

    pipeline.process(sqs_event_of([standard()] * 250))

    assert len(pipeline.items) == 250


def test_numbers_keep_every_digit(having: Build) -> None:
    pipeline = having()

    pipeline.process(
        sqs_event(sqs_message(standard()[:-1] + ',"n":1.10000000000000000001}', "m-1"))
    )

    assert str(transformed(pipeline)["n"]) == "1.10000000000000000001"


def test_what_it_says_of_a_record_is_its_outcome_and_no_other(having: Build) -> None:
    reason = {"type": "ValidationError", "message": "not ours", "errors": ["not ours", "at all"]}
    answers: dict[str, dict[str, Any]] = {
        "m-0": {"outcome": "ok"},
        "m-1": {"outcome": "rejected", "reason": reason},
        "m-2": {"outcome": "failed", "reason": {"type": "Busy", "message": "later"}},
        "m-3": {"outcome": "ok", "data": '{"data_source":"B","processing_type":"b"}'},
        "m-4": {"outcome": "ok", "data": "[1]"},
        "m-5": {"outcome": "ok", "data": json.dumps(ORDER | {"text": "x" * 350_000})},
        "m-6": {"outcome": "superseded"},
    }
    pipeline = having(lambda record: answers[record["id"]])

    response = pipeline.process(sqs_event(*(sqs_message(standard(), f"m-{n}") for n in range(7))))

    back = {failure["itemIdentifier"] for failure in response["batchItemFailures"]}
    letters = {letter["original_message_id"]: letter for letter in pipeline.dead_letters}
    assert {item["message_id"] for item in pipeline.items.values()} == {"m-0", "m-3"}
    assert pipeline.items["test-m-3"]["data_source"] == "B"
    assert back == {"m-2", "m-4", "m-6"}
    assert {letter["stage"] for letter in letters.values()} == {"enrich"}
    assert letters["m-1"]["error_type"] == "ValidationError"
    assert json.loads(letters["m-1"]["errors"]) == ["not ours", "at all"]
    assert letters["m-5"]["error_type"] == "RecordTooLarge"
    assert pipeline.calls_by_stage == ONCE


def test_what_breaks_the_contract_in_one_record_is_a_dead_letter_in_the_end(having: Build) -> None:
    pipeline = having(lambda _: {"outcome": "ok", "data": "no JSON"})

    pipeline.process(sqs_event(sqs_message(standard(), "m-1", receive_count=3)))

    (letter,) = pipeline.dead_letters
    assert (letter["stage"], letter["error_type"]) == ("enrich", "ContractViolation")
    assert "enrich answered data that is no exact JSON" in letter["error_message"]


def test_a_document_too_large_to_travel_goes_there_and_comes_back_as_a_pointer(
    having: Build,
) -> None:
    mine = {"bucket": "mine", "key": "enriched.json"}

    def enrich(record: Any) -> dict[str, Any]:
        assert record["transformed_pointer"]["bucket"] == "output"
        assert json.loads(record["transformed"]).keys() == {"data_source", "processing_type"}
        return {"outcome": "ok", "data": record["transformed"], "pointer": mine}

    pipeline = having(enrich)
    state = pipeline.put("input/large.json", standard(text="x" * 500_000))

    pipeline.process(in_queue(state))

    (item,) = pipeline.items.values()
    assert item["transformed_data_pointer"] == mine


def test_one_that_crashes_once_is_tried_again(having: Build) -> None:
    pipeline = having()
    pipeline.inject("enrich", Crash(), attempts={1})

    response = pipeline.process(sqs_event_of([standard()] * 10))

    assert response["summary"]["stored"] == 10
    assert pipeline.calls_by_stage == ONCE | {"enrich": 2}


def test_one_that_is_throttled_is_waited_for(having: Build) -> None:
    pipeline = having()
    pipeline.inject("enrich", Throttle(times=3))

    assert pipeline.process(sqs_event_of([standard()] * 10))["summary"]["stored"] == 10


@pytest.mark.parametrize(
    "fault",
    [Crash(), Hang(5), WrongAnswer(result_missing), WrongAnswer(too_large)],
    ids=["crash", "timeout", "missing", "too large"],
)
def test_a_record_that_brings_it_down_is_found_and_its_neighbours_are_stored(
    having: Build, shared_clock: None, fault: Any
) -> None:
    pipeline = having()
    pipeline.inject("enrich", fault, when=lambda record: record["id"] == "m-7")

    response = pipeline.process(sqs_event(*(sqs_message(standard(), f"m-{n}") for n in range(10))))

    assert response["batchItemFailures"] == [{"itemIdentifier": "m-7"}]
    assert len(pipeline.items) == 9


def test_one_that_is_not_there_fails_its_records_and_is_named(
    having: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = having()
    del pipeline._stages["enrich"]

    response = pipeline.process(sqs_event(sqs_message(standard(), "m-1", receive_count=3)))

    assert response["summary"]["dead_letters"] == 1
    assert pipeline.dead_letters[0]["stage"] == "enrich"


def test_the_time_it_took_is_a_metric_as_of_other_stages(
    having: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = having()

    pipeline.process(sqs_event_of([standard()] * 250))

    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    durations = [line for line in told if "StageDuration" in line and line["service"] == "enrich"]
    assert len(durations) == 3
    assert all(line["stack"] == "stack" and line["StageDuration"][0] >= 0 for line in durations)


# --- Rows of files --------------------------------------------------------------------------------


@pytest.fixture
def with_rows(having: Build, monkeypatch: pytest.MonkeyPatch) -> Build:
    """The same pipeline, whose file function reaches the own stage too."""

    def build(enrich: Enrich = marked) -> Pipeline:
        pipeline = having(enrich)
        monkeypatch.setattr("csv_file.handler.client", lambda _: FakeLambda(pipeline, "enrich"))
        monkeypatch.setattr(calling, "PAUSES", (0.0, 0.0))
        monkeypatch.setenv("RANGE_SIZE", "10000")
        pipeline._stages["csv_file"] = lambda event, _: csv_file(event, IN_TIME)
        return pipeline

    return build


def test_rows_pass_it_too_in_their_order(with_rows: Build) -> None:
    pipeline = with_rows()

    pipeline.process(in_queue(pipeline.put("input/people.csv", people(250))))

    results = lines(pipeline, "results")
    assert all(line["record"]["marked"] for line in results)
    assert [line["row"] for line in results] == [n for n in range(1, 251) if n % 10]
    assert len(lines(pipeline, "rejects")) == 25
    assert pipeline.calls_by_stage["enrich"] == 3


def test_a_row_that_it_rejects_is_a_reject_with_its_reason(with_rows: Build) -> None:
    def enrich(record: Any) -> dict[str, Any]:
        if '"id":"7"' in record["transformed"]:
            return {"outcome": "rejected", "reason": {"type": "Unlucky", "message": "seven"}}
        return {"outcome": "ok"}

    pipeline = with_rows(enrich)

    pipeline.process(in_queue(pipeline.put("input/people.csv", people(9))))

    (reject,) = lines(pipeline, "rejects")
    assert (reject["row"], reject["raw"]) == (7, "7,name 7")
    assert reject["reason"] == {"type": "Unlucky", "message": "seven", "errors": ["seven"]}
    assert len(lines(pipeline, "results")) == 8


def test_a_row_has_the_same_identity_however_often_its_range_is_repeated(with_rows: Build) -> None:
    seen: list[Any] = []
    pipeline = with_rows(noting(seen))
    pipeline.inject("csv_file", lose_the_first_part)

    pipeline.process(in_queue(pipeline.put("input/people.csv", people(5))))

    assert len(seen) in (5, 10)
    identities = {record["execution_id"] for record in seen}
    assert len(identities) == 5
    assert all(identity.startswith("results/") for identity in identities)


def lose_the_first_part(invocation: StageInvocation) -> Any:
    answer = invocation.work()
    if invocation.event["action"] == "process" and invocation.number == 2:
        return Crash()(invocation)
    return answer


def test_a_row_that_fails_leaves_its_file_unfinished_and_is_named(with_rows: Build) -> None:
    busy = {"outcome": "failed", "reason": {"type": "Busy", "message": "come again"}}
    broken = True

    def enrich(record: Any) -> dict[str, Any]:
        return busy if broken and record["id"] == "row-7" else {"outcome": "ok"}

    pipeline = with_rows(enrich)
    state = pipeline.put("input/people.csv", people(9))

    response = pipeline.process(in_queue(state))
    given_up = pipeline.process(in_queue(state, receive_count=3))
    broken = False
    done = pipeline.process(in_queue(state))

    assert response["summary"]["back_to_queue"] == 1
    assert given_up["summary"]["dead_letters"] == 1
    (letter,) = pipeline.dead_letters
    assert (letter["stage"], letter["error_type"]) == ("enrich", "Busy")
    assert letter["error_message"] == "row 7: come again"
    assert done["summary"]["stored"] == 1


def test_a_row_that_fails_and_passes_the_next_time_is_a_result(with_rows: Build) -> None:
    busy = {"outcome": "failed", "reason": {"type": "Busy", "message": "come again"}}
    asked: list[str] = []

    def enrich(record: Any) -> dict[str, Any]:
        asked.append(record["id"])
        return busy if record["id"] == "row-7" and asked.count("row-7") < 3 else {"outcome": "ok"}

    pipeline = with_rows(enrich)

    pipeline.process(in_queue(pipeline.put("input/people.csv", people(9))))

    assert len(lines(pipeline, "results")) == 9
    assert pipeline.calls_by_stage["enrich"] == 3


def too_large_for_lambda(answer: Any) -> Any:
    return {**answer, "padding": "x" * 7_000_000}


@pytest.mark.parametrize(
    "fault",
    [Crash("Boom"), WrongAnswer(result_missing), WrongAnswer(too_large_for_lambda)],
    ids=["crash", "missing", "too large"],
)
def test_a_row_that_brings_it_down_is_found_and_named(with_rows: Build, fault: Any) -> None:
    pipeline = with_rows()
    pipeline.inject("enrich", fault, when=lambda record: record["id"] == "row-7")

    pipeline.process(in_queue(pipeline.put("input/people.csv", people(9)), receive_count=3))

    (letter,) = pipeline.dead_letters
    assert letter["stage"] == "enrich"
    assert letter["error_message"].startswith("row 7: ")
    assert pipeline.calls_by_stage["enrich"] <= 12


def test_one_that_crashes_once_over_rows_is_tried_again(with_rows: Build) -> None:
    pipeline = with_rows()
    pipeline.inject("enrich", Crash(), attempts={1})

    pipeline.process(in_queue(pipeline.put("input/people.csv", people(9))))

    assert len(lines(pipeline, "results")) == 9
    assert pipeline.calls_by_stage["enrich"] == 2


def test_near_the_end_of_its_time_a_range_is_left_with_the_remedy(
    with_rows: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = with_rows()
    monkeypatch.setattr(calling, "TIMES_LONGER", 10**9)

    pipeline.process(in_queue(pipeline.put("input/people.csv", people(900)), receive_count=3))

    (letter,) = pipeline.dead_letters
    assert (letter["stage"], letter["error_type"]) == ("enrich", "DeadlineExceeded")
    assert "deploy with a smaller RangeSize" in letter["error_message"]


def test_a_pointer_for_a_row_is_a_reject_that_says_why(with_rows: Build) -> None:
    answer = {"outcome": "ok", "pointer": {"bucket": "b", "key": "k"}}
    pipeline = with_rows(lambda record: answer | {"data": record["transformed"]})

    pipeline.process(in_queue(pipeline.put("input/people.csv", people(1))))

    (reject,) = lines(pipeline, "rejects")
    assert reject["reason"]["type"] == "RecordTooLarge"


def test_a_range_that_went_through_another_stage_is_worked_on_again(
    with_rows: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = with_rows()
    state = pipeline.put("input/people.csv", people(5))
    monkeypatch.setenv("ENRICHMENT_FUNCTION_ARN", "")
    pipeline.process(in_queue(state))
    assert "marked" not in lines(pipeline, "results")[0]["record"]

    monkeypatch.setenv("ENRICHMENT_FUNCTION_ARN", "enrich")
    pipeline.process(in_queue(state))
    pipeline.process(in_queue(state))

    assert all(line["record"]["marked"] for line in lines(pipeline, "results"))
    assert pipeline.calls_by_stage["enrich"] == 1  # what is written already is not done again


def test_the_example_adds_the_product_to_orders_and_leaves_the_rest(
    having: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = having()
    pipeline._stages["enrich"] = example
    bodies = [order(sku="sku-1"), order(sku="sku-9"), standard()]

    pipeline.process(sqs_event(*(sqs_message(body, f"m-{n}") for n, body in enumerate(bodies))))

    assert transformed(pipeline, "m-0")["product"] == {"name": "Chair", "category": "furniture"}
    assert "product" not in transformed(pipeline, "m-2")
    (letter,) = pipeline.dead_letters
    assert letter["error_message"] == "sku 'SKU-9' is no product of ours"
