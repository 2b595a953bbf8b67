"""Files of many rows: planned, worked on range by range, continued, and what becomes of crashes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from faults.stages import Crash, StageInvocation
from pipeline_core.messages import attributes
from pipeline_core.objects import ObjectId, ObjectState
from tests.events import s3_event, sqs_event, sqs_message, standard
from tests.integration.conftest import Pipeline

KEY = "input/people.csv"
ID = ObjectId("input", KEY).execution_id("test")
ROWS = 40


def people(rows: int = ROWS) -> str:
    """A CSV in which every tenth row has a field too many."""
    lines = [f"{n},name {n}{',?' if n % 10 == 0 else ''}" for n in range(1, rows + 1)]
    return "\n".join(["id,name", *lines]) + "\n"


def in_queue(state: ObjectState, *, receive_count: int = 1) -> dict[str, Any]:
    body = json.dumps(s3_event(state))
    return sqs_event(sqs_message(body, "m-1", receive_count=receive_count, queue="objects"))


def manifest(pipeline: Pipeline, execution_id: str = ID) -> dict[str, Any]:
    pointer = pipeline.items[execution_id]["transformed_data"]["manifest"]
    body = pipeline.s3.get_object(Bucket=pointer["bucket"], Key=pointer["key"])["Body"]
    document: dict[str, Any] = json.loads(body.read())
    return document


def lines(pipeline: Pipeline, which: str) -> list[dict[str, Any]]:
    """The results or rejects of the file, in the order of the manifest."""
    return [
        json.loads(line)
        for part in manifest(pipeline)["parts"]
        for line in pipeline.s3.get_object(Bucket="output", Key=part[f"{which}_key"])["Body"]
        .read()
        .splitlines()
    ]


def calls_of_csv_file(pipeline: Pipeline) -> int:
    return sum(call.stage == "csv_file" for call in pipeline.calls)


def test_every_row_is_a_result_or_a_reject_with_its_reason(pipeline: Pipeline) -> None:
    state = pipeline.put(KEY, people())

    response = pipeline.process(in_queue(state))

    results, rejects = lines(pipeline, "results"), lines(pipeline, "rejects")
    assert response["summary"]["stored"] == 1
    assert [row["row"] for row in rejects] == [10, 20, 30, 40]
    assert "3 fields" in rejects[0]["reason"]["message"]
    assert rejects[0]["line"] == 11
    assert [row["row"] for row in results] == [n for n in range(1, ROWS + 1) if n % 10]
    assert results[0]["record"]["name"] == "name 1"
    assert results[0]["record"]["data_source"] == "PEOPLE.CSV"


def test_its_item_says_what_the_file_came_to(pipeline: Pipeline) -> None:
    state = pipeline.put(KEY, people())

    pipeline.process(in_queue(state))

    item = pipeline.items[ID]
    assert item["transformed_data"]["counts"] == {"rows": 40, "results": 36, "rejects": 4}
    assert item["original_data_pointer"]["version_id"] == state["version_id"]
    assert item["processing_type"] == "standard"


def test_its_start_and_its_end_are_announced(pipeline: Pipeline) -> None:
    state = pipeline.put(KEY, people())

    pipeline.process(in_queue(state))

    started, done = pipeline.events
    assert (started["event"], done["event"]) == ("processing", "done")
    assert done["counts"] == {"rows": 40, "results": 36, "rejects": 4}
    assert done["manifest"]["bucket"] == "output"


@pytest.mark.parametrize("content", ["", "id,name\n", "id,name"])
def test_a_file_without_rows_is_done_with_none(pipeline: Pipeline, content: str) -> None:
    pipeline.process(in_queue(pipeline.put(KEY, content)))

    counts = pipeline.items[ID]["transformed_data"]["counts"]
    assert counts == {"rows": 0, "results": 0, "rejects": 0}


def test_json_lines_go_the_same_way(pipeline: Pipeline) -> None:
    key = "input/people.jsonl"
    pipeline.process(in_queue(pipeline.put(key, f"{standard(n=1)}\nnot json\n{standard(n=2)}\n")))

    counts = pipeline.items[ObjectId("input", key).execution_id("test")]["transformed_data"]
    assert counts["counts"] == {"rows": 3, "results": 2, "rejects": 1}


def test_a_file_that_is_wrong_as_a_whole_is_a_dead_letter_with_the_reason(
    pipeline: Pipeline,
) -> None:
    pipeline.process(in_queue(pipeline.put(KEY, "id,name\n1,a\n".encode("utf-16"))))

    (letter,) = pipeline.dead_letters
    assert letter["stage"] == "csv_file"
    assert "UTF-16" in letter["error_message"]
    assert pipeline.events[-1]["event"] == "rejected"


def test_a_file_with_company_is_handed_over_and_its_neighbours_are_not_kept(
    pipeline: Pipeline,
) -> None:
    state = pipeline.put(KEY, people())
    (message,) = in_queue(state)["Records"]

    response = pipeline.process(sqs_event(message, sqs_message(standard(), "m-2")))

    assert response["summary"] == {
        "stored": 1,
        "dead_letters": 0,
        "back_to_queue": 0,
        "handed_over": 1,
    }
    (handed_over,) = pipeline.redeliver(pipeline.files_queue_url)
    pipeline.process(sqs_event(handed_over))
    assert ID in pipeline.items


def test_a_crash_repeats_its_range_and_no_other(pipeline: Pipeline) -> None:
    state = pipeline.put(KEY, people())
    pipeline.process(in_queue(state))
    undisturbed = calls_of_csv_file(pipeline)
    expected = lines(pipeline, "results")
    pipeline.calls.clear()
    again = pipeline.put(KEY, people())

    pipeline.inject("csv_file", Crash(), attempts=[4])
    pipeline.process(in_queue(again))

    assert calls_of_csv_file(pipeline) == undisturbed + 1
    assert lines(pipeline, "results") == expected


def test_a_range_that_always_crashes_sends_the_file_back_and_the_others_are_not_repeated(
    pipeline: Pipeline,
) -> None:
    state = pipeline.put(KEY, people())

    pipeline.inject("csv_file", Crash(), when=OneRange(), attempts=[1, 2, 3])
    response = pipeline.process(in_queue(state))
    assert response["batchItemFailures"] == [{"itemIdentifier": "m-1"}]
    assert not pipeline.items
    written = listing(pipeline)

    response = pipeline.process(in_queue(state, receive_count=2))

    assert response["summary"]["stored"] == 1
    assert manifest(pipeline)["counts"] == {"rows": 40, "results": 36, "rejects": 4}
    assert written.items() <= listing(pipeline).items()


class OneRange:
    """Is true of the invokes for one range, whichever comes first after the beginning."""

    def __init__(self) -> None:
        self.start: int | None = None

    def __call__(self, event: Any) -> bool:
        if event.get("action") != "process" or not event["range"]["start"]:
            return False
        if self.start is None and event["range"]["row"] > 1:
            self.start = event["range"]["start"]
        return bool(event["range"]["start"] == self.start)


def listing(pipeline: Pipeline) -> dict[str, Any]:
    """When each result was written, by key: what is worked on again would be written again."""
    response = pipeline.s3.list_objects_v2(Bucket="output")
    return {entry["Key"]: entry["LastModified"] for entry in response.get("Contents", [])}


def test_a_file_too_long_for_one_execution_goes_on_in_the_next(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANGES_PER_EXECUTION", "3")
    messages = in_queue(pipeline.put(KEY, people()))["Records"]

    executions = 0
    while messages:
        executions += 1
        response = pipeline.process(sqs_event(messages.pop()))
        assert response["batchItemFailures"] == []
        messages += pipeline.redeliver(pipeline.files_queue_url)

    assert executions > 2
    assert manifest(pipeline)["counts"] == {"rows": 40, "results": 36, "rejects": 4}
    rows = [row["row"] for row in lines(pipeline, "results") + lines(pipeline, "rejects")]
    assert sorted(rows) == list(range(1, ROWS + 1))


def test_the_parts_of_a_continued_file_are_those_of_one_in_one_piece(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = pipeline.put(KEY, people())
    pipeline.process(in_queue(state))
    whole = [(part["start"], part["rows"]) for part in manifest(pipeline)["parts"]]
    pipeline.table.delete_item(Key={"execution_id": ID})
    monkeypatch.setenv("RANGES_PER_EXECUTION", "2")

    messages = in_queue(state)["Records"]
    while messages:
        pipeline.process(sqs_event(messages.pop()))
        messages += pipeline.redeliver(pipeline.files_queue_url)

    assert [(part["start"], part["rows"]) for part in manifest(pipeline)["parts"]] == whole


def test_a_file_replaced_while_it_is_worked_on_is_left_to_its_own_event(
    pipeline: Pipeline,
) -> None:
    old = pipeline.put("messages/people.csv", people(), bucket="payloads")
    pipeline.put("messages/people.csv", people(2), bucket="payloads")

    response = pipeline.process(in_queue(old))

    assert response["summary"]["superseded"] == 1
    assert not pipeline.items


def test_the_operations_of_a_file_are_its_ranges_and_a_few_more(pipeline: Pipeline) -> None:
    result = pipeline.run(in_queue(pipeline.put(KEY, people())))

    ranges = len(manifest(pipeline)["parts"])
    assert ranges >= 5
    # announce start, plan, ranges and their map, a clock for each, finish, store, announce
    assert len(result.get_all_operations()) <= 2 * ranges + 6


def test_near_the_deadline_no_range_is_begun_and_the_rest_goes_on_in_the_next(
    shared_clock: None, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILES_TIMEOUT", "15")
    monkeypatch.setenv("RANGE_CONCURRENCY", "1")
    pipeline.inject("csv_file", Slow(seconds=25), when=lambda event: event["action"] == "process")
    messages = in_queue(pipeline.put(KEY, people()))["Records"]

    executions = 0
    while messages:
        executions += 1
        back_to_real_time(pipeline)
        response = pipeline.process(sqs_event(messages.pop()))
        assert response["batchItemFailures"] == []
        messages += pipeline.redeliver(pipeline.files_queue_url)

    assert executions > 2
    assert manifest(pipeline)["counts"] == {"rows": 40, "results": 36, "rejects": 4}


def back_to_real_time(pipeline: Pipeline) -> None:
    """An execution begins at its real time, however far the clock went in the one before."""
    ahead = pipeline.clock.now() - datetime.now(UTC)
    pipeline.clock.advance(-ahead.total_seconds())


@dataclass(frozen=True)
class Slow:
    """Takes so many seconds on the harness's clock, and then works."""

    seconds: float

    def __call__(self, invocation: StageInvocation) -> Any:
        invocation.clock.advance(self.seconds)
        return invocation.work()


@pytest.mark.parametrize("action", ["plan", "process", "finish"])
@pytest.mark.parametrize("answer", [None, "?", {}, {"outcome": "ok"}, {"outcome": "ok", "part": 1}])
def test_a_csv_file_function_that_answers_wrongly_sends_the_file_back(
    pipeline: Pipeline, action: str, answer: Any
) -> None:
    pipeline.inject("csv_file", lambda _: answer, when=lambda event: event["action"] == action)

    response = pipeline.process(in_queue(pipeline.put(KEY, people())))

    assert response["batchItemFailures"] == [{"itemIdentifier": "m-1"}]
    assert not pipeline.items


def test_a_file_on_its_last_delivery_is_a_dead_letter_with_its_reason_and_announced(
    pipeline: Pipeline,
) -> None:
    pipeline.inject("csv_file", Crash())

    pipeline.process(in_queue(pipeline.put(KEY, people()), receive_count=3))

    (letter,) = pipeline.dead_letters
    assert (letter["stage"], letter["error_type"]) == ("csv_file", "Runtime.ExitError")
    assert [event["event"] for event in pipeline.events] == ["processing", "failed"]


def test_a_continuation_that_no_queue_takes_sends_the_file_back(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANGES_PER_EXECUTION", "2")
    pipeline.sqs.delete_queue(QueueUrl=pipeline.files_queue_url)

    response = pipeline.process(in_queue(pipeline.put(KEY, people())))

    assert response["batchItemFailures"] == [{"itemIdentifier": "m-1"}]


def test_a_continuation_from_nowhere_is_rejected_not_stored_with_a_gap(
    pipeline: Pipeline,
) -> None:
    event = json.dumps(s3_event(pipeline.put(KEY, people())))
    carried = attributes({"continue_from": {"offset": 100, "row": 9, "line": 10}})
    as_delivered = {
        name: {"stringValue": value["StringValue"], "dataType": "String"}
        for name, value in carried.items()
    }

    response = pipeline.process(
        sqs_event(sqs_message(event, "m-1", attributes=as_delivered, queue="files"))
    )

    assert response["summary"]["stored"] == 0
    assert not pipeline.items
