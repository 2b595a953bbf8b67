"""Where output goes: results to stdout, everything said about the work to stderr."""

from __future__ import annotations

import re
import sys
import time
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar, cast

from rich.cells import cell_len
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from pipelinectl.exact_json import dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from rich.console import (
        Console,
        ConsoleOptions,
        JustifyMethod,
        RenderableType,
        RenderResult,
    )
    from rich.table import Column


T = TypeVar("T")

# Where there is no terminal nothing is cut or wrapped: whoever reads it has its own width, or none.
PIPED_WIDTH = 1_000_000


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


def print_parts(parts: Iterable[RenderableType]) -> None:
    """Print results, one below the other."""
    console = out()
    for part in parts:
        console.print(part)


def note(text: str) -> None:
    """Say something about the work in one dim line."""
    err().print(text, style="dim", markup=False, soft_wrap=True)


def _console(*, stderr: bool) -> Console:
    # Rich takes a tenth of a second to import, which --json and --version need not wait for.
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty():
        return Console(stderr=stderr, highlight=False, emoji=False)
    file = cast("IO[str]", _Unpadded(stream))
    return Console(file=file, stderr=stderr, width=PIPED_WIDTH, highlight=False, emoji=False)


@dataclass(frozen=True)
class _Unpadded:
    """Where tables go that nobody looks at: without the blanks that fill their lines."""

    stream: IO[str]

    def write(self, text: str) -> int:
        return self.stream.write(_PADDING.sub("\n", text))

    def flush(self) -> None:
        self.stream.flush()

    def isatty(self) -> bool:
        return False


_PADDING = re.compile(r" +\n")
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


def counted_as(count: int, fate: str) -> str:
    """How many records became what: `3 stored`, `2 dead letters`."""
    return counted(count, fate) if fate == "dead letter" else f"{count:,} {fate}"


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


_GAP = 2
_ID_WIDTH = 20  # of the first column: an id's beginning, which is enough to name it
_LEAST_WIDTH = 9


class FittingTable(Table):
    """A table of plain lines, none of which is wider than the terminal.

    Where there is no room, what is wider than an id is cut first, then the id, then the widest;
    where no cell can be cut any more, columns are left out, those first that `spare` names first.
    The first column, which names the line, is always there.
    """

    def __init__(self, *, spare: Sequence[str] = (), gap: int = _GAP) -> None:
        padding = (0, gap - 1, 0, 1) if gap > 1 else (0, 1, 0, 0)
        super().__init__(box=None, padding=padding, pad_edge=False, header_style="dim")
        self._spare, self._gap = spare, gap
        self._below: dict[int, list[Text]] = {}

    def below(self, *notes: Text) -> None:
        """Have these below the row that was added last, a little to the right."""
        self._below[self.row_count - 1] = list(notes)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        fitted = copy(self)
        fitted.columns = _fitted(self.columns, self._spare, self._gap, options.max_width)
        if not self._below:
            yield from Table.__rich_console__(fitted, console, options)
            return
        whole = Table.__rich_console__(fitted, console, options)
        lines = Segment.split_lines(segment for segment in whole if isinstance(segment, Segment))
        for row, line in enumerate(lines, -1):  # the header is above the first row
            yield from (*line, Segment.line())
            for note in self._below.get(row, ()):
                yield Padding(note, (0, 0, 0, _NOTE_INDENT), expand=False)


_NOTE_INDENT = 10


def _fitted(columns: Sequence[Column], spare: Sequence[str], gap: int, width: int) -> list[Column]:
    """Those of `columns` that there is room for, each as wide as there is room."""
    kept = list(columns)
    out_first = [*spare, *(str(column.header) for column in reversed(columns[1:]))]
    for name in out_first:
        if width - gap * len(kept) >= sum(map(_least, enumerate(kept))):
            break
        kept = [kept[0], *(one for one in kept[1:] if str(one.header) != name)]
    least = [_least(one) for one in enumerate(kept)]
    widths = [min(_natural(column), width) for column in kept]
    over = sum(widths) + gap * len(kept) - width
    while over > 0 and (n := _to_cut(widths, least)) is not None:
        widths[n] -= 1
        over -= 1
    return [replace(column, width=one) for column, one in zip(kept, widths, strict=True)]


def _to_cut(widths: Sequence[int], least: Sequence[int]) -> int | None:
    """Which is cut next: what is wider than an id, then the id, then the widest."""
    left = [n for n, width in enumerate(widths) if width > least[n]]
    if not left:  # a terminal that is narrower than an id
        return 0 if widths[0] > 1 else None
    widest = max(left, key=lambda n: widths[n])
    return 0 if 0 in left and widths[widest] <= widths[0] else widest


def _natural(column: Column) -> int:
    return max(_cell_width(cell) for cell in (column.header, *column.cells))


def _cell_width(cell: RenderableType) -> int:
    return cell_len(Text.from_markup(cell).plain if isinstance(cell, str) else str(cell))


def _least(numbered: tuple[int, Column]) -> int:
    number, column = numbered
    return min(_natural(column), _LEAST_WIDTH if number else _ID_WIDTH)


def table(
    *columns: str, spare: Sequence[str] = (), right: Collection[str] = (), gap: int = _GAP
) -> FittingTable:
    """A table under these headings, those `right` to the right; `spare` can be missed, in order."""
    found = FittingTable(spare=spare, gap=gap)
    for column in columns:
        justify: JustifyMethod = "right" if column in right else "left"
        found.add_column(column, justify=justify, no_wrap=True, overflow="ellipsis")
    return found


def groups_table(noun: str, groups: Iterable[tuple[str, int]]) -> Table:
    """How many there are of each message group; those of none come under no name."""
    found = table(noun, "group")
    found.columns[0].justify = "right"
    for group, count in groups:
        found.add_row(f"{count:,}", Text(visible(group)) if group else Text("none", style="dim"))
    return found


def groups_document(name: str, groups: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    """The same as JSON, the number by this name; those of none have null."""
    return [{"message_group_id": group or None, name: count} for group, count in groups]


def facts(rows: Mapping[str, str | Text]) -> Table:
    """What is known of one thing, a line for each name; what is empty is left out."""
    found = Table(box=None, show_header=False, pad_edge=False)
    found.add_column(style="dim", no_wrap=True)
    found.add_column(overflow="fold")
    for name, value in rows.items():
        if value:
            found.add_row(name, value if isinstance(value, Text) else Text(value))
    return found


def titled(title: str, content: RenderableType) -> Iterator[RenderableType]:
    """A part of all that is known of one thing, below its title."""
    yield Text(f"\n{title}", style="bold")
    yield Padding(content, (0, 0, 0, 2), expand=False)


@dataclass(frozen=True)
class Listed(Generic[T]):
    """What a list shows; `cut` if there is more."""

    found: list[T]
    cut: bool


def listed(found: Callable[[int | None], Iterable[T]], limit: int | None) -> Listed[T]:
    """The first `limit` of what `found` answers, which takes how many are wanted; None is all.

    One more is asked for, to know whether there is any.
    """
    if limit is None:
        return Listed(list(found(None)), cut=False)
    some = list(found(limit + 1))
    return Listed(some[:limit], len(some) > limit)


def tell_count(shown: Listed[Any], noun: str, of: str = "") -> None:
    """Say how many a list shows: on stdout, where it is read, if there are more."""
    if shown.cut:
        count = counted(len(shown.found), noun)
        sys.stdout.write(f"cut after {count}{of}: --limit shows more\n")
    else:
        note(counted(len(shown.found), noun))
