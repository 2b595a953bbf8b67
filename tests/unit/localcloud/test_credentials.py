"""Each local cloud's root has credentials of its own, which nobody else reads."""

import stat
from pathlib import Path

import pytest

from localcloud import credentials


def test_they_are_random_and_for_this_user_alone(tmp_path: Path) -> None:
    made = set()
    for name in ("one.json", "other.json"):
        credentials.make(tmp_path / name)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        made.add(credentials.read(tmp_path / name))
    assert len({root.access_key for root in made} | {root.secret_key for root in made}) == 4
    assert all(len(root.secret_key) == 40 for root in made)
    assert {path.name for path in tmp_path.iterdir()} == {"one.json", "other.json"}


def test_those_that_are_there_stay(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    credentials.make(path)
    before = credentials.read(path)
    credentials.make(path)
    assert credentials.read(path) == before


def test_half_a_file_of_one_that_was_killed_is_none(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    path.with_suffix(".draft").write_text('{"access_key": ')
    credentials.make(path)
    assert credentials.read(path).access_key
    assert list(tmp_path.iterdir()) == [path]


def test_a_secret_is_in_no_log(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    credentials.make(path)
    root = credentials.read(path)
    assert root.secret_key not in repr(root)
    assert root.access_key in repr(root)


@pytest.mark.parametrize("text", ["", "{", "[]", "1", '{"access_key": "a"}'])
def test_a_file_without_credentials_is_no_such_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "credentials.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"credentials|JSON|Expecting"):
        credentials.read(path)
