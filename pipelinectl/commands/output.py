"""Where output goes: results to stdout, everything said about the work to stderr."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipelinectl.exact_json import dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from rich.console import Console, RenderableType

    from localcloud.supervisor import ProcessStatus
    from pipelinectl.dead_letters import DeadLetter
    from pipelinectl.executions import Execution
    from pipelinectl.items import Item


# What tables are laid out for where there is no terminal to ask.
PIPED_WIDTH = 100


def out() -> Console:
    """Console of results."""
    return _console(stderr=False)


def err() -> Console:
    """Console of progress, notes and errors."""
    return _console(stderr=True)


def print_json(document: object) -> None:
    """Write one JSON document to stdout."""
    sys.stdout.write(dumps(document) + "\n")


def print_json_line(document: object) -> None:
    """Write one JSON document on a line of its own, at once: for output that has no end."""
    sys.stdout.write(dumps(document, indent=None) + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Say something about the work in one dim line."""
    err().print(text, style="dim", markup=False, soft_wrap=True)


def _console(*, stderr: bool) -> Console:
    # Rich takes a tenth of a second to import, which --json and --version need not wait for.
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPED_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, emoji=False)


_KIB = 1024
_MINUTE = 60
_HOUR = 3600
_DAY = 86400
_LONG_MILLISECONDS = 1
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def duration(seconds: float | None) -> str:
    """A duration with the digits that matter: `12 ms`, `3.42 s`, `2 min 05 s`, `1 h 02 min`."""
    match seconds:
        case None:
            return ""
        case _ if seconds < _LONG_MILLISECONDS:
            return f"{seconds * 1000:.0f} ms"
        case _ if seconds < _MINUTE:
            return f"{seconds:.2f} s"
        case _ if seconds < _HOUR:
            return f"{int(seconds // _MINUTE)} min {int(seconds % _MINUTE):02} s"
        case _:
            return f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE):02} min"


def age(moment: datetime, now: datetime) -> str:
    """How long ago `moment` was, in its largest unit: `5 s`, `12 min`, `3 h`, `8 d`."""
    seconds = max(0, int((now - moment).total_seconds()))
    for unit, length in (("d", _DAY), ("h", _HOUR), ("min", _MINUTE)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def size(count: int) -> str:
    """Bytes: `512 B`, `1.5 KiB`, `3.0 MiB`, `2.0 GiB`."""
    if count < _KIB:
        return f"{count} B"
    if count < _KIB**2:
        return f"{count / _KIB:.1f} KiB"
    if count < _KIB**3:
        return f"{count / _KIB**2:.1f} MiB"
    return f"{count / _KIB**3:.1f} GiB"


def clock(moment: datetime) -> str:
    """Local time of day with its date, to the second."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def shorten(text: str, width: int) -> str:
    """`text` on one line and at most `width` characters long."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def visible(text: str) -> str:
    """`text` with escapes for what a terminal would obey, or not show: anybody may have made it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def bar(start: float, end: float, total: float, width: int) -> str:
    """A bar of `width` cells for the part from `start` to `end` of `total`, to an eighth of a cell.

    However short the part is, something of it is seen.
    """
    if total <= 0:
        return _EIGHTHS[1] + " " * (width - 1)
    first = min(int(start / total * width), width - 1)
    eighths = max(1, round((min(end, total) / total * width - first) * 8))
    full, rest = divmod(min(eighths, (width - first) * 8), 8)
    filled = _EIGHTHS[8] * full + (_EIGHTHS[rest] if rest else "")
    return (" " * first + filled).ljust(width)


def counted(count: int, noun: str) -> str:
    """A count with its noun: `1 item`, `2,000 items`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


@contextmanager
def progress(what: str, total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Yields a function that takes how many more of `total` are done."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import Progress

    with Progress(console=err(), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


@contextmanager
def transfer(what: str, total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Yields a function that takes how many more of `total` bytes have come or gone."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=err(), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


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


_DOCUMENT_WIDTH = 160
_ID_WIDTH = 8
_GAP = 2


def items_table(items: Iterable[Item]) -> Table:
    """One line an item; what was made of the record is cut to the width there is."""
    table = _table("execution_id", "data_source", "type", "processed")
    table.expand = True
    table.add_column("transformed", no_wrap=True, overflow="ellipsis", ratio=1)
    for item in items:
        table.add_row(
            Text(visible(item.execution_id)),
            Text(visible(item.text("data_source"))),
            Text(visible(item.text("processing_type"))),
            Text(visible(item.text("processed_at")[5:19].replace("T", " "))),
            Text(visible(shorten(_transformed(item), _DOCUMENT_WIDTH)), style="dim"),
        )
    return table


def _transformed(item: Item) -> str:
    """What was made of the record, or where that lies if it is too large for an item."""
    match item.attributes.get("transformed_data_pointer"):
        case {"bucket": bucket, "key": key, "size": Decimal() as count}:
            return f"{size(int(count))} in s3://{bucket}/{key}"
    return dumps(item.attributes.get("transformed_data"), indent=None)


def executions_table(executions: Iterable[Execution]) -> Table:
    """One line an execution; its name is enough for the next command, ARNs are long."""
    table = _table("name", "status", "started", "took")
    for execution in executions:
        table.add_row(
            execution.name,
            Text(execution.status, style=status_style(execution.status)),
            clock(execution.started_at),
            duration(execution.seconds),
        )
    return table


def reasons_table(groups: Iterable[tuple[str, str, int]]) -> Table:
    """How many dead letters there are of each stage and error type."""
    table = _table("dead letters", "stage", "error type")
    table.columns[0].justify = "right"
    for stage, error_type, count in groups:
        table.add_row(f"{count:,}", stage, error_type)
    return table


def render_dead_letters(letters: Iterable[DeadLetter], now: datetime) -> Iterator[RenderableType]:
    """One line a dead letter, with the beginning of its message id, and its reasons below."""
    rows = [(_dead_letter_cells(letter, now), letter) for letter in letters]
    header = ("message", "execution_id", "stage", "error type", "tries", "age")
    cells_of = [cells for cells, _ in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells_of, strict=True)]
    yield _line(header, widths, "dim")
    for cells, letter in rows:
        yield _line(cells, widths)
        for reason in letter.errors or (letter.error_message,):
            yield Padding(Text(reason, style="yellow"), (0, 0, 0, _ID_WIDTH + _GAP))


def _dead_letter_cells(letter: DeadLetter, now: datetime) -> tuple[str, ...]:
    return (
        letter.message_id[:_ID_WIDTH],
        letter.execution_id or "",
        letter.stage,
        letter.error_type,
        "" if letter.attempts is None else str(letter.attempts),
        age(letter.failed_at, now),
    )


def _line(cells: Sequence[str], widths: Sequence[int], style: str = "") -> Text:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return Text((" " * _GAP).join(padded).rstrip(), style=style)


def processes_table(statuses: Sequence[ProcessStatus], now: float) -> Table:
    """One line a process of the local cloud."""
    table = _table("process", "state", "pid", "port", "restarts", "since")
    for status in statuses:
        running = status.state == "running"
        table.add_row(
            status.name,
            Text(status.state, style="green" if running else "yellow"),
            "" if status.pid is None else str(status.pid),
            str(status.port),
            str(status.restarts),
            "" if status.since is None else duration(now - status.since),
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", show_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    return table


_STYLES = {
    "SUCCEEDED": "green",
    "RUNNING": "cyan",
    "RETRYING": "yellow",
    "FAILED": "red",
    "TIMED_OUT": "red",
    "STOPPED": "red",
    "CANCELLED": "yellow",
}


def status_style(status: str) -> str:
    """Colour of a status of an operation or an execution."""
    return _STYLES.get(status, "default")
