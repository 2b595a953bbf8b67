"""Items, executions, dead letters and processes as tables."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipelinectl import exact_json
from pipelinectl.rendering.formatting import age, clock, duration, shorten, size, visible
from pipelinectl.rendering.timeline import status_style

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from rich.console import RenderableType

    from localcloud.supervisor import ProcessStatus
    from pipelinectl.dead_letters import DeadLetter
    from pipelinectl.executions import Execution
    from pipelinectl.items import Item

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
    return exact_json.dumps(item.attributes.get("transformed_data"), indent=None)


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
