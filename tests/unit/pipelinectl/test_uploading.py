from pathlib import Path
from typing import Any, cast

import pytest

from pipeline_core.catalog import CatalogEntry
from pipeline_core.objects import ObjectId
from pipelinectl.errors import UsageError
from pipelinectl.uploading import Source, Uploaded, content_type, doubts, settled

SOURCE = Source(Path("a.csv"), 8, "text/csv", {})


def uploaded(key: str, version_id: str | None = None) -> Uploaded:
    return Uploaded(SOURCE, ObjectId("b", key), "e1", version_id)


def entry(state: str, **more: str) -> CatalogEntry:
    found: Any = {"bucket": "b", "state": state, "etag": "e1", **more}
    return cast("CatalogEntry", found)


class Catalog:
    """Answers with what it is told to, one poll after the other, the last one again and again."""

    def __init__(self, **answers: list[CatalogEntry | None]) -> None:
        self.answers = answers
        self.now = 0.0

    def get(self, object_id: ObjectId) -> CatalogEntry | None:
        answers = self.answers[object_id.key]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def wait(
    catalog: Catalog, *uploads: Uploaded, seconds: float = 60, replaced: str = ""
) -> list[tuple[str, str | None]]:
    stand_in: Any = catalog
    found = settled(
        stand_in,
        uploads,
        seconds,
        lambda upload: upload.object_id.key != replaced,
        sleep=catalog.sleep,
        clock=lambda: catalog.now,
    )
    return [(upload.object_id.key, entry["state"] if entry else None) for upload, entry in found]


def test_each_is_told_of_as_soon_as_it_is_settled() -> None:
    catalog = Catalog(
        a=[None, entry("received"), entry("processing"), entry("done")],
        b=[entry("processing"), entry("failed")],
    )

    assert wait(catalog, uploaded("a"), uploaded("b")) == [("b", "failed"), ("a", "done")]
    assert catalog.now == 3


def test_an_older_state_of_the_same_object_is_not_waited_for() -> None:
    catalog = Catalog(
        a=[entry("done", version_id="v1"), entry("done", version_id="v2")],
        b=[entry("failed", etag="e0"), entry("done")],
    )

    assert wait(catalog, uploaded("a", "v2"), uploaded("b")) == [("a", "done"), ("b", "done")]
    assert catalog.now == 1


def test_what_was_replaced_is_not_waited_for() -> None:
    catalog = Catalog(
        a=[None, entry("received", version_id="v2")], b=[entry("received"), entry("done")]
    )

    assert wait(catalog, uploaded("a", "v1"), uploaded("b"), replaced="a") == [
        ("a", None),
        ("b", "done"),
    ]


def test_a_state_that_was_replaced_and_is_still_in_the_catalog_is_waited_for() -> None:
    catalog = Catalog(a=[entry("processing"), entry("done")])

    assert wait(catalog, uploaded("a"), replaced="a") == [("a", "done")]


def test_it_ends_in_time_without_what_is_not_settled() -> None:
    catalog = Catalog(a=[entry("processing")], b=[entry("done")])

    assert wait(catalog, uploaded("a"), uploaded("b"), seconds=5) == [("b", "done")]
    assert 4 <= catalog.now <= 5


def test_a_file_is_known_by_its_suffix() -> None:
    assert content_type("2026/A.CSV") == "text/csv"
    with pytest.raises(UsageError, match=r"a\.txt: the pipeline reads \.csv"):
        content_type("a.txt")


@pytest.mark.parametrize("name", ["a.csv.gz", "A.ZIP", "sub/a.jsonl.zst"])
def test_what_is_compressed_is_to_be_decompressed_not_renamed(name: str) -> None:
    with pytest.raises(UsageError, match=r"it is compressed, .* decompress it first"):
        content_type(name)


def test_a_spreadsheet_is_to_be_saved_as_csv_not_renamed() -> None:
    with pytest.raises(UsageError, match=r"orders\.XLSX is a spreadsheet: save each sheet as CSV"):
        content_type("orders.XLSX")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"PK\x03\x04\x00", "save it as CSV in UTF-8"),
        ("a.csv", "city\nZürich\n".encode("cp1252"), "--encoding cp1252"),
        ("a.csv", b"sku;price\na;1\nb;-1,50\n", "line 3 has '-1,50'"),
        ("a.csv", b"price;sku\n1,50;b\n", "line 2 has '1,50'"),
        ("a.csv", b'sku,price\nb,"1,50"\n', "line 2 has '1,50'"),
    ],
)
def test_what_will_probably_be_rejected_is_said_before(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)

    (doubt,) = doubts(tmp_path / name)

    assert said in doubt


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"a,b\n1,2\n3,4\n"),
        ("a.csv", b'sku;note\na;"1,50 each"\n'),
        ("a.jsonl", b'{"a": "1,5"}\n'),
        ("a.csv", b"\xef\xbb\xbfcity\n" + "Zürich\n".encode() * 10_000),
    ],
)
def test_nothing_is_said_of_what_is_right(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    assert list(doubts(tmp_path / name)) == []
