import itertools
from pathlib import Path

import pytest

from pipelinectl.errors import NotFoundError
from pipelinectl.local import FileLog, LogLine


def test_a_file_shows_its_last_lines_and_what_is_written_next(tmp_path: Path) -> None:
    path = tmp_path / "gateway.log"
    path.write_text("1\n2\n3\n")

    def write(_: float) -> None:
        with path.open("a") as file:
            file.write("4\n")

    lines = FileLog(path, pause=write).lines(2, follow=True)

    assert list(itertools.islice(lines, 3)) == [
        LogLine("2"),
        LogLine("3"),
        LogLine("4"),
    ]


def test_a_file_that_is_begun_anew_is_followed_from_there(tmp_path: Path) -> None:
    path = tmp_path / "gateway.log"
    path.write_text("a long line\n")

    def write(_: float) -> None:
        path.write_text("new\n")

    lines = FileLog(path, pause=write).lines(1, follow=True)
    assert list(itertools.islice(lines, 2)) == [LogLine("a long line"), LogLine("new")]


def test_a_missing_file_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="pipelinectl local up"):
        list(FileLog(tmp_path / "none").lines(1))
