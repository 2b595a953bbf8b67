import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline_core.objects import ObjectState, results_folder
from tests.integration.pipelinectl.catalog_entries import put_entry
from tests.integration.pipelinectl.conftest import Deployed

PATH = "test-input/input/orders.csv"
SEQUENCER = "0066".ljust(32, "0")
STATE: ObjectState = {"bucket": "test-input", "key": "input/orders.csv", "sequencer": SEQUENCER}
FOLDER = results_folder(STATE)
COUNTS = {"rows": 3, "results": 2, "rejects": 1}
REJECT = {
    "row": 2,
    "line": 3,
    "reason": {"type": "ValidationError", "message": "m", "errors": ["quantity must be integer"]},
    "raw": "x,1",
}


def put_results(deployed: Deployed, *, manifest: bool = True) -> None:
    """Three ranges; the second was worked on by an execution that the manifest does not know."""
    parts = []
    for start in (4, 7, 1000):
        name = f"{start:015d}.jsonl"
        line = json.dumps({"row": start, "record": {}}) + "\n"
        reject = json.dumps(REJECT) + "\n" if start == 1000 else ""
        deployed.s3.put_object(Bucket="test-output", Key=f"{FOLDER}results/{name}", Body=line)
        deployed.s3.put_object(Bucket="test-output", Key=f"{FOLDER}rejects/{name}", Body=reject)
        if start != 7:
            keys = {f"{kind}_key": f"{FOLDER}{kind}/{name}" for kind in ("results", "rejects")}
            parts.append({"start": start, **keys})
    if manifest:
        body = json.dumps({"object": {}, "parts": parts})
        deployed.s3.put_object(Bucket="test-output", Key=f"{FOLDER}manifest.json", Body=body)


def done(deployed: Deployed) -> None:
    put_results(deployed)
    manifest = {"bucket": "test-output", "key": f"{FOLDER}manifest.json"}
    put_entry(deployed, PATH, counts=COUNTS, manifest=manifest)


def test_objects_are_listed_newest_first(deployed: Deployed) -> None:
    for number in range(3):
        moment = f"2026-03-01T12:00:0{number}.000000Z"
        put_entry(deployed, f"test-input/input/{number}.csv", updated_at=moment)
    put_entry(deployed, "test-payloads/messages/a.json", state="failed")

    names = [entry["key"] for entry in deployed.run("objects", "list", "--json").json]
    result = deployed.run("objects", "list", "--limit", "2")

    assert names[:2] == ["input/2.csv", "input/1.csv"]
    assert len(names) == 4
    assert result.stdout.index("input/2.csv") < result.stdout.index("input/1.csv")
    assert result.stdout.endswith("cut after 2 objects: --limit shows more\n")


def test_a_state_chooses(deployed: Deployed) -> None:
    put_entry(deployed, "test-input/input/a.csv")
    reason = {"type": "NotUtf8", "message": "no text"}
    put_entry(deployed, "test-input/input/b.csv", state="failed", reason=reason)

    (entry,) = deployed.run("objects", "list", "--state", "failed", "--json").json
    shown = deployed.run("objects", "list", "--state", "FAILED").stdout

    assert entry["key"] == "input/b.csv"
    assert "NotUtf8: no text" in shown
    assert "a.csv" not in shown


def test_an_empty_catalog_is_no_error(deployed: Deployed) -> None:
    assert deployed.run("objects", "list", "--json").json == []
    assert deployed.run("objects", "list").stdout == ""


@pytest.mark.parametrize("reference", ["input/orders.csv", PATH, f"s3://{PATH}"])
def test_one_object_is_shown(deployed: Deployed, reference: str) -> None:
    done(deployed)

    words = " ".join(deployed.run("objects", "show", reference).stdout.split())

    assert "state done" in words
    assert "rows 3" in words
    assert "rejects 1" in words
    assert f"s3://test-output/{FOLDER}" in words.replace(" ", "")


def test_rejected_rows_are_shown_with_their_reasons(deployed: Deployed) -> None:
    done(deployed)

    words = " ".join(deployed.run("objects", "show", PATH, "--rejects").stdout.split())
    document = deployed.run("objects", "show", PATH, "--rejects", "--json").json

    assert "row 2, line 3 quantity must be integer x,1" in words
    assert document["rejects"] == [REJECT]
    assert document["results"] == f"s3://test-output/{FOLDER}"
    assert document["counts"] == COUNTS


def test_no_more_rejected_rows_than_wanted(deployed: Deployed) -> None:
    put_entry(deployed, PATH, state="processing")
    body = "".join(json.dumps(REJECT | {"row": n}) + "\n" for n in range(5))
    key = f"{FOLDER}rejects/{4:015d}.jsonl"
    deployed.s3.put_object(Bucket="test-output", Key=key, Body=body)

    shown = deployed.run("objects", "show", PATH, "--rejects", "--limit", "2", "--json").json

    assert [reject["row"] for reject in shown["rejects"]] == [0, 1]


def test_an_object_without_rows_has_no_rejects(deployed: Deployed) -> None:
    put_entry(deployed, "test-payloads/messages/a.json")

    result = deployed.run("objects", "show", "messages/a.json", "--rejects")

    assert result.exit_code == 0
    assert "none" in result.stdout


def test_an_unknown_object_is_1_and_a_wrong_reference_2(deployed: Deployed) -> None:
    unknown = deployed.run("objects", "show", "input/none.csv")
    wrong = deployed.run("objects", "show", "none.csv")

    assert (unknown.exit_code, wrong.exit_code) == (1, 2)
    assert "the catalog knows no object 'test-input/input/none.csv'" in unknown.stderr
    assert "'none.csv' is no object: give bucket/key" in wrong.stderr


def lines(content: str) -> list[Any]:
    return [json.loads(line) for line in content.splitlines()]


def test_results_are_those_of_the_manifest_in_its_order(deployed: Deployed, tmp_path: Path) -> None:
    done(deployed)
    path = tmp_path / "results.jsonl"

    streamed = deployed.run("download", "--results", "input/orders.csv")
    saved = deployed.run("download", "--results", PATH, "--output", str(path), "--json").json

    assert [line["row"] for line in lines(streamed.stdout)] == [4, 1000]
    assert path.read_text() == streamed.stdout
    assert saved == {"file": str(path), "bytes": len(streamed.stdout)}
    assert [child.name for child in tmp_path.iterdir()] == ["results.jsonl"]


def test_rejects_are_in_one_file(deployed: Deployed) -> None:
    done(deployed)

    assert lines(deployed.run("download", "--rejects", PATH).stdout) == [REJECT]


def test_what_is_not_done_has_results_so_far(deployed: Deployed) -> None:
    put_results(deployed, manifest=False)
    put_entry(deployed, PATH, state="processing")

    result = deployed.run("download", "--results", PATH)

    assert [line["row"] for line in lines(result.stdout)] == [4, 7, 1000]
    assert "is processing: these are its results so far" in result.stderr


def test_a_part_that_is_gone_is_named_and_nothing_is_written(
    deployed: Deployed, tmp_path: Path
) -> None:
    done(deployed)
    gone = f"{FOLDER}results/{1000:015d}.jsonl"
    deployed.s3.delete_object(Bucket="test-output", Key=gone)

    result = deployed.run("download", "--results", PATH, "-o", str(tmp_path / "r.jsonl"))

    assert result.exit_code == 1
    assert f"s3://test-output/{gone} is gone" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_object_without_results_says_so(deployed: Deployed) -> None:
    put_entry(deployed, PATH, state="received")

    result = deployed.run("download", "--results", PATH)

    assert result.exit_code == 1
    assert f"'{PATH}' has no results" in result.stderr


def test_an_object_is_downloaded_as_it_is(deployed: Deployed, tmp_path: Path) -> None:
    deployed.s3.put_object(Bucket="test-input", Key="input/a.csv", Body=b"a\xff\r\n")
    path = tmp_path / "a.csv"

    result = deployed.run("download", "input/a.csv", "--output", str(path))

    assert result.stdout == f"downloaded input/a.csv (4 B) to {path}\n"
    assert path.read_bytes() == b"a\xff\r\n"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        ((), 2, "say what to download"),
        (("input/a.csv", "--results", "input/a.csv"), 2, "say what to download"),
        (("input/a.csv", "--json"), 2, "give --output FILE"),
        (("a.csv",), 2, "is no object"),
        (("input/none.csv",), 1, "NoSuchKey"),
        (("no-such-bucket-of-ours/a.csv",), 1, "NoSuchBucket"),
    ],
)
def test_what_cannot_be_downloaded_is_one_line(
    deployed: Deployed, arguments: tuple[str, ...], exit_code: int, said: str
) -> None:
    result = deployed.run("download", *arguments)

    assert result.exit_code == exit_code
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_a_file_that_cannot_be_written_is_2(deployed: Deployed, tmp_path: Path) -> None:
    deployed.s3.put_object(Bucket="test-input", Key="input/a.csv", Body=b"a")

    result = deployed.run("download", "input/a.csv", "-o", str(tmp_path / "none" / "a.csv"))

    assert result.exit_code == 2
    assert "name a file that can be written" in result.stderr


def test_json_keeps_every_digit(deployed: Deployed) -> None:
    put_entry(deployed, PATH, size=Decimal("12345678901234567890"))

    assert "12345678901234567890" in deployed.run("objects", "show", PATH, "--json").stdout


@pytest.mark.parametrize(
    ("times", "keys"),
    [
        ((), ["new", "old"]),
        (("--since", "2026-03-01T00:00:00+00:00"), ["new"]),
        (("--until", "2026-03-01T00:00:00+00:00"), ["old"]),
    ],
)
def test_objects_are_listed_by_when_they_changed(
    deployed: Deployed, times: tuple[str, ...], keys: list[str]
) -> None:
    for key, moment in (("new", "2026-03-01T00:00:00.5Z"), ("old", "2026-02-28T23:59:59Z")):
        put_entry(deployed, f"test-input/{key}", state="done", updated_at=moment)

    listed = deployed.run("objects", "list", "--json", *times).json

    assert [entry["key"] for entry in listed] == keys


def test_results_of_rows_that_are_items_are_downloaded_too(deployed: Deployed) -> None:
    name = f"{4:015d}-{900:015d}.jsonl"
    line = json.dumps({"row": 1, "execution_id": "e", "record": {}}) + "\n"
    deployed.s3.put_object(Bucket="test-output", Key=f"{FOLDER}items/{name}", Body=line)
    keys = {"results_key": f"{FOLDER}items/{name}", "rejects_key": "none"}
    body = json.dumps({"object": {}, "parts": [{"start": 4, **keys}]})
    deployed.s3.put_object(Bucket="test-output", Key=f"{FOLDER}manifest.json", Body=body)
    manifest = {"bucket": "test-output", "key": f"{FOLDER}manifest.json"}
    counts = {"rows": 1, "results": 1, "rejects": 0, "items": 1}
    put_entry(deployed, PATH, counts=counts, manifest=manifest)

    assert deployed.run("download", "--results", "input/orders.csv").stdout == line
    assert "items" in deployed.run("objects", "show", "input/orders.csv").stdout
