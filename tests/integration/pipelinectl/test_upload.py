import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from csv_file.planning import described
from pipelinectl import uploading
from tests.integration.pipelinectl.catalog_entries import put_entry
from tests.integration.pipelinectl.conftest import TEMPLATE, Deployed
from tests.integration.pipelinectl.uploads_server import MAXIMUM, Server, serving
from tests.unit.csv_file.reading import a_head

ROWS = b"a,b\n1,2\n"


@pytest.fixture
def server(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The uploads API, which the stack's output leads to: so it must be there before the stack."""
    with serving("test-payloads") as found:
        monkeypatch.setitem(TEMPLATE["Outputs"], "UploadsApiUrl", {"Value": found.url})
        yield found


@pytest.fixture
def with_api(server: Server, deployed: Deployed) -> Deployed:
    return deployed


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    path.write_bytes(ROWS)
    return path


def stored(deployed: Deployed, bucket: str, key: str) -> Any:
    found = deployed.s3.get_object(Bucket=bucket, Key=key)
    return found["Body"].read(), found["ContentType"], found["Metadata"]


def test_a_file_goes_into_the_bucket_under_its_name(deployed: Deployed, rows: Path) -> None:
    result = deployed.run("upload", str(rows), "--type", "order", "--data-source", "shop")

    assert result.exit_code == 0
    assert result.stdout == f"uploaded {rows} (8 B) as input/orders.csv\n"
    assert stored(deployed, "test-input", "input/orders.csv") == (
        ROWS,
        "text/csv",
        {"processing-type": "order", "data-source": "shop"},
    )


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (("--key", "2026/03/a.csv"), "input/2026/03/a.csv"),
        (("--key", "input/a.csv"), "input/a.csv"),
        (("--key", "2026/03/"), "input/2026/03/orders.csv"),
        (("--key", "/"), "input//orders.csv"),
        (("--to", "direct"), "direct/orders.csv"),
        (("--to", "direct", "--key", "input/a.csv"), "direct/input/a.csv"),
    ],
)
def test_the_door_and_the_key_can_be_chosen(
    deployed: Deployed, rows: Path, options: tuple[str, ...], key: str
) -> None:
    (one,) = deployed.run("upload", str(rows), *options, "--json").json["uploads"]

    assert (one["bucket"], one["key"]) == ("test-input", key)
    assert one["version_id"] == deployed.s3.head_object(Bucket="test-input", Key=key)["VersionId"]
    assert stored(deployed, "test-input", key)[0] == ROWS


def test_a_large_file_goes_in_parts(deployed: Deployed, tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    path.write_bytes(b"x" * 9 * 1024 * 1024)

    (one,) = deployed.run("upload", str(path), "--json").json["uploads"]

    assert one["etag"].endswith("-2")
    head = deployed.s3.head_object(Bucket="test-input", Key="input/large.csv")
    assert head["ContentLength"] == one["size"] == 9 * 1024 * 1024


def test_through_the_api_nobody_needs_rights_in_the_bucket(
    with_api: Deployed, server: Server, rows: Path
) -> None:
    options = ("--to", "messages", "--type", "order", "--delimiter", ";", "--json")

    (one,) = with_api.run("upload", str(rows), *options).json["uploads"]

    assert one["key"] == f"messages/{one['upload_id']}"
    assert one["upload_id"].endswith(".csv")
    assert one["etag"]
    assert server.signed_for == ["execute-api"]
    assert stored(with_api, "test-payloads", one["key"]) == (
        ROWS,
        "text/csv",
        {"processing-type": "order", "delimiter": ";"},
    )


def test_what_the_api_refuses_is_one_line_and_1(
    with_api: Deployed, server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "large.json"
    path.write_bytes(b"x" * (MAXIMUM + 1))

    refused = with_api.run("upload", str(path), "--to", "messages")
    server.forbidden = True
    forbidden = with_api.run("upload", str(path), "--to", "messages")

    assert (refused.exit_code, forbidden.exit_code) == (1, 1)
    assert "uploads API: 413: size is more than 1000000 bytes" in refused.stderr
    assert forbidden.stderr == "pipelinectl: uploads API: 403: Forbidden\n"


def test_a_file_that_grows_is_sent_as_it_was_and_one_that_shrinks_is_not(
    with_api: Deployed, server: Server, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "size_of", lambda _: 4)
    (grown,) = with_api.run("upload", str(rows), "--to", "messages", "--json").json["uploads"]
    monkeypatch.setattr(uploading, "size_of", lambda _: 9)
    shrunk = with_api.run("upload", str(rows), "--to", "messages")

    assert stored(with_api, "test-payloads", grown["key"])[0] == ROWS[:4]
    assert shrunk.exit_code == 1
    assert "became shorter" in shrunk.stderr


def test_an_api_that_does_not_answer_is_3_and_the_url_stays_secret(
    with_api: Deployed, server: Server, rows: Path
) -> None:
    server.shutdown()
    server.server_close()

    result = with_api.run("upload", str(rows), "--to", "messages")

    assert result.exit_code == 3
    assert result.stderr.startswith(f"pipelinectl: {server.url}: EndpointConnectionError: check")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere.csv",), "nowhere.csv: No such file"),
        ((".",), "the pipeline reads .csv"),
        (("README.md",), "the pipeline reads .csv"),
        (("{rows}", "{rows}"), "two files of this name"),
        (("{rows}", "b.csv", "--key", "k"), "--key names one object"),
        (("{rows}", "--to", "messages", "--key", "k"), "--key is for the bucket"),
        (("{rows}", "--key", "k" * 1020 + ".csv"), "more than 1024 bytes"),
        (("{rows}", "--delimiter", ";;"), "give one character, or 'tab'"),
        (("{rows}", "--key", "orders"), "orders: the pipeline reads .csv"),
        (("{rows}", "--key", "orders.csv.gz"), "orders.csv.gz: it is compressed"),
        (("orders.csv.gz", "--key", "orders.csv"), "decompress it first"),
        (("{rows}", "--empty-cells", "null"), "absent"),
        (("{document}", "--type", "order"), "a.json: --type cannot speak for it, it is one doc"),
        (("{rows}", "{document}", "--data-source", "x"), "a.json: --data-source cannot speak"),
        (
            ("{document}", "--type", "order", "--data-source", "x"),
            "--type and --data-source cannot",
        ),
        (("{rows}", "--key", "a.json", "--type", "order"), "a.json: --type cannot speak for it"),
        (("{lines}", "--type", "order", "--delimiter", ";"), "a.jsonl: --delimiter cannot speak"),
        (("{lines}", "--empty-cells", "empty"), "a.jsonl: --empty-cells cannot speak for it"),
        (("{lines}", "--decimal", "comma"), "a.jsonl: --decimal cannot speak for it"),
        (("{rows}", "--encoding", "utf-16"), "cp1252"),
        (("{rows}", "--rows", "records"), "items"),
        (("{document}", "--rows", "items"), "a.json: --rows cannot speak for it, it is one doc"),
    ],
)
def test_wrong_usage_is_2_and_uploads_nothing(
    deployed: Deployed, rows: Path, arguments: tuple[str, ...], said: str
) -> None:
    paths = {"rows": rows, "document": rows.with_name("a.json"), "lines": rows.with_name("a.jsonl")}
    for path in paths.values():
        path.write_bytes(ROWS)

    result = deployed.run("upload", *(part.format_map(paths) for part in arguments))

    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Contents" not in deployed.s3.list_objects_v2(Bucket="test-input")


def test_an_empty_file_is_refused(deployed: Deployed, tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.touch()

    assert "the file is empty" in deployed.run("upload", str(path)).stderr


def test_the_name_that_counts_is_that_of_the_object(deployed: Deployed, tmp_path: Path) -> None:
    path = tmp_path / "export.txt"
    path.write_bytes(ROWS)

    deployed.run("upload", str(path), "--key", "a.jsonl")

    assert stored(deployed, "test-input", "input/a.jsonl")[1] == "application/x-ndjson"


def test_a_folder_takes_several_files(deployed: Deployed, rows: Path) -> None:
    other = rows.with_name("b.csv")
    other.write_bytes(ROWS)

    uploads = deployed.run("upload", str(rows), str(other), "--key", "sub/", "--json").json[
        "uploads"
    ]

    assert [one["key"] for one in uploads] == ["input/sub/orders.csv", "input/sub/b.csv"]


def test_a_folder_is_waited_for_as_the_object_in_it(
    deployed: Deployed, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(deployed, monkeypatch, state="done", key="input/sub/orders.csv")

    result = deployed.run("upload", str(rows), "--key", "sub/", "--wait")

    assert result.exit_code == 0
    assert "input/sub/orders.csv: done" in result.stdout


@pytest.mark.parametrize("to", ["input", "messages"])
@pytest.mark.parametrize("source", ["Zürich", "数" * 30, " blank ", "=?x?="])
def test_a_source_of_any_characters_arrives_as_it_was(
    with_api: Deployed, server: Server, rows: Path, to: str, source: str
) -> None:
    arguments = ("--data-source", source, "--empty-cells", "empty", "--to", to, "--json")

    (one,) = with_api.run("upload", str(rows), *arguments).json["uploads"]

    metadata = stored(with_api, one["bucket"], one["key"])[2]
    file, _ = described(a_head(ROWS, one["key"], **metadata))
    assert all(value.isascii() for value in metadata.values())
    assert (file["data_source"], file["empty_cells"]) == (source, "empty")


def test_a_tab_travels_by_its_name(deployed: Deployed, rows: Path) -> None:
    deployed.run("upload", str(rows), "--delimiter", "\t")

    assert stored(deployed, "test-input", "input/orders.csv")[2] == {"delimiter": "tab"}


def settle(
    deployed: Deployed,
    monkeypatch: pytest.MonkeyPatch,
    key: str = "input/orders.csv",
    **attributes: Any,
) -> None:
    """Let the pipeline come to an end with the newest version while it is waited for."""

    def work(_: float) -> None:
        head = deployed.s3.head_object(Bucket="test-input", Key=key)
        put_entry(deployed, f"test-input/{key}", version_id=head["VersionId"], **attributes)

    monkeypatch.setattr(uploading, "settled", partial(uploading.settled, sleep=work))


def test_wait_ends_with_the_counts(
    deployed: Deployed, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_entry(deployed, "test-input/input/orders.csv", state="failed", version_id="older")
    counts = {"rows": 1, "results": 1, "rejects": 0}
    settle(deployed, monkeypatch, state="done", counts=counts)

    result = deployed.run("upload", str(rows), "--wait")
    document = deployed.run("upload", str(rows), "--wait", "--json").json

    assert result.exit_code == 0
    assert "input/orders.csv: done 1 row, 1 result, 0 rejects" in result.stdout
    assert document["uploads"][0]["entry"]["counts"] == counts


def test_wait_ends_with_4_where_rows_were_rejected(
    deployed: Deployed, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(deployed, monkeypatch, state="done", counts={"rows": 3, "results": 1, "rejects": 2})

    result = deployed.run("upload", str(rows), "--wait")

    assert result.exit_code == 4
    assert "2 rows of 1 object rejected: see 'pipelinectl objects show input" in result.stderr


def test_what_is_doubtful_is_said_and_uploaded(deployed: Deployed, rows: Path) -> None:
    rows.write_bytes(b"price;x\n1,5;y\n")

    result = deployed.run("upload", str(rows))

    assert result.exit_code == 0
    assert "line 2 has '1,5'" in result.stderr


def test_wait_ends_with_1_and_the_reason_where_it_failed(
    deployed: Deployed, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = {"type": "NotUtf8", "message": "the file is \x1b[31mno text"}
    settle(deployed, monkeypatch, state="failed", reason=reason)

    result = deployed.run("upload", str(rows), "--wait")
    as_json = deployed.run("upload", str(rows), "--wait", "--json")

    assert (result.exit_code, as_json.exit_code) == (1, 1)
    assert "input/orders.csv: failed NotUtf8: the file is \\x1b[31mno text" in result.stdout
    assert "1 object failed: see 'pipelinectl objects show input/orders.csv'" in result.stderr
    assert json.loads(as_json.stdout)["uploads"][0]["entry"]["reason"] == reason


@pytest.mark.parametrize("change", ["replaced", "removed"])
def test_wait_ends_with_1_where_the_object_is_another_meanwhile(
    deployed: Deployed, rows: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    def other(_: float) -> None:
        if change == "replaced":
            answer = deployed.s3.put_object(Bucket="test-input", Key="input/orders.csv", Body=b"")
        else:
            answer = deployed.s3.delete_object(Bucket="test-input", Key="input/orders.csv")
        put_entry(
            deployed,
            "test-input/input/orders.csv",
            version_id=answer["VersionId"],
            state="received" if change == "replaced" else "deleted",
        )

    monkeypatch.setattr(uploading, "settled", partial(uploading.settled, sleep=other))

    result = deployed.run("upload", str(rows), "--wait")
    as_json = deployed.run("upload", str(rows), "--wait", "--json")

    assert (result.exit_code, as_json.exit_code) == (1, 1)
    assert "input/orders.csv: replaced or removed meanwhile" in result.stdout
    assert "1 object replaced or removed meanwhile: see 'pipelinectl obj" in result.stderr
    assert json.loads(as_json.stdout)["uploads"][0]["entry"] is None


def test_wait_does_not_wait_for_ever(
    deployed: Deployed, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = deployed.run("upload", str(rows), "--wait", "--timeout", "1")

    assert result.exit_code == 1
    assert "not done with 1 object after 1 s (input/orders.csv)" in result.stderr


def test_what_had_been_uploaded_is_told_when_it_breaks_off(
    with_api: Deployed, server: Server, rows: Path, tmp_path: Path
) -> None:
    large = tmp_path / "large.csv"
    large.write_bytes(b"x" * (MAXIMUM + 1))

    result = with_api.run("upload", str(rows), str(large), "--to", "messages")

    assert result.exit_code == 1
    assert "1 file of 2 had been uploaded" in result.stderr


def test_an_upload_is_got_again_by_its_id(
    with_api: Deployed, server: Server, rows: Path, tmp_path: Path
) -> None:
    (one,) = with_api.run("upload", str(rows), "--to", "messages", "--json").json["uploads"]
    path = tmp_path / "again.csv"

    streamed = with_api.run("download", one["upload_id"])
    with_api.run("download", one["upload_id"], "--output", str(path))
    missing = with_api.run("download", "0" * 32 + ".csv")

    assert streamed.stdout == ROWS.decode()
    assert path.read_bytes() == ROWS
    assert missing.exit_code == 1
    assert "does not exist" in missing.stderr


def test_a_download_that_breaks_off_leaves_no_file(
    with_api: Deployed, server: Server, rows: Path, tmp_path: Path
) -> None:
    (one,) = with_api.run("upload", str(rows), "--to", "messages", "--json").json["uploads"]
    server.broken = True
    path = tmp_path / "again.csv"

    result = with_api.run("download", one["upload_id"], "--output", str(path))

    assert result.exit_code == 3
    assert "IncompleteReadError" in result.stderr
    assert sorted(child.name for child in tmp_path.iterdir()) == ["orders.csv"]
