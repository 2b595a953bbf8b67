"""Work in steps: say what begins, show that it goes on, say how long it took."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipelinectl.rendering.formatting import duration, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

_SPINNER_WIDTH = 4


@contextmanager
def step(console: Console, what: str) -> Iterator[Callable[[str], None]]:
    """A step of some seconds: a spinner in a terminal, one line when it is done.

    Yields a function that takes the latest detail, which only a terminal shows.
    """
    began = time.monotonic()
    with console.status(what) as status:

        def detail(text: str) -> None:
            # One line, or the spinner would leave the rest of it behind.
            room = max(console.width - len(what) - _SPINNER_WIDTH, 1)
            status.update(f"{what} [dim]{_escaped(shorten(text, room))}[/dim]")

        yield detail
    console.print(f"[green]✓[/green] {what} [dim]({duration(time.monotonic() - began)})[/dim]")


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
