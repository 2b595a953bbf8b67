"""Files from plan to manifest, and what happens if the object goes or a call is repeated."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from csv_file.manifest import IncompleteResults
from tests.integration.csv_file.conftest import Function

TABLE = (
    b"\xef\xbb\xbfname,note\r\n"
    b'ann,"two\r\nlines"\r\n'
    b"\r\n"
    b"bob,too,many\r\n"
    b"c\xe4cilia,x\r\n"
    b'd\xc3\xa9sir\xc3\xa9e,"a ""quote"""\r\n'
    b"eve,"
)

RESULTS = [
    {"row": 1, "name": "ann", "note": "two\r\nlines"},
    {"row": 4, "name": "désirée", "note": 'a "quote"'},
    {"row": 5, "name": "eve"},
]

COUNTS = {"rows": 5, "results": 3, "rejects": 2}


def results(function: Function) -> list[dict[str, Any]]:
    """The results, each row's number beside its fields, without type and source."""
    lines = function.all_lines("results")
    for line in lines:
        assert line["record"].pop("processing_type") == "standard"
        assert line["record"].pop("data_source") == "PEOPLE.CSV"
    return [{"row": line["row"], **line["record"]} for line in lines]


@pytest.mark.parametrize(
    ("bucket", "max_ranges", "range_bytes"),
    [("input", 1, 1), ("input", 2, 20), ("input", 100, 1), ("payloads", 1, 20)],
)
def test_a_file_ends_as_results_rejects_and_a_manifest(
    function: Function, bucket: str, max_ranges: int, range_bytes: int
) -> None:
    state = function.put("input/2026/people.csv", TABLE, bucket)

    finished = function.work_through(state, max_ranges=max_ranges, range_bytes=range_bytes)

    assert finished["counts"] == COUNTS
    assert results(function) == RESULTS
    assert [(reject["row"], reject["line"]) for reject in function.all_lines("rejects")] == [
        (2, 5),
        (3, 6),
    ]


def test_a_reject_has_its_reason_and_its_raw_text(function: Function) -> None:
    function.work_through(function.put("input/people.csv", TABLE))

    wrong_count, wrong_encoding = function.all_lines("rejects")
    assert wrong_count == {
        "row": 2,
        "line": 5,
        "reason": {
            "type": "WrongNumberOfFields",
            "message": "row has 3 fields, the header 2",
            "errors": ["row has 3 fields, the header 2"],
        },
        "raw": "bob,too,many",
    }
    assert wrong_encoding["reason"]["type"] == "NotUtf8"
    assert wrong_encoding["raw"] == "c\\xe4cilia,x"


def test_a_long_raw_text_is_cut_with_a_mark(function: Function) -> None:
    function.work_through(function.put("input/a.csv", b"a\nx,y" + b"z" * 20_000 + b"\n"))

    (reject,) = function.all_lines("rejects")
    assert reject["raw"] == "x,y" + "z" * (16 * 1024 - 3) + "... (20,003 bytes)"


def test_a_reject_is_bounded_however_much_is_wrong_with_its_row(function: Function) -> None:
    columns = [f"unknown_{n:04d}" for n in range(1000)]
    header, cells = ",".join(columns), ",".join("x" for _ in columns)

    function.work_through(function.put("input/order/a.csv", f"{header}\n{cells}\n".encode()))

    (reject,) = function.all_lines("rejects")
    assert len(json.dumps(reject["reason"])) < 3_000
    last = reject["reason"]["errors"][-1]
    assert last.startswith("record must not contain unknown_0000, unknown_0001, ")
    assert last.endswith("and 990 more")


def test_a_file_with_an_error_in_each_column_is_answered_with_the_first_of_them(
    function: Function,
) -> None:
    answer = function.plan(function.put("input/a.csv", b"a" + b"," * 999 + b"\n1\n"))

    errors = answer["reason"]["errors"]
    assert errors[0] == "column 2 of the header has no name"
    assert errors[-1] == "and 949 more"
    assert len(errors) == 51


@pytest.mark.parametrize("range_bytes", [1, 12, 1000])
def test_a_quote_that_is_never_closed_is_a_reject_and_the_manifest_tells_of_its_lines(
    function: Function, range_bytes: int
) -> None:
    table = b'id,name,note\n0,Al,ok\n1,Ann,"fine\n2,Bob,ok\n3,Cy,ok\n4,Di,ok\n'
    state = function.put("input/a.csv", table)

    answer = function.work_through(state, range_bytes=range_bytes)

    manifest = json.loads(function.read(answer["manifest"]["key"]))
    (reject,) = function.all_lines("rejects")
    assert answer["counts"] == {"rows": 2, "results": 1, "rejects": 1}
    assert (reject["row"], reject["line"], reject["reason"]["type"]) == (2, 3, "UnclosedQuote")
    assert "lines 3 to 6 were read as one row" in reject["reason"]["message"]
    assert manifest["swallowed_lines"] == manifest["parts"][-1]["swallowed"] == 3


def test_what_was_swallowed_is_told_again_by_a_range_that_was_written(function: Function) -> None:
    plan = function.plan(function.put("input/a.csv", b'a\n"b\nc\n'))

    first = function.process(plan["file"], plan["ranges"][0])
    again = function.process(plan["file"], plan["ranges"][0])

    assert first["part"]["swallowed"] == 1
    assert again["part"] == first["part"]


@pytest.mark.parametrize("range_bytes", [1, 1000])
@pytest.mark.parametrize("key", ["input/rows.csv", "input/order/rows.csv"])
def test_rows_in_which_nothing_stands_are_none_whatever_their_type(
    function: Function, key: str, range_bytes: int
) -> None:
    table = b'sku,note\r\n,,\r\n1,x\r\n,\r\n"" , \r\n\r\n2,y\r\n,\r\n\x1a'

    finished = function.work_through(function.put(key, table), range_bytes=range_bytes)

    lines = function.all_lines("results") + function.all_lines("rejects")
    assert finished["counts"]["rows"] == 2
    assert [line["row"] for line in lines] == [1, 2]
    assert [line["line"] for line in lines if "line" in line] in ([], [3, 7])


@pytest.mark.parametrize("range_bytes", [1, 1000])
def test_json_lines_of_files_that_were_joined_are_read_marks_and_all(
    function: Function, range_bytes: int
) -> None:
    mark = b"\xef\xbb\xbf"
    lines = (
        mark * 2 + b'{"n": 1}\n' + mark + b'{"n": 2}\r\n' + mark + b"\n\x1a\n" + mark + b'{"n": 3}'
    )

    finished = function.work_through(function.put("input/a.jsonl", lines), range_bytes=range_bytes)

    assert finished["counts"] == {"rows": 3, "results": 3, "rejects": 0}
    assert [line["record"]["n"] for line in function.all_lines("results")] == [1, 2, 3]


@pytest.mark.parametrize(("choice", "eve"), [("absent", {}), ("empty", {"note": ""})])
def test_an_empty_cell_is_what_the_objects_metadata_say(
    function: Function, choice: str, eve: dict[str, str]
) -> None:
    state = function.put("input/people.csv", TABLE, empty_cells=choice)

    answer = function.work_through(state, range_bytes=1)

    assert json.loads(function.read(answer["manifest"]["key"]))["empty_cells"] == choice
    assert results(function)[-1] == {"row": 5, "name": "eve", **eve}


def test_the_manifest_says_what_was_made_of_what(function: Function) -> None:
    state = function.put("input/people.csv", TABLE, data_source="People", delimiter=",")

    answer = function.work_through(state, max_ranges=2)

    manifest = json.loads(function.read(answer["manifest"]["key"]))
    folder = answer["manifest"]["key"].removesuffix("manifest.json")
    assert answer["manifest"]["bucket"] == "output"
    assert folder.startswith("results/people.csv-")
    assert folder.endswith(f"/{state['sequencer']}/")
    assert manifest["object"] == state
    assert {name: manifest[name] for name in ("format", "delimiter", "header")} == {
        "format": "csv",
        "delimiter": ",",
        "header": ["name", "note"],
    }
    assert (manifest["processing_type"], manifest["data_source"]) == ("standard", "People")
    assert manifest["counts"] == COUNTS
    assert manifest["durable_execution_arns"] == ["arn:1"]
    assert manifest["written_at"].endswith("Z")
    assert manifest["parts"][0] == {
        "start": 14,
        "end": 34,
        "row": 1,
        "line": 2,
        "rows": 1,
        "results": 1,
        "rejects": 0,
        "results_key": f"{folder}results/000000000000014.jsonl",
        "rejects_key": f"{folder}rejects/000000000000014-e3b0c44298fc1c14.jsonl",
    }
    assert manifest["parts"][-1]["end"] == len(TABLE)


def test_everything_is_written_with_its_content_type(function: Function) -> None:
    function.work_through(function.put("input/people.csv", TABLE))

    types = {
        key.split("/")[3]: function.s3.head_object(Bucket="output", Key=key)["ContentType"]
        for key in function.written()
    }
    assert types == {
        "results": "application/x-ndjson",
        "rejects": "application/x-ndjson",
        "segments": "application/json",
        "manifest.json": "application/json",
    }


def test_json_lines_end_the_same_way_with_exact_numbers(function: Function) -> None:
    lines = b'{"n": 1.10}\n\n{"n": 1, "n": 2}\r\n{"processing_type": "nope"}\n{"n": 3}'

    finished = function.work_through(function.put("input/numbers.ndjson", lines), range_bytes=1)

    assert finished["counts"] == {"rows": 4, "results": 2, "rejects": 2}
    part = next(content for key, content in function.written().items() if "/results/0" in key)
    assert part.startswith(b'{"row":1,"record":{"n":1.10,"processing_type":"standard",')
    assert [line["row"] for line in function.all_lines("results")] == [1, 4]
    assert [(line["line"], line["reason"]["type"]) for line in function.all_lines("rejects")] == [
        (3, "InvalidJson"),
        (4, "UnknownProcessingType"),
    ]


def test_orders_are_read_checked_and_transformed(function: Function) -> None:
    orders = (
        b"order_id;sku;quantity;unit_price;currency;ordered_at\n"
        b"a-1;tea;3;12.5;eur;2026-03-01T09:30:00+01:00\n"
        b"a-2;tea;three;-1;eur;yesterday\n"
    )

    function.work_through(function.put("input/order/orders.csv", orders))

    ((order,), (reject,)) = function.all_lines("results"), function.all_lines("rejects")
    assert order["record"]["order_id"] == "A-1"
    assert b'"total":37.50' in b"".join(function.written().values())
    assert len(reject["reason"]["errors"]) == 3
    assert reject["raw"] == "a-2;tea;three;-1;eur;yesterday"


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n\n", b"a,b", b"a,b\n", b"a\r\n\r\n"])
def test_a_file_without_rows_has_a_manifest_as_well(function: Function, content: bytes) -> None:
    finished = function.work_through(function.put("input/empty.csv", content))

    manifest = json.loads(function.read(finished["manifest"]["key"]))
    assert finished["counts"] == {"rows": 0, "results": 0, "rejects": 0}
    assert manifest["parts"] == []
    assert manifest["header"] == [
        name for name in content.decode("utf-8-sig").strip().split(",") if name
    ]


def test_a_file_that_cannot_be_read_is_rejected_with_the_reason(function: Function) -> None:
    answer = function.plan(function.put("input/a.csv", "a,b\n".encode("utf-16")))

    assert answer["outcome"] == "rejected"
    assert answer["reason"]["type"] == "NotUtf8"
    assert "UTF-16" in answer["reason"]["message"]


def test_a_row_that_is_too_large_rejects_the_file(function: Function) -> None:
    answer = function.plan(function.put("input/a.csv", b'a\n"' + b"b\n" * 600_000))

    assert answer["outcome"] == "rejected"
    assert answer["reason"]["type"] == "RowTooLarge"


def remove(function: Function, state: Any) -> None:
    function.s3.delete_object(Bucket=state["bucket"], Key=state["key"])


def overwrite(function: Function, state: Any) -> None:
    function.put(state["key"], b"other\n1\n", state["bucket"])


def put_again(function: Function, state: Any) -> None:
    function.put(state["key"], TABLE, state["bucket"])


@pytest.mark.parametrize(
    ("bucket", "change"),
    [
        ("input", remove),
        ("input", overwrite),
        ("input", put_again),
        ("payloads", remove),
        ("payloads", overwrite),
    ],
)
def test_an_object_that_was_removed_or_replaced_is_gone(
    function: Function, bucket: str, change: Any
) -> None:
    state = function.put("input/people.csv", TABLE, bucket)
    plan = function.plan(state)

    change(function, state)

    assert function.plan(state)["outcome"] == "gone"
    assert (
        function.plan(state, plan["next"] or {"offset": 14, "row": 1, "line": 2})["outcome"]
        == "gone"
    )
    assert function.process(plan["file"], plan["ranges"][0])["outcome"] == "gone"
    assert function.written() == {}


def test_a_state_of_which_the_event_told_little_is_pinned_by_the_plan(function: Function) -> None:
    state = function.put("input/people.csv", TABLE)
    little = {name: state[name] for name in ("bucket", "key", "sequencer")}

    file = function.plan(little)["file"]

    assert {name: file[name] for name in state} == state


def test_what_may_pass_is_raised(function: Function) -> None:
    state = function.put("input/people.csv", TABLE) | {"bucket": "no-such-bucket"}

    with pytest.raises(ClientError, match="NoSuchBucket"):
        function.plan(state)


def test_a_repeated_range_writes_the_same_bytes(function: Function) -> None:
    plan = function.plan(function.put("input/people.csv", TABLE), range_bytes=1000)
    (work,) = plan["ranges"]
    first = function.process(plan["file"], work)
    written = function.written()

    for key in written:
        function.s3.delete_object(Bucket="output", Key=key)
    again = function.process(plan["file"], work)

    assert again["part"] == first["part"]
    assert function.written() == written


def test_a_range_that_died_after_its_rejects_is_worked_on_again(function: Function) -> None:
    plan = function.plan(function.put("input/people.csv", TABLE), range_bytes=1000)
    part = function.process(plan["file"], plan["ranges"][0])["part"]
    written = function.written()

    function.s3.delete_object(Bucket="output", Key=part["results_key"])

    assert function.process(plan["file"], plan["ranges"][0])["part"] == part
    assert function.written() == written


def test_a_range_that_was_written_is_not_read_again(function: Function) -> None:
    state = function.put("input/people.csv", TABLE)
    plan = function.plan(state)
    part = function.process(plan["file"], plan["ranges"][0])["part"]

    remove(function, state)

    assert function.process(plan["file"], plan["ranges"][0])["part"] == part


def test_a_range_of_another_length_is_worked_on(function: Function) -> None:
    state = function.put("input/people.csv", TABLE)
    short = function.plan(state, range_bytes=1)
    long = function.plan(state, range_bytes=1000)
    assert function.process(short["file"], short["ranges"][0])["part"]["rows"] == 1

    assert function.process(long["file"], long["ranges"][0])["part"]["rows"] == 5


def test_results_of_two_states_lie_apart(function: Function) -> None:
    old = function.put("input/people.csv", TABLE, "payloads")
    function.work_through(old)
    before = function.written()

    function.work_through(
        function.put("input/people.csv", b"a\n1\n", "payloads") | {"sequencer": "B2"}
    )

    assert before.items() < function.written().items()


def test_counts_so_far_grow_with_each_segment(function: Function) -> None:
    state = function.put("input/people.csv", TABLE)

    first = function.execute(state, max_ranges=2, range_bytes=1)
    second = function.execute(state, first["next"], max_ranges=2, range_bytes=1)
    last = function.execute(state, second["next"], max_ranges=2, range_bytes=1)

    assert [answer["counts"]["rows"] for answer in (first, second, last)] == [2, 4, 5]
    assert [bool(answer["manifest"]) for answer in (first, second, last)] == [False, False, True]


def test_a_repeated_finish_changes_nothing(function: Function) -> None:
    state = function.put("input/people.csv", TABLE)
    plan = function.plan(state)
    parts = [function.process(plan["file"], work)["part"] for work in plan["ranges"]]
    first = function.finish(plan["file"], parts)
    written = function.written()

    again = function.finish(plan["file"], parts, arn="arn:2")

    assert again["manifest"] == first["manifest"]
    assert again["counts"] == first["counts"]
    assert function.written() == written


def segments(function: Function) -> list[str]:
    return [key for key in function.written() if "/segments/" in key]


def test_a_missing_segment_is_told_and_the_manifest_written_once_it_is_there(
    function: Function,
) -> None:
    state = function.put("input/people.csv", TABLE)
    one = function.execute(state, max_ranges=1, range_bytes=1)
    two = function.execute(state, one["next"], max_ranges=2, range_bytes=1)
    second = segments(function)[1]
    kept = function.read(second)
    function.s3.delete_object(Bucket="output", Key=second)

    with pytest.raises(IncompleteResults, match="begins with row 2 at byte 34;"):
        function.execute(state, two["next"], max_ranges=100, range_bytes=1)

    assert not [key for key in function.written() if key.endswith("manifest.json")]
    function.s3.put_object(Bucket="output", Key=second, Body=kept)
    finished = function.execute(state, two["next"], max_ranges=100, range_bytes=1)
    assert finished["counts"] == COUNTS


def test_a_missing_first_segment_is_told(function: Function) -> None:
    state = function.put("input/people.csv", TABLE)
    one = function.execute(state, max_ranges=1, range_bytes=1)
    function.s3.delete_object(Bucket="output", Key=segments(function)[0])

    with pytest.raises(IncompleteResults, match="begins with row 1;"):
        function.execute(state, one["next"], max_ranges=100, range_bytes=1)


def test_a_part_that_is_missing_within_a_segment_is_told(function: Function) -> None:
    state = function.put("input/people.csv", TABLE)
    plan = function.plan(state, range_bytes=1)
    parts = [function.process(plan["file"], work)["part"] for work in plan["ranges"]]

    for wrong in (parts[:2] + parts[3:], parts[:-1], parts[1:]):
        with pytest.raises(IncompleteResults):
            function.finish(plan["file"], wrong)
        for key in segments(function):
            function.s3.delete_object(Bucket="output", Key=key)


def test_an_execution_that_is_repeated_and_gets_less_far_takes_nothing_back(
    function: Function,
) -> None:
    state = function.put("input/people.csv", TABLE)
    one = function.execute(state, max_ranges=2, range_bytes=1)
    written = function.written()

    assert function.execute(state, max_ranges=1, range_bytes=1)["counts"] == one["counts"]

    assert function.written() == written
    assert function.execute(state, one["next"], range_bytes=1)["counts"] == COUNTS


def test_an_execution_that_is_repeated_and_gets_further_is_enough(function: Function) -> None:
    state = function.put("input/people.csv", TABLE)
    function.execute(state, max_ranges=1, range_bytes=1)
    further = function.execute(state, max_ranges=3, range_bytes=1)

    finished = function.execute(state, further["next"], range_bytes=1)

    assert finished["counts"] == COUNTS


def test_a_file_that_was_cut_differently_since_counts_each_row_once(function: Function) -> None:
    state = function.put("input/people.csv", TABLE)
    one = function.execute(state, max_ranges=1, range_bytes=1)
    function.execute(state, one["next"], max_ranges=1, range_bytes=1)

    finished = function.work_through(state, max_ranges=2, range_bytes=30)

    assert finished["counts"] == COUNTS
    assert results(function) == RESULTS
