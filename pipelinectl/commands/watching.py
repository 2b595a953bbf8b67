"""`--watch`: what a command shows, drawn anew on the terminal until Ctrl-C."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
import time
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from pipelinectl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

Watch = Annotated[
    bool,
    typer.Option("--watch", help="Show it again every few seconds, at a terminal; Ctrl-C ends it."),
]

SECONDS = 5.0
_HOME, _END_OF_LINE, _END_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


class _Page(io.StringIO):
    """What is written before any of it is shown: for a terminal, and as wide."""

    def isatty(self) -> bool:
        """It will be on one."""
        return True


def show(
    draw: Callable[[], None], *, watch: bool, as_json: bool = False, every: float = SECONDS
) -> None:
    """Have `draw` print once, or with `watch` again and again, `every` so many seconds.

    Raises:
        UsageError: it is to be watched where there is no terminal, or as JSON.
    """
    if not watch:
        draw()
        return
    screen = terminal()
    if as_json or not screen.isatty():
        msg = "--watch draws on a terminal: leave out --json, and do not pipe it"
        raise UsageError(msg)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            _draw(draw, every, screen)
            time.sleep(every)
    screen.write("\n")


def terminal() -> TextIO:
    """Where it is drawn, if that is a terminal."""
    return sys.stdout


def _draw(draw: Callable[[], None], every: float, screen: TextIO) -> None:
    """Draw over what is there, and no more than there is room for."""
    page = _Page()
    with contextlib.redirect_stdout(page), contextlib.redirect_stderr(page):
        draw()
    height = shutil.get_terminal_size().lines
    head = f"every {every:.0f} s, last at {time.strftime('%H:%M:%S')}; Ctrl-C ends it"
    lines = [head, "", *page.getvalue().splitlines()]
    if len(lines) > height:
        lines = [*lines[: height - 1], f"… {len(lines) - height + 1:,} more lines"]
    drawn = "\n".join(f"{line}{_END_OF_LINE}" for line in lines)
    screen.write(f"{_HOME}{drawn}{_END_OF_SCREEN}")
    screen.flush()
