"""Rows of files as items: one each, of the newest state, whatever is repeated or replaced."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import boto3
import pytest

import cleanup.handler
import csv_file.items
from csv_file import calling
from csv_file.handler import handler as csv_file_handler
from faults.stages import Crash, StageInvocation
from pipeline_core.catalog import Catalog, entry_of
from pipeline_core.objects import ObjectId, ObjectState, normalized_sequencer
from tests.events import ORDER, s3_event, sqs_event, sqs_event_of, sqs_message
from tests.integration.batches import deliver
from tests.integration.conftest import Pipeline
from tests.integration.invoking import IN_TIME, FakeLambda
from tests.integration.test_files import ID, KEY, in_queue, lines, manifest, people

OBJECT = ObjectId("input", KEY)
ITEMS: Any = {"Metadata": {"rows": "items"}}


def row_id(number: int) -> str:
    return f"{ID}-row-{number}"


@pytest.fixture
def rows(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """The pipeline, whose file function reaches the store stage and the own one."""
    pipeline._stages["enrich"] = _enrich
    pipeline._injections["enrich"] = []
    fake = FakeLambda(pipeline, "store", "enrich")
    monkeypatch.setattr("csv_file.handler.client", lambda _: fake)
    monkeypatch.setattr(calling, "PAUSES", (0.0, 0.0))
    monkeypatch.setenv("RANGE_SIZE", "200")
    # Lambda's environments take one invocation at a time; here all share a process, and its logger.
    monkeypatch.setenv("RANGE_CONCURRENCY", "1")
    pipeline._stages["csv_file"] = lambda event, _: csv_file_handler(event, IN_TIME)
    cleanup.handler.cleaner.cache_clear()
    return pipeline


def _enrich(event: Any, _: object) -> Any:
    results = []
    for record in event["records"]:
        document = json.loads(record["transformed"])
        if document.get("name") == "name 7":
            reason = {"type": "Unlucky", "message": "seven"}
            results.append({"id": record["id"], "outcome": "rejected", "reason": reason})
            continue
        data = json.dumps(document | {"marked": True})
        results.append({"id": record["id"], "outcome": "ok", "data": data})
    return {"results": results, "completed_at": "2026-03-01T00:00:00.000000Z"}


def of_rows(pipeline: Pipeline) -> dict[str, Any]:
    """The rows' items, by execution_id."""
    return {key: item for key, item in pipeline.items.items() if "row" in item}


def numbers(pipeline: Pipeline) -> list[int]:
    """The rows that have items."""
    return sorted(int(item["row"]) for item in of_rows(pipeline).values())


def accepted(count: int) -> list[int]:
    """The rows of `people` that are well-formed."""
    return [n for n in range(1, count + 1) if n % 10]


def done(state: ObjectState) -> str:
    """The body of the event that tells that a state is done."""
    from pipeline_core import events

    return events.dump(
        {
            "event": "done",
            "object": state,
            "execution_id": ID,
            "durable_execution_arn": "arn",
            "at": "2026-03-01T00:00:00.000000Z",
        }
    )


def removed(pipeline: Pipeline, key: str = KEY, number: int = 100) -> str:
    """Remove the object; the body of the event that tells of it."""
    marker = pipeline.s3.delete_object(Bucket="input", Key=key)["VersionId"]
    state: ObjectState = {
        "bucket": "input",
        "key": key,
        "version_id": marker,
        "sequencer": normalized_sequencer(f"{number:016X}"),
    }
    return json.dumps(s3_event(state, "ObjectRemoved:DeleteMarkerCreated"))


def clean_up(*bodies: str) -> None:
    assert deliver(cleanup.handler.handler, *bodies) == []


def test_each_accepted_row_is_an_item_and_the_others_are_rejects(rows: Pipeline) -> None:
    state = rows.put(KEY, people(25), **ITEMS)

    rows.process(in_queue(state))

    assert numbers(rows) == accepted(25)
    assert set(of_rows(rows)) == {row_id(number) for number in accepted(25)}
    assert [reject["row"] for reject in lines(rows, "rejects")] == [10, 20]
    assert rows.items[ID]["transformed_data"]["counts"] == {
        "rows": 25,
        "results": 23,
        "rejects": 2,
        "items": 23,
    }
    assert manifest(rows)["rows"] == "items"


def test_an_item_of_a_row_says_where_it_came_from_and_carries_what_items_carry(
    rows: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    from store.handler import table

    monkeypatch.setenv("TIME_TO_LIVE_IN_DAYS", "1")
    table.cache_clear()
    state = rows.put(
        "input/order/a.csv",
        "id,name\n1,ann\n",
        Metadata={"rows": "items", "processing-type": "standard"},
    )

    rows.process(in_queue(state))

    item = rows.items[ObjectId("input", "input/order/a.csv").row_execution_id("test", 1)]
    assert item["object"] == "input/input/order/a.csv"
    assert (item["row"], item["sequencer"]) == (1, state["sequencer"])
    assert item["original_data"] == {"id": "1", "name": "ann"}
    metadata = {"processing_type": "standard", "processed_at": item["processed_at"]}
    assert item["transformed_data"] == {
        "id": "1",
        "name": "ann",
        "processing_type": "standard",
        "data_source": "A.CSV",
        "processing_metadata": metadata,
    }
    assert (item["data_source"], item["processing_type"]) == ("A.CSV", "standard")
    assert item["message_id"] == "m-1"
    assert item["durable_execution_arn"]
    head = rows.s3.head_object(Bucket="input", Key="input/order/a.csv")
    assert item["sent_timestamp"] == int(head["LastModified"].timestamp() * 1000)
    assert item["expires_at"] > 0
    assert item["processed_at"] <= item["stored_at"]


def test_results_name_the_items(rows: Pipeline) -> None:
    rows.process(in_queue(rows.put(KEY, people(3), **ITEMS)))

    assert [line["execution_id"] for line in lines(rows, "results")] == [
        row_id(number) for number in (1, 2, 3)
    ]


def test_without_the_metadata_rows_stay_results(rows: Pipeline) -> None:
    rows.process(in_queue(rows.put(KEY, people(5))))

    assert of_rows(rows) == {}
    assert rows.calls_by_stage["store"] == 1


def test_the_parameter_is_for_files_that_do_not_say(
    rows: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILE_ROWS", "items")
    rows.process(in_queue(rows.put(KEY, people(5))))
    other = rows.put("input/other.csv", people(5), Metadata={"rows": "results"})
    rows.process(in_queue(other))

    assert {item["object"] for item in of_rows(rows).values()} == {f"input/{KEY}"}


def test_a_version_that_knows_of_no_items_goes_on_with_results(rows: Pipeline) -> None:
    rows.put(KEY, people(5), **ITEMS)
    asked = {"action": "plan", "object": _state(rows), "from": None}

    plan = csv_file_handler(asked | {"max_ranges": 100, "range_bytes": 1000}, IN_TIME)

    assert plan["file"]["rows"] == "results"


def test_an_unknown_word_is_a_rejection_that_names_those_there_are(rows: Pipeline) -> None:
    rows.process(in_queue(rows.put(KEY, people(5), Metadata={"rows": "records"})))

    (letter,) = rows.dead_letters
    assert letter["error_message"] == (
        "the metadata 'rows' is 'records'; it must be one of: results, items"
    )


def test_json_lines_keep_their_numbers_and_their_own_record_id(rows: Pipeline) -> None:
    text = (
        '{"record_id":"mine","n":12.50}\n'
        '{"n":12345678901234567890123456789012345678}\n'
        '{"n":123456789012345678901234567890123456789}\n'
    )
    key = "input/a.jsonl"
    rows.process(in_queue(rows.put(key, text, **ITEMS)))

    second = ObjectId("input", key).row_execution_id("test", 2)
    assert set(of_rows(rows)) == {"mine", second}
    assert rows.items["mine"]["original_data"] == {"record_id": "mine", "n": Decimal("12.50")}
    assert rows.items[second]["transformed_data"]["n"] == 12345678901234567890123456789012345678
    own = json.loads(_read(rows, "rejects/")[0])
    assert (own["row"], own["reason"]["type"]) == (3, "NotStorable")


def _read(pipeline: Pipeline, kind: str) -> list[str]:
    found = pipeline.s3.list_objects_v2(Bucket="output", Prefix="results/")["Contents"]
    keys = [one["Key"] for one in found if f"/{kind}" in one["Key"]]
    return [
        line
        for key in keys
        for line in pipeline.s3.get_object(Bucket="output", Key=key)["Body"]
        .read()
        .decode()
        .splitlines()
    ]


def test_a_record_id_that_the_pipeline_makes_itself_is_a_reject(rows: Pipeline) -> None:
    text = f"record_id,name\n{row_id(2)},ann\nx-2,bob\n"

    rows.process(in_queue(rows.put(KEY, text, **ITEMS)))

    (reject,) = lines(rows, "rejects")
    assert reject["reason"]["type"] == "ReservedId"
    assert set(of_rows(rows)) == {"x-2"}


def test_no_message_may_choose_the_id_of_a_row(rows: Pipeline) -> None:
    body = json.dumps({"data_source": "x", "processing_type": "standard", "record_id": row_id(1)})

    rows.process(sqs_event_of([body]))

    assert rows.dead_letters[0]["error_type"] == "ReservedId"


def test_of_two_rows_with_one_record_id_the_last_counts_however_ranges_are_repeated(
    rows: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANGE_SIZE", "1")
    state = rows.put(KEY, "record_id,name\na,first\na,second\n", **ITEMS)
    rows.process(in_queue(state))
    ranges = [call for call in _processed(rows) if call["range"]["row"] == 1]

    csv_file_handler(ranges[0], IN_TIME)

    assert rows.items["a"]["transformed_data"]["name"] == "second"
    assert rows.items["a"]["row"] == 2


def _processed(pipeline: Pipeline) -> list[Any]:
    """The requests to work on a range, as if they were sent again."""
    plan = csv_file_handler(
        {
            "action": "plan",
            "object": _state(pipeline),
            "from": None,
            "max_ranges": 100,
            "range_bytes": 1,
            "rows": "results",
        },
        IN_TIME,
    )
    return [
        {
            "action": "process",
            "object": plan["file"],
            "file": plan["file"],
            "range": work,
            "message_id": "m-1",
            "durable_execution_arn": "arn",
            "store": {"function_arn": "store", "seconds": 60},
        }
        for work in plan["ranges"]
    ]


def _state(pipeline: Pipeline) -> ObjectState:
    head = pipeline.s3.head_object(Bucket="input", Key=KEY)
    return {
        "bucket": "input",
        "key": KEY,
        "version_id": head["VersionId"],
        "sequencer": normalized_sequencer(f"{pipeline._sequence:016X}"),
    }


def test_somebody_elses_record_with_the_same_id_is_ordered_by_when_it_was_sent(
    rows: Pipeline,
) -> None:
    older, newer = (
        json.dumps(
            {"data_source": "x", "processing_type": "standard", "record_id": key, "by": "message"}
        )
        for key in ("a", "b")
    )
    old, new = sqs_message(older, "m-7"), sqs_message(newer, "m-8")
    old["attributes"]["SentTimestamp"] = "1000"
    new["attributes"]["SentTimestamp"] = "99999999999999"
    rows.process(sqs_event(old, new))

    rows.process(in_queue(rows.put(KEY, "record_id,name\na,ann\nb,bob\n", **ITEMS)))

    assert rows.items["a"]["transformed_data"]["name"] == "ann"
    assert rows.items["b"]["transformed_data"]["by"] == "message"


def test_rows_pass_the_own_stage_before_they_are_stored(
    rows: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENRICHMENT_FUNCTION_ARN", "enrich")

    rows.process(in_queue(rows.put(KEY, people(9), **ITEMS)))

    assert numbers(rows) == [1, 2, 3, 4, 5, 6, 8, 9]
    assert all(item["transformed_data"]["marked"] for item in of_rows(rows).values())
    assert [reject["row"] for reject in lines(rows, "rejects")] == [7]


@pytest.mark.parametrize("before", [True, False])
def test_a_range_that_dies_is_repeated_whole_and_doubles_nothing(
    rows: Pipeline, before: bool
) -> None:
    def dying(invocation: StageInvocation) -> Any:
        if not before:
            invocation.work()
        return Crash()(invocation)

    rows.inject("store", dying, attempts={1, 2})

    rows.process(in_queue(rows.put(KEY, people(60), **ITEMS)))

    assert numbers(rows) == accepted(60)
    assert rows.items[ID]["transformed_data"]["counts"]["items"] == 54


def test_rows_that_dynamodb_does_not_take_leave_the_file_unfinished_by_the_store_stage(
    rows: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(invocation: StageInvocation) -> Any:
        reason = {"type": "ThrottlingException", "message": "too much"}
        results = [
            {"id": record["id"], "outcome": "failed", "reason": reason}
            for record in invocation.event["records"]
        ]
        return {"results": results, "completed_at": "2026-03-01T00:00:00.000000Z"}

    rows.inject("store", failing)

    rows.process(in_queue(rows.put(KEY, people(5), **ITEMS), receive_count=3))

    (letter,) = rows.dead_letters
    assert (letter["stage"], letter["error_type"]) == ("store", "ThrottlingException")
    assert letter["error_message"] == "row 1: too much"


def test_a_block_is_bounded_by_rows_and_by_bytes(
    rows: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANGE_SIZE", "1000000")
    monkeypatch.setattr(csv_file.items, "BLOCK_ROWS", 20)

    rows.process(in_queue(rows.put(KEY, people(50), **ITEMS)))

    sizes = [call.records for call in rows.calls if call.stage == "store"]
    assert sizes == [20, 20, 5, 1]
    assert len(of_rows(rows)) == 45


def test_a_replacement_takes_the_place_of_rows_and_those_that_are_too_many_go(
    rows: Pipeline,
) -> None:
    first = rows.put(KEY, people(40), **ITEMS)
    rows.process(in_queue(first))
    clean_up(done(first))
    second = rows.put(KEY, people(15).replace("name", "other"), **ITEMS)
    rows.process(in_queue(second))
    assert len(of_rows(rows)) == 36  # none is missing, none is twice, meanwhile

    clean_up(done(second))

    assert numbers(rows) == accepted(15)
    assert {item["sequencer"] for item in of_rows(rows).values()} == {second["sequencer"]}
    assert {item["transformed_data"]["other"][:5] for item in of_rows(rows).values()} == {"other"}


def test_a_row_that_the_new_state_rejects_loses_its_item(rows: Pipeline) -> None:
    first = rows.put(KEY, "id,name\n1,ann\n2,bob\n", **ITEMS)
    rows.process(in_queue(first))
    second = rows.put(KEY, "id,name\n1,ann,?\n2,bob\n", **ITEMS)
    rows.process(in_queue(second))

    clean_up(done(second))

    assert numbers(rows) == [2]


def test_a_state_whose_rows_are_results_takes_earlier_items_away(rows: Pipeline) -> None:
    first = rows.put(KEY, people(15), **ITEMS)
    rows.process(in_queue(first))
    second = rows.put(KEY, people(15))
    rows.process(in_queue(second))

    clean_up(done(second))

    assert of_rows(rows) == {}
    assert ID in rows.items


def test_with_the_object_go_its_rows_items_and_nobody_elses(rows: Pipeline) -> None:
    text = "record_id,name\nmine,ann\nyours,bob\n,cid\n"
    rows.process(in_queue(rows.put(KEY, text, **ITEMS)))
    body = json.dumps(
        {"data_source": "x", "processing_type": "standard", "record_id": "yours", "by": "message"}
    )
    message = sqs_message(body, "m-9")
    message["attributes"]["SentTimestamp"] = "99999999999999"
    rows.process(sqs_event(message))

    clean_up(removed(rows))

    assert set(rows.items) == {"yours"}
    assert "object" not in rows.items["yours"]


def test_an_item_that_another_object_has_taken_over_stays(rows: Pipeline) -> None:
    text = "record_id,name\nshared,ann\n"
    rows.process(in_queue(rows.put(KEY, text, **ITEMS)))
    other = rows.put("input/other.csv", text.replace("ann", "bob"), **ITEMS)
    rows.table.update_item(
        Key={"execution_id": "shared"},
        UpdateExpression="SET sent_timestamp = :old",
        ExpressionAttributeValues={":old": 1000},
    )
    rows.process(in_queue(other))

    clean_up(removed(rows))

    assert rows.items["shared"]["transformed_data"]["name"] == "bob"


def test_rows_that_come_after_the_removal_are_not_stored(rows: Pipeline) -> None:
    rows.put(KEY, people(9), **ITEMS)
    late = _processed(rows)
    clean_up(removed(rows))

    answers = [_late(rows, request) for request in late]

    assert answers == ["gone"] * len(late)
    assert of_rows(rows) == {}


def _late(pipeline: Pipeline, request: Any) -> str:
    """What the range ends as whose rows were read before the object went."""
    from csv_file import parts

    text = people(9).encode()
    work = request["range"]

    class Read:
        def __enter__(self) -> Any:
            return iter([text[work["start"] : work["end"]]])

        def __exit__(self, *_: object) -> None:
            return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "blocks", lambda *_: Read())
        return str(csv_file_handler(request, IN_TIME)["outcome"])


def test_what_a_late_range_has_left_in_the_bucket_goes_with_the_next_removal(
    rows: Pipeline,
) -> None:
    rows.put(KEY, people(9), **ITEMS)
    late = _processed(rows)
    clean_up(removed(rows))
    for request in late:
        _late(rows, request)

    clean_up(removed(rows, number=101))

    assert "Contents" not in rows.s3.list_objects_v2(Bucket="output", Prefix="results/")


def test_what_there_is_no_time_for_is_left_to_a_message_to_its_own_queue(
    rows: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cleanup.cleaner.ROWS_AT_ONCE", 2)
    rows.process(in_queue(rows.put(KEY, people(40), **ITEMS)))
    before = len(of_rows(rows))
    body, rounds = removed(rows), 0
    bodies = [body]
    while bodies:
        rounds += 1
        _with_time_for(9, monkeypatch)
        clean_up(*bodies)
        bodies = [message["body"] for message in rows.drain(rows.cleanup_queue_url)]
        assert all(again == body for again in bodies)
        assert len(of_rows(rows)) < before or not bodies
        before = len(of_rows(rows))

    assert rounds > 2
    assert rows.items == {}
    assert "Contents" not in rows.s3.list_objects_v2(Bucket="output", Prefix="results/")


def _with_time_for(blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.integration import batches

    left = iter([60_000] * blocks)
    monkeypatch.setattr(batches.CONTEXT, "get_remaining_time_in_millis", lambda: next(left, 10_000))


def test_rows_of_an_earlier_state_wait_until_the_catalog_knows_of_the_later_one(
    rows: Pipeline,
) -> None:
    first = rows.put(KEY, people(15), **ITEMS)
    rows.process(in_queue(first))
    catalog = Catalog(boto3.client("dynamodb"), "catalog")
    catalog.write(entry_of(first, "processing", "2026-03-01T00:00:00Z"))
    second = rows.put(KEY, people(5), **ITEMS)
    rows.process(in_queue(second))

    superseded = json.loads(done(first)) | {"event": "superseded"}
    clean_up(json.dumps(superseded))
    assert numbers(rows) == accepted(15)

    clean_up(done(second))
    assert numbers(rows) == accepted(5)


def test_whoever_commits_second_takes_over_results_rejects_and_items_of_the_first(
    rows: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENRICHMENT_FUNCTION_ARN", "enrich")
    monkeypatch.setenv("RANGE_SIZE", "100000")
    answers = iter(["first", "second"])
    requests: list[Any] = []

    def enrich(event: Any, _: object) -> Any:
        """Rejects another row each time; and the first time somebody else is quicker."""
        answer = next(answers)
        if answer == "first":
            csv_file_handler(requests[0], IN_TIME)
        refused = "row-1" if answer == "first" else "row-2"
        reason = {"type": "Moody", "message": answer}
        results = [
            {"id": r["id"], "outcome": "rejected", "reason": reason}
            if r["id"] == refused
            else {"id": r["id"], "outcome": "ok"}
            for r in event["records"]
        ]
        return {"results": results, "completed_at": "2026-03-01T00:00:00.000000Z"}

    rows._stages["enrich"] = enrich
    rows.put(KEY, people(4), **ITEMS)
    request = _processed(rows)[0]
    request["range"]["end"] = len(people(4))
    request["own_stage"] = {"function_arn": "enrich", "seconds": 60}
    requests.append(request)

    part = csv_file_handler(request, IN_TIME)["part"]

    rejects = rows.s3.get_object(Bucket="output", Key=part["rejects_key"])["Body"].read()
    results = rows.s3.get_object(Bucket="output", Key=part["results_key"])["Body"].read()
    assert [json.loads(line)["row"] for line in rejects.splitlines()] == [2]
    assert [json.loads(line)["row"] for line in results.splitlines()] == [1, 3, 4]
    assert numbers(rows) == [1, 3, 4]


def test_a_decimal_comma_and_an_encoding_are_understood(rows: Pipeline) -> None:
    text = (
        "order_id;sku;quantity;unit_price;currency;ordered_at;note\n"
        "a-1;tea;3;12,50;EUR;2026-03-01T09:30:00Z;Zürich €\n"
        "a-2;tea;3;12.50;EUR;2026-03-01T09:30:00Z;x\n"
        "a-3;tea;3;1.012,50;EUR;2026-03-01T09:30:00Z;x\n"
    )
    metadata = {"rows": "items", "decimal": "comma", "encoding": "cp1252"}
    key = "input/order/a.csv"

    rows.process(in_queue(rows.put(key, text.encode("cp1252"), Metadata=metadata)))

    (item,) = of_rows(rows).values()
    assert item["transformed_data"]["unit_price"] == Decimal("12.50")
    assert item["transformed_data"]["note"] == "Zürich €"
    assert item["original_data"]["unit_price"] == "12,50"
    rejects = [json.loads(line) for line in _read(rows, "rejects/")]
    assert [reject["row"] for reject in rejects] == [2, 3]
    assert "write it with a comma" in rejects[0]["reason"]["message"]


def test_a_range_answers_what_the_store_stage_took(rows: Pipeline) -> None:
    rows.put(KEY, people(5), **ITEMS)

    took = csv_file_handler(_processed(rows)[0], IN_TIME)["store"]

    assert (took["function_arn"], took["invokes"]) == ("store", 1)
    assert took["seconds"] >= 0


def test_an_order_of_a_row_is_what_it_is_as_a_message(rows: Pipeline) -> None:
    names = list(ORDER)
    cells = ",".join(str(ORDER[name]) for name in names)
    rows.process(in_queue(rows.put(KEY, f"{','.join(names)}\n{cells}\n", **ITEMS)))
    rows.process(sqs_event_of([json.dumps(ORDER)]))

    (row,) = of_rows(rows).values()
    (message,) = [item for item in rows.items.values() if "object" not in item]
    for item in (row, message):
        assert item["transformed_data"].pop("processing_metadata")["processing_type"] == "order"
    assert row["transformed_data"] == message["transformed_data"]
