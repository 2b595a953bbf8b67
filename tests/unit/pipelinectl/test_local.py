import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelinectl.errors import NotFoundError
from pipelinectl.local import FileLog, FunctionLog, LogLine


class FakeLogs:
    """CloudWatch Logs with one group; each read of it takes the next of `reads`."""

    def __init__(self, *reads: list[dict[str, Any]]) -> None:
        self._reads = iter(reads)
        self.starts: list[int] = []

    def describe_log_groups(self, *, logGroupNamePrefix: str) -> dict[str, Any]:
        names = [name for name in ("/here", "/here-too") if name.startswith(logGroupNamePrefix)]
        return {"logGroups": [{"logGroupName": name} for name in names]}

    def get_paginator(self, _: str) -> "FakeLogs":
        return self

    def paginate(self, *, logGroupName: str, startTime: int) -> Iterator[Any]:
        assert logGroupName == "/here"
        self.starts.append(startTime)
        yield {"events": next(self._reads)}


def entry(number: int) -> dict[str, Any]:
    return {"eventId": str(number), "timestamp": number * 1000, "message": f"line {number}\n"}


def log(fake: FakeLogs, *groups: str) -> FunctionLog:
    return FunctionLog(fake, groups, pause=lambda _: None)  # type: ignore[arg-type]  # a fake of what it uses


def test_the_last_lines_come_oldest_first() -> None:
    lines = list(log(FakeLogs([entry(3), entry(1), entry(2)]), "/here").lines(2))

    assert [line.text for line in lines] == ["line 2", "line 3"]


def test_following_prints_each_line_once_even_when_it_is_late() -> None:
    fake = FakeLogs([entry(10)], [entry(10), entry(12)], [entry(12), entry(11)])

    lines = log(fake, "/here").lines(5, follow=True)

    assert [line.text for line in itertools.islice(lines, 3)] == ["line 10", "line 12", "line 11"]
    assert fake.starts == [0, 5000, 7000]


def test_lines_without_an_id_are_told_apart_by_what_they_say() -> None:
    bare = [{"timestamp": 1000, "message": text} for text in ("a", "b", "c")]
    fake = FakeLogs(bare[:1], bare[:2], bare)

    lines = log(fake, "/here").lines(5, follow=True)

    assert [line.text for line in itertools.islice(lines, 3)] == ["a", "b", "c"]


def test_groups_that_do_not_exist_are_passed_over() -> None:
    assert len(list(log(FakeLogs([entry(1)]), "/nowhere", "/here").lines(5))) == 1


def test_a_function_without_a_log_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="/her:"):
        list(log(FakeLogs(), "/her").lines(5))


def test_a_file_shows_its_last_lines_and_what_is_written_next(tmp_path: Path) -> None:
    path = tmp_path / "gateway.log"
    path.write_text("1\n2\n3\n")

    def write(_: float) -> None:
        with path.open("a") as file:
            file.write("4\n")

    lines = FileLog(path, pause=write).lines(2, follow=True)

    assert list(itertools.islice(lines, 3)) == [
        LogLine(None, "2"),
        LogLine(None, "3"),
        LogLine(None, "4"),
    ]


def test_a_missing_file_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="pipelinectl local up"):
        list(FileLog(tmp_path / "none").lines(1))
