"""Every command that prints a table, on terminals of several widths, and piped."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from rich.console import Console

from tests.integration.pipelinectl.giving_up import give_up
from tests.unit.pipelinectl.stories import Story

if TYPE_CHECKING:
    from tests.integration.pipelinectl.conftest import Deployed
    from tests.unit.pipelinectl.stories import Told

LONG = "7f3c2b1a-1111-2222-3333-4444555566"
WIDE = "注文データの処理に失敗しました"

COMMANDS = {
    "items": ("items",),
    "dlq list": ("dlq", "list"),
    "dlq redrive --dry-run": ("dlq", "redrive", "--all", "--dry-run"),
    "dlq show": ("dlq", "show", f"{LONG}07"),
    "objects list": ("objects", "list"),
    "executions list": ("executions", "list"),
    "status": ("status",),
}


@pytest.fixture
def stored(deployed: Deployed, told: Told) -> Deployed:
    """A pipeline with long ids, wide characters and many rows of everything."""
    told.stories.extend(Story(f"{LONG}{n:02}", ()) for n in range(12))
    for n in range(12):
        give_up(deployed, message_id=f"{LONG}{n:02}", error_type=f"A{'Long' * 8}Error")
        deployed.table.put_item(
            Item={"execution_id": f"test-{LONG}{n:02}", "data_source": WIDE * 3, "note": WIDE}
        )
        deployed.catalog.put_item(
            Item={
                "object": f"test-input/input/{WIDE * 3}{n}.csv",
                "bucket": "test-input",
                "key": f"input/{WIDE * 3}{n}.csv",
                "state": "failed",
                "reason": {"type": "E", "message": WIDE * 9},
                "updated_at": datetime.now(UTC).isoformat(),
            }
        )
    return deployed


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_no_line_is_wider_than_the_terminal(
    stored: Deployed, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    for width in (80, 60, 40):
        screen = io.StringIO()
        console = Console(file=screen, width=width, force_terminal=True, color_system=None)
        notes = Console(file=io.StringIO())
        consoles = {False: console, True: notes}
        monkeypatch.setattr(
            "pipelinectl.commands.output._console", lambda *, stderr, of=consoles: of[stderr]
        )

        assert stored.run(*command).exit_code == 0

        lines = screen.getvalue().splitlines()
        assert lines
        assert [line for line in lines if cell_len(line) > width] == []


LISTS = {name: COMMANDS[name] for name in COMMANDS if name.endswith("list")} | {
    "items": ("items",),
    "items --count": ("items", "--count"),
    "status": ("status",),
}


class Terminal(io.StringIO):
    """What a command writes to, as if it were a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("command", LISTS.values(), ids=LISTS)
def test_a_list_is_watched_until_ctrl_c(
    stored: Deployed, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    screen = Terminal()
    monkeypatch.setattr("pipelinectl.commands.watching.time.sleep", pause)
    monkeypatch.setattr("pipelinectl.commands.watching.terminal", lambda: screen)

    result = stored.run(*command, "--watch")

    assert (result.exit_code, result.stderr) == (0, "")
    assert screen.getvalue().count("Ctrl-C ends it") == 3
    drawn = screen.getvalue().split("\x1b[H")[1:]
    assert all(len(one.splitlines()) <= 24 for one in drawn)


@pytest.mark.parametrize("command", LISTS.values(), ids=LISTS)
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_what_is_piped_cannot_be_watched(
    deployed: Deployed, command: tuple[str, ...], options: tuple[str, ...]
) -> None:
    result = deployed.run(*command, "--watch", *options)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "--watch draws on a terminal" in result.stderr


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_what_is_piped_is_neither_cut_nor_padded(
    stored: Deployed, command: tuple[str, ...]
) -> None:
    output = stored.run(*command).stdout

    assert "…" not in output
    assert [line for line in output.splitlines() if line != line.rstrip()] == []
