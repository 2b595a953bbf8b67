"""Objects of the catalog: a list of them, and all of one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipelinectl.catalog import DONE, FAILED
from pipelinectl.objects import reference_to
from pipelinectl.rendering.formatting import age, clock, shorten, size, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from pipelinectl.catalog import Entry
    from pipelinectl.objects import ObjectPath
    from pipelinectl.rejects import Reject
    from pipelinectl.stack import Stack

_STYLES = {DONE: "green", FAILED: "red", "processing": "cyan", "deleted": "dim"}
_INDENT = (0, 0, 0, 2)
_CONTENT_WIDTH = 300
_GAP = "  "
_COUNTS = ("rows", "results", "rejects")
_HEADER = ("state", "size", *_COUNTS, "age")


def render_objects(
    entries: Sequence[Entry], stack: Stack, now: datetime
) -> Iterator[RenderableType]:
    """One line an object, its name last as it may be long, and below it why it failed."""
    rows = [_cells(entry, now) for entry in entries]
    widths = [max(map(len, column)) for column in zip(_HEADER, *rows, strict=True)]
    yield _line(_HEADER, widths, "object", "dim")
    for entry, cells in zip(entries, rows, strict=True):
        name = visible(reference_to(entry.path, stack))
        yield _line(cells, widths, name, _STYLES.get(entry.state, ""))
        if entry.reason:
            yield Padding(Text(visible(entry.reason), style="yellow"), _INDENT)


def _cells(entry: Entry, now: datetime) -> tuple[str, ...]:
    counts = (entry.counts.get(name) for name in _COUNTS)
    return (
        visible(entry.state),
        "" if entry.size is None else size(entry.size),
        *("" if count is None else f"{count:,}" for count in counts),
        _age(entry, now),
    )


def _line(cells: Sequence[str], widths: Sequence[int], name: str, style: str) -> Text:
    """State on the left in its style, numbers on the right, then the object's name."""
    state, *numbers = cells
    padded = [n.rjust(width) for n, width in zip(numbers, widths[1:], strict=True)]
    line = Text.assemble((state.ljust(widths[0]), style), _GAP, _GAP.join([*padded, name]))
    line.overflow = "fold"
    return line


def render_object(
    entry: Entry, results: ObjectPath, rejects: Sequence[Reject] | None, now: datetime
) -> Iterator[RenderableType]:
    """State, counts, where its results are, every reason, and rejected rows where wanted."""
    yield Text(visible(str(entry.path)), style="bold")
    yield _facts(entry, results, now)
    if reasons := entry.errors or (entry.reason,) * bool(entry.reason):
        yield from _part("reasons", Text("\n".join(map(visible, reasons)), style="yellow"))
    if rejects is not None:
        yield from _part("rejected rows", _rejects(rejects))


def _facts(entry: Entry, results: ObjectPath, now: datetime) -> Table:
    changed = _moment(entry)
    facts: dict[str, str | Text] = {
        "state": _state(entry),
        "changed": f"{clock(changed)} ({age(changed, now)} ago)" if changed else "",
        "size": "" if entry.size is None else size(entry.size),
        **{name: f"{count:,}" for name, count in entry.counts.items()},
        "results in": f"s3://{visible(str(results))}" if entry.counts else "",
        "manifest": f"s3://{visible(str(entry.manifest))}" if entry.manifest else "",
        "execution_id": visible(entry.text("execution_id")),
        "version": visible(entry.text("version_id")),
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if value:
            table.add_row(name, value if isinstance(value, Text) else Text(value))
    return table


def _rejects(rejects: Sequence[Reject]) -> Text:
    if not rejects:
        return Text("none", style="dim")
    text = Text()
    for reject in rejects:
        text.append(f"{visible(reject.place)}\n", style="bold")
        for reason in reject.reasons:
            text.append(f"  {visible(reason)}\n", style="yellow")
        text.append(f"  {visible(shorten(reject.raw, _CONTENT_WIDTH))}\n", style="dim")
    text.rstrip()
    return text


def _part(title: str, content: RenderableType) -> Iterator[RenderableType]:
    yield Text(f"\n{title}", style="bold")
    yield Padding(content, _INDENT)


def _state(entry: Entry) -> Text:
    return Text(visible(entry.state), style=_STYLES.get(entry.state, ""))


def _age(entry: Entry, now: datetime) -> str:
    moment = _moment(entry)
    return age(moment, now) if moment else ""


def _moment(entry: Entry) -> datetime | None:
    try:
        moment = datetime.fromisoformat(entry.text("updated_at"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
