"""All of one dead letter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipelinectl import exact_json
from pipelinectl.rendering.formatting import age, clock, visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from rich.console import RenderableType

    from pipelinectl.dead_letters import DeadLetter
    from pipelinectl.message_attributes import Attributes
    from pipelinectl.redelivery import Redelivery

_INDENT = (0, 0, 0, 2)
_SHORT = 8  # of a message id, as the list shows it


def render_dead_letter(
    letter: DeadLetter, again: Redelivery, now: datetime
) -> Iterator[RenderableType]:
    """Where and when, every reason, body, the producer's attributes, and how to send it `again`."""
    yield Text(f"dead letter {letter.message_id}", style="bold")
    yield _facts(letter, again, now)
    yield from _part("reasons", _reasons(letter))
    yield from _part("body", Text(_readable(letter.body)))
    if producers := letter.producers_attributes:
        yield from _part("the producer's attributes", _attributes(producers))
    yield from _part("send it again", _remedies(letter))


def _part(title: str, content: RenderableType) -> Iterator[RenderableType]:
    yield Text(f"\n{title}", style="bold")
    yield Padding(content, _INDENT)


def _facts(letter: DeadLetter, again: Redelivery, now: datetime) -> Table:
    facts = {
        "execution_id": again.execution_id or "",
        "stage": letter.stage,
        "error type": letter.error_type,
        "tries": "" if letter.attempts is None else str(letter.attempts),
        "given up": f"{clock(letter.failed_at)} ({age(letter.failed_at, now)} ago)",
        "message id": letter.original_message_id,
        "execution": letter.durable_execution_arn or "",
        "request": letter.request_id or "",
        "payload": f"s3://{visible(str(letter.payload))}" if letter.payload else "",
    }
    return _grid({name: value for name, value in facts.items() if value})


def _reasons(letter: DeadLetter) -> Text:
    return Text("\n".join(letter.errors or (letter.error_message,)), style="yellow")


def _readable(body: str) -> str:
    """JSON over several lines with every digit; anything else as it is."""
    try:
        return exact_json.dumps(exact_json.parse(body))
    except exact_json.NotJsonError:
        return body


def _attributes(attributes: Attributes) -> Table:
    return _grid(
        {
            name: value.get("StringValue") or f"{len(value['BinaryValue'])} bytes"
            for name, value in attributes.items()
        }
    )


def _remedies(letter: DeadLetter) -> Table:
    command = f"pipelinectl dlq redrive --id {letter.message_id[:_SHORT]}"
    return _grid({"as it is": command, "mended": f"{command} --edit"})


def _grid(rows: dict[str, str]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(value))
    return table
