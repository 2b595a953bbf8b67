"""`pipelinectl record`: the life of one record, as a story, or as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.padding import Padding
from rich.text import Text

from pipelinectl import record as lives
from pipelinectl.commands.context import JsonFlag, open_pipeline
from pipelinectl.commands.dlq import document as letter_document
from pipelinectl.commands.output import (
    clock,
    duration,
    facts,
    note,
    print_json,
    print_parts,
    visible,
)
from pipelinectl.objects import reason_of

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from pipelinectl.audit import Line
    from pipelinectl.deliveries import Delivery, StageOutcome
    from pipelinectl.record import Life

_INDENT = (0, 0, 0, 2)
_GOOD, _BAD, _UNSURE = "green", "red", "yellow"
_STYLES = {
    "stored": _GOOD,
    "ok": _GOOD,
    "dead letter": _BAD,
    "rejected": _BAD,
    "failed": _BAD,
    "crashed": _BAD,
    "discarded": _BAD,
}


def record(
    ctx: typer.Context,
    reference: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="execution_id, record_id, id of a message or of a dead letter, or the beginning "
            "of one; an object as input/KEY, direct/KEY, s3://bucket/key, or the id of an upload.",
        ),
    ],
    *,
    executions: Annotated[
        int,
        typer.Option(
            "--executions",
            min=0,
            help="Read the inputs of so many executions, at most, to find earlier deliveries.",
        ),
    ] = lives.EXECUTIONS,
    as_json: JsonFlag = False,
) -> None:
    """Tell the life of one record: deliveries, stages, item, dead letters, what operators did.

    Its item, a dead letter and operators' audit lines name executions. Deliveries that left none
    of these are looked for in the inputs of executions that began when it was sent, or sent again;
    where the search ends at a bound, that is said. With --json: one object with "execution_id",
    "state", "deliveries", "item", "dead_letters", "acts", "object" and "searched".

    Examples:
    - `pipelinectl record 3f2a`
    - `pipelinectl record input/orders.csv --json`
    """
    life = open_pipeline(ctx, quiet=as_json).records.life(reference, executions=executions)
    if as_json:
        print_json(document(life))
        return
    print_parts(render_life(life))
    for bound in life.searched.bounds:
        note(bound)


def document(life: Life) -> dict[str, Any]:
    """A life as JSON."""
    return {
        "execution_id": life.execution_id,
        "state": life.state,
        "message_ids": life.message_ids,
        "deliveries": [dataclasses.asdict(one) for one in life.deliveries],
        "item": life.item.attributes if life.item else None,
        "dead_letters": [letter_document(letter) for letter in life.dead_letters],
        "acts": life.acts,
        "object": life.entry,
        "searched": dataclasses.asdict(life.searched),
    }


def render_life(life: Life) -> Iterator[RenderableType]:
    """Where the record is, then what happened to it, in order of time."""
    yield Text.assemble(
        (visible(life.execution_id), "bold"), "  ", (life.state, _STYLES.get(life.state, _UNSURE))
    )
    yield _facts(life)
    for _, title, content in _chapters(life):
        yield Text.assemble("\n", title)
        if content is not None:
            yield Padding(content, _INDENT)


def _facts(life: Life) -> Table:
    item, entry = life.item, life.entry
    return facts(
        {
            "messages": ", ".join(map(visible, life.message_ids)),
            "object": f"s3://{visible(entry['object'])} ({entry['state']})" if entry else "",
            "row": item.text("row") if item else "",
            "reason": visible(reason_of(entry)) if entry else "",
            "source": visible(item.text("data_source")) if item else "",
            "type": visible(item.text("processing_type")) if item else "",
            "stored": item.text("stored_at") if item else "",
        }
    )


Chapter = tuple[str, Text, "RenderableType | None"]


def _chapters(life: Life) -> list[Chapter]:
    """What happened, each with its time in ISO-8601, a title, and what there is to say of it."""
    chapters = [
        *map(_delivery, life.deliveries),
        *(_act(line) for line in life.acts),
    ]
    for letter in life.dead_letters:
        title = Text.assemble(clock(letter.failed_at), "  dead letter ", letter.message_id)
        why = Text("\n".join(map(visible, letter.errors or (letter.error_message,))), _UNSURE)
        chapters.append((letter.failed_at.isoformat(), title, why))
    return sorted(chapters, key=lambda chapter: chapter[0])


def _delivery(one: Delivery) -> Chapter:
    when = clock(one.started_at) if one.started_at else "?"
    times = "" if one.receive_count is None else f", received {_times(one.receive_count)}"
    whence = f" from {one.queue}" if one.queue else ""
    title = Text.assemble(
        f"{when}  delivery of {visible(one.message_id or '?')}{whence}{times}: ",
        (one.fate, _STYLES.get(one.fate, _UNSURE)),
    )
    execution = Text(
        f"execution {one.name or one.arn} ({one.status or 'not kept any more'})", "dim"
    )
    lines = [execution, *(line for stage in one.stages for line in _stage(stage))]
    if one.failure:
        lines.append(Text(f"{one.failure.error_type}: {visible(one.failure.message)}", _BAD))
    began = one.started_at.isoformat() if one.started_at else ""
    return began, title, Text("\n").join(lines)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _stage(stage: StageOutcome) -> Iterator[Text]:
    took = ""
    if stage.ended_at is not None:
        took = f" in {duration((stage.ended_at - stage.started_at).total_seconds())}"
    yield Text.assemble(
        f"{stage.operation}: ",
        (stage.outcome, _STYLES.get(stage.outcome, _UNSURE)),
        f" {stage.error_type or ''}".rstrip(),
        (took, "dim"),
    )
    for reason in stage.reasons:
        yield Text(f"  {visible(reason)}", _UNSURE)


def _act(line: Line) -> Chapter:
    when = datetime.fromisoformat(line["at"])
    what = line["action"] + (", edited" if line.get("edited") else "")
    result = f", {line['result']}" if "result" in line else ""
    title = Text.assemble(f"{clock(when)}  {what}{visible(result)} ", (f"by {line['who']}", "dim"))
    said = [line[name] for name in ("note", "stage", "error_type") if name in line]
    if "new_message_id" in line:
        said.append(f"as message {line['new_message_id']}")
    return when.isoformat(), title, Text(visible(" · ".join(said))) if said else None
