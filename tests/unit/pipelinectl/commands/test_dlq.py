from pathlib import Path

import pytest

from pipelinectl.commands.dlq import edit
from pipelinectl.errors import OperationFailedError, UsageError


def test_what_was_saved_comes_back() -> None:
    assert edit("one\ntwo", {"EDITOR": "sed -i s/one/1/"}) == "1\ntwo"


def test_visual_goes_before_editor() -> None:
    assert edit("one", {"VISUAL": "sed -i s/one/1/", "EDITOR": "false"}) == "1"


@pytest.mark.parametrize("editor", ["true", "sed -i s/one//", "sed -i 's/one/ /'"])
def test_unchanged_and_emptied_are_nothing(editor: str) -> None:
    assert edit("one", {"EDITOR": editor}) is None


def test_the_line_end_that_an_editor_adds_is_no_change(tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho >> "$1"\n')
    editor.chmod(0o755)

    assert edit("one", {"EDITOR": str(editor)}) is None
    assert edit("one\n", {"EDITOR": str(editor)}) == "one\n\n"


def test_an_editor_that_fails_or_is_not_there_is_an_error() -> None:
    with pytest.raises(OperationFailedError, match="'false' ended with 1"):
        edit("one", {"EDITOR": "false"})
    with pytest.raises(UsageError, match="'no-such-editor' cannot be started"):
        edit("one", {"EDITOR": "no-such-editor"})


def test_what_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nprintf '\\377' > \"$1\"\n")
    editor.chmod(0o755)

    with pytest.raises(UsageError, match="UTF-8"):
        edit("one", {"EDITOR": str(editor)})


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    """Where the editor `editor` leaves what it was shown."""
    editor = tmp_path / "editor"
    editor.write_text(f'#!/bin/sh\ncp "$1" {tmp_path}/shown\nsed -i "$EDIT" "$1"\n')
    editor.chmod(0o755)
    return tmp_path / "shown"


def test_json_is_opened_indented_below_its_reasons_and_sent_on_one_line(
    shown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDIT", "s/-1/1/;1s/why/wherefore/")
    reasons = ["why", "two\nlines \x1b[2J"]

    edited = edit('{"price":1.10,"n":-1}', {"EDITOR": str(shown.parent / "editor")}, reasons)

    assert shown.read_text() == (
        '# why\n# two\n# lines \\x1b[2J\n{\n  "price": 1.10,\n  "n": -1\n}'
    )
    assert edited == '{"price": 1.10, "n": 1}'


@pytest.mark.parametrize("body", ['{"n": 1}', "# text", "text"])
def test_what_only_lost_its_comments_is_unchanged(
    shown: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    monkeypatch.setenv("EDIT", "/^# why/d")

    assert edit(body, {"EDITOR": str(shown.parent / "editor")}, ["why"]) is None


@pytest.mark.parametrize(
    ("body", "change", "edited"),
    [("# a\nold", "s/old/new/", "# a\nnew"), ('{"n": 1}', "s/1/,/", '{\n  "n": ,\n}')],
)
def test_what_is_no_json_stays_text(
    shown: Path, monkeypatch: pytest.MonkeyPatch, body: str, change: str, edited: str
) -> None:
    monkeypatch.setenv("EDIT", change)

    assert edit(body, {"EDITOR": str(shown.parent / "editor")}, ["why"]) == edited
