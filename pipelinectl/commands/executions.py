"""The timeline of an execution as a tree with bars, and as JSON."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer
from rich.text import Text

from pipelinectl.commands import watching
from pipelinectl.commands.context import (
    TIME,
    JsonFlag,
    Limit,
    Note,
    limit_of,
    moment,
    open_pipeline,
)
from pipelinectl.commands.output import (
    bar,
    clock,
    counted,
    counted_as,
    duration,
    listed,
    note,
    out,
    print_json,
    print_parts,
    shorten,
    size,
    table,
    tell_count,
)
from pipelinectl.commands.send import delivery_document, refusal, send_all, untold
from pipelinectl.commands.watching import Watch
from pipelinectl.deliveries import fates_in
from pipelinectl.errors import NotFoundError
from pipelinectl.executions import Execution, messages, subjects, unless_gone
from pipelinectl.redrive import results_of
from pipelinectl.timeline import FAILED, NoHistoryError, build_timeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from pipelinectl.audit import Subject
    from pipelinectl.commands.context import Pipeline
    from pipelinectl.deliveries import Fate
    from pipelinectl.timeline import Failure, Operation, Payload, Timeline


_STYLES = {
    "SUCCEEDED": "green",
    "RUNNING": "cyan",
    "RETRYING": "yellow",
    "FAILED": "red",
    "TIMED_OUT": "red",
    "STOPPED": "red",
    "CANCELLED": "yellow",
}

_COLUMNS: tuple[tuple[str, Literal["left", "right"]], ...] = (
    ("operation", "left"),
    ("type", "left"),
    ("start", "right"),
    ("took", "right"),
    ("try", "right"),
    ("", "left"),
    ("status", "left"),
    ("in → out", "left"),
)
_SPARE = ("", "in → out", "type", "try", "start")
_BAR_COLUMN = 5
_BAR_WIDTHS = (8, 48)
_GAP = 1
_NAME_WIDTH = 32


def status_style(status: str) -> str:
    """Colour of a status of an operation or an execution."""
    return _STYLES.get(status, "default")


def executions_table(
    executions: Iterable[Execution], counts: Mapping[str, Counts] | None = None
) -> Table:
    """One line an execution; its name is enough for the next command, ARNs are long.

    `counts`, by ARN, are how many of its records became what.
    """
    names = ("name", "status", "started", "took", *(["records"] if counts else []))
    found = table(*names, spare=("took", "started"))
    for execution in executions:
        cells = (
            execution.name,
            Text(execution.status, style=status_style(execution.status)),
            clock(execution.started_at),
            duration(execution.seconds),
        )
        more = [_counts(counts.get(execution.arn))] if counts else []
        found.add_row(*cells, *more)
    return found


_FATE_STYLES = {"stored": "green", "dead letter": "red", "running": "cyan"}


def _counts(counts: Counts) -> Text:
    told = [
        (counted_as(count, fate), _FATE_STYLES.get(fate, "yellow")) for fate, count in _by(counts)
    ]
    return Text(", ").join(Text(*one) for one in told)


def _by(counts: Counts) -> list[tuple[str, int]]:
    return sorted((counts or {}).items(), key=lambda one: -one[1])


def render_timeline(timeline: Timeline, arn: str, width: int) -> Iterator[RenderableType]:
    """Heading, operations with bars in `width` columns, and the errors in full."""
    yield _heading(timeline, arn)
    yield _operations(timeline, width)
    yield from _failures(timeline)


def timeline_document(timeline: Timeline, arn: str) -> dict[str, Any]:
    """The timeline as JSON: times in ISO 8601, offsets and durations in seconds, sizes in bytes."""
    return {
        "durable_execution_arn": arn,
        "name": timeline.name,
        "status": timeline.status,
        "started_at": timeline.started_at,
        "ended_at": timeline.ended_at,
        "duration_seconds": timeline.seconds,
        "invocations": timeline.invocations,
        "failed_invocations": timeline.failed_invocations,
        "error": _failure_document(timeline.failure),
        "failed_in": timeline.failed_in,
        "input_bytes": _bytes(timeline.payload_in),
        "result_bytes": _bytes(timeline.payload_out),
        "metered": {"total": timeline.metered.total(), "by_kind": dict(timeline.metered)},
        "operations": [_operation_document(timeline, op) for op in timeline.operations],
    }


def _heading(timeline: Timeline, arn: str) -> Text:
    text = Text.assemble(
        (timeline.status, f"bold {status_style(timeline.status)}"),
        f" in {duration(timeline.seconds)}"
        if timeline.ended_at
        else f" for {duration(timeline.seconds)} so far",
        f", {counted(timeline.metered.total(), 'operation')}"
        f", {counted(timeline.invocations, 'invocation')}",
        (_failed_invocations(timeline), "red"),
        f", {_sizes(timeline.payload_in, timeline.payload_out)}",
        (f"\n{_by_kind(timeline)}\n{arn}", "dim"),
    )
    text.no_wrap, text.overflow = True, "fold"
    return text


def _by_kind(timeline: Timeline) -> str:
    return ", ".join(counted(count, kind) for kind, count in timeline.metered.most_common())


def _failed_invocations(timeline: Timeline) -> str:
    return f" ({timeline.failed_invocations} failed)" if timeline.failed_invocations else ""


def _operations(timeline: Timeline, width: int) -> Table:
    rows = [
        _cells(timeline, prefix, operation)
        for prefix, operation in _with_branches(timeline.operations, "")
    ]
    right = [name for name, justify in _COLUMNS if justify == "right"]
    found = table(*(name for name, _ in _COLUMNS), spare=_SPARE, right=right, gap=_GAP)
    bar_width = _bar_width(rows, width)
    bars = (_bar(timeline, operation, bar_width) for _, operation in timeline.walk())
    for cells, drawn in zip(rows, bars, strict=True):
        found.add_row(*cells[:_BAR_COLUMN], drawn, *cells[_BAR_COLUMN:])
    return found


def _bar_width(rows: list[tuple[Text, ...]], width: int) -> int:
    """What is left of `width` when the columns beside the bars have what they need."""
    names = [name for name, _ in _COLUMNS]
    del names[_BAR_COLUMN]
    needed = sum(
        max(len(name), *(len(row[column]) for row in rows), 0) + _GAP
        for column, name in enumerate(names)
    )
    return min(max(width - needed - _GAP, _BAR_WIDTHS[0]), _BAR_WIDTHS[1])


def _cells(timeline: Timeline, prefix: str, operation: Operation) -> tuple[Text, ...]:
    start, end = _span(timeline, operation)
    return (
        Text.assemble((prefix, "dim"), shorten(operation.name, _NAME_WIDTH)),
        Text(operation.kind, style="dim"),
        Text(duration(start)),
        Text(duration(end - start)),
        Text(str(operation.attempts), style="yellow" if operation.attempts > 1 else "dim"),
        Text(operation.status, style=status_style(operation.status)),
        Text(_sizes(operation.payload_in, operation.payload_out), style="dim"),
    )


def _bar(timeline: Timeline, operation: Operation, width: int) -> Text:
    start, end = _span(timeline, operation)
    drawn = bar(start, end, timeline.seconds, width)
    return Text(drawn, style=status_style(operation.status))


def _span(timeline: Timeline, operation: Operation) -> tuple[float, float]:
    end = operation.ended_at or timeline.ended_at or timeline.last_event_at
    return timeline.offset(operation.started_at), timeline.offset(end)


def _with_branches(
    operations: tuple[Operation, ...], indent: str, *, top: bool = True
) -> Iterator[tuple[str, Operation]]:
    for operation in operations:
        last = operation is operations[-1]
        branch = "" if top else ("└ " if last else "├ ")
        yield indent + branch, operation
        deeper = indent if top else indent + ("  " if last else "│ ")
        yield from _with_branches(operation.children, deeper, top=False)


def _failures(timeline: Timeline) -> Iterator[Text]:
    for _, operation in timeline.walk():
        if operation.failure:
            at = duration(_span(timeline, operation)[1])
            yield _failure_line(f"{operation.name} at {at}", operation.failure)
    if timeline.failure:
        yield _failure_line(f"execution {_where(timeline)}", timeline.failure)


def _where(timeline: Timeline) -> str:
    """Where the execution ended: a running operation at most hints at why."""
    name = timeline.failed_in
    if timeline.status == FAILED:
        return f"in {name}" if name else "in the handler"
    return f"while {name} ran" if name else "between operations"


def _failure_line(what: str, failure: Failure) -> Text:
    said = f"{failure.error_type}: {failure.message}"
    line = Text.assemble(("✗ ", "red"), f"{what}: ", (" ".join(said.split()), "red"))
    line.overflow = "fold"
    return line


def _sizes(payload_in: Payload | None, payload_out: Payload | None) -> str:
    if payload_in is None and payload_out is None:
        return ""
    return f"{_size(payload_in)} → {_size(payload_out)}"


def _size(payload: Payload | None) -> str:
    if payload is None:
        return "·"
    return ("≥ " if payload.truncated else "") + size(payload.size)


def _operation_document(timeline: Timeline, operation: Operation) -> dict[str, Any]:
    start, end = _span(timeline, operation)
    return {
        "id": operation.operation_id,
        "name": operation.name,
        "type": operation.kind,
        "status": operation.status,
        "start_seconds": start,
        "duration_seconds": end - start,
        "ended": operation.ended_at is not None,
        "attempts": operation.attempts,
        "function_name": operation.function_name,
        "error": _failure_document(operation.failure),
        "input_bytes": _bytes(operation.payload_in),
        "result_bytes": _bytes(operation.payload_out),
        "operations": [_operation_document(timeline, child) for child in operation.children],
    }


def _failure_document(failure: Failure | None) -> dict[str, str] | None:
    if failure is None:
        return None
    return {"type": failure.error_type, "message": failure.message}


def _bytes(payload: Payload | None) -> int | None:
    return None if payload is None else payload.size


app = typer.Typer(
    name="executions", no_args_is_help=True, help="See, stop and retry durable executions."
)

Counts: TypeAlias = "Mapping[Fate, int] | None"
"""How many records became what; None where that is not known."""

_SHOWN = 20
COUNTED = 20
_AT_ONCE = 4
_MAY_COME_BACK = (
    "the same messages may also come back by themselves after the queue's visibility timeout: "
    "harmless, they are the same records"
)

Reference = Annotated[
    str,
    typer.Argument(metavar="ARN", help="ARN or name of an execution, its beginning, or 'last'."),
]


class Status(StrEnum):
    """Statuses of a durable execution, in AWS's words."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    STOPPED = "STOPPED"
    PAUSING = "PAUSING"
    PAUSED = "PAUSED"
    DELETING = "DELETING"


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    status: Annotated[
        Status | None,
        typer.Option("--status", case_sensitive=False, help="Only executions with this status."),
    ] = None,
    since: Annotated[str | None, typer.Option("--since", help=f"Only begun since then: {TIME}")] = (
        None
    ),
    until: Annotated[str | None, typer.Option("--until", help="Only begun before then.")] = None,
    records: Annotated[
        bool | None,
        typer.Option(
            "--records/--no-records",
            help="Count the records of the first 20 by what became of them: reads the history of "
            "each; on by default, but not with --json.",
        ),
    ] = None,
    limit: Limit = None,
    watch: Watch = False,
    as_json: JsonFlag = False,
) -> None:
    """List durable executions, newest first, 20 of them unless --limit says how many.

    An execution that SUCCEEDED dealt with its records; what became of them stands beside it. With
    --json: an array of executions with ARN, name, status and times, and with --records how many
    records became what, null where that is not known: beyond the first 20 executions, of more than
    100 records, or of a history that is gone.

    Examples:
    - `pipelinectl executions list --status FAILED --since 2026-03-01`
    - `pipelinectl executions list --limit 1 --json`
    """
    pipeline = open_pipeline(ctx, quiet=as_json)
    executions = pipeline.executions
    statuses = (status.value,) if status else ()
    most = limit_of(limit, _SHOWN, as_json=as_json)
    began, before = moment("--since", since), moment("--until", until)
    counting = records if records is not None else not as_json
    known: dict[str, Counts] = {}

    def draw() -> None:
        newest = partial(executions.newest, statuses=statuses, since=began, until=before)
        shown = listed(lambda count: newest(limit=count), most)
        counts = counted_records(pipeline, shown.found[:COUNTED], known) if counting else {}
        if as_json:
            more = {"records": None} if counting else {}
            print_json([execution_document(one) | more | _of(counts, one) for one in shown.found])
            return
        if shown.found:
            out().print(executions_table(shown.found, counts))
        if counting and len(shown.found) > COUNTED:
            note(f"records are counted of the first {COUNTED} executions")
        tell_count(shown, "execution")

    watching.show(draw, watch=watch, as_json=as_json)


def _of(counts: Mapping[str, Counts], execution: Execution) -> dict[str, Any]:
    return {"records": counts[execution.arn]} if execution.arn in counts else {}


def counted_records(
    pipeline: Pipeline, executions: Sequence[Execution], known: dict[str, Counts]
) -> dict[str, Counts]:
    """How many records of each became what, as their histories tell; one request or some each.

    `known` are those of executions that have ended, by ARN, which are not read again.
    """

    def count(execution: Execution) -> Counts:
        events = unless_gone(lambda: list(pipeline.executions.history(execution.arn)))
        return fates_in(events or [], pipeline.stack.environment)

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="history") as pool:
        new = [one for one in executions if one.arn not in known]
        counts = dict(zip((one.arn for one in new), pool.map(count, new), strict=True))
    known |= {one.arn: counts[one.arn] for one in new if one.ended_at is not None}
    found = known | counts
    return {one.arn: found[one.arn] for one in executions}


@app.command()
def show(ctx: typer.Context, execution: Reference, *, as_json: JsonFlag = False) -> None:
    """Show the timeline of one durable execution: every operation, attempt and error.

    Operations are counted as AWS meters them and as 'cost' counts them: the execution itself, each
    attempt of a step, and so on. 'try' counts the starts of a step, and the tries of a chained
    invoke that was done again after a failure. With --json: one object; offsets and durations are
    in seconds, and 'metered' has the counts.

    Examples:
    - `pipelinectl executions show last`
    - `pipelinectl executions show "$ARN" --json`
    """
    executions = open_pipeline(ctx, quiet=as_json).executions
    arn = executions.resolve(execution)
    try:
        timeline = build_timeline(executions.history(arn))
    except NoHistoryError as error:
        msg = f"execution '{arn}': {error}: its retention period may be over"
        raise NotFoundError(msg) from error

    if as_json:
        print_json(timeline_document(timeline, arn))
    else:
        print_parts(render_timeline(timeline, arn, out().width))


@app.command()
def stop(
    ctx: typer.Context, execution: Reference, *, why: Note = None, as_json: JsonFlag = False
) -> None:
    """Stop a running durable execution for good.

    Its messages come back to the queue when their visibility timeout ends. Without its audit line
    nothing is stopped. With --json: the ARN
    and the time it stopped.

    Example:
    - `pipelinectl executions stop "$ARN"`
    """
    pipeline = open_pipeline(ctx, quiet=as_json, changes=True)
    executions = pipeline.executions
    arn = executions.resolve(execution)
    subject: Subject = {"durable_execution_arn": arn}
    stopped_at = executions.stop(arn, lambda: pipeline.audit.before("stop", [subject], why))
    if as_json:
        print_json({"durable_execution_arn": arn, "stopped_at": stopped_at})
    else:
        typer.echo(f"stopped {arn}")


@app.command()
def retry(
    ctx: typer.Context,
    execution: Reference,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Also if it succeeded; its items are written again.")
    ] = False,
    why: Note = None,
    as_json: JsonFlag = False,
) -> None:
    """Send all records of a failed durable execution again, as the same records.

    They go to the pipeline's internal queue, and not only those that failed: one that is an item
    already is written again, to the same key. Only for executions that are FAILED, TIMED_OUT or
    STOPPED. None is sent without its audit line. With --json: {"sent": N, "message_ids": [...],
    "refused": [...]}.

    Examples:
    - `pipelinectl executions retry last`
    - `pipelinectl executions retry "$ARN" --json`
    """
    pipeline = open_pipeline(ctx, quiet=as_json, changes=True)
    arn = pipeline.executions.resolve(execution)
    found = pipeline.executions.input_of(arn)
    again = messages(found, pipeline.stack.environment, force=force, read=pipeline.read_payload)
    pipeline.audit.before("retry", subjects(again, arn), why)
    outcome = send_all(pipeline.resender_of(again), again, quiet=as_json)
    if not pipeline.audit.after("retry", results_of(outcome)):
        note(untold(counted(len(again), "message")))
    note(_MAY_COME_BACK)
    if as_json:
        print_json({"durable_execution_arn": arn} | delivery_document(outcome))
    else:
        typer.echo(f"sent {counted(len(outcome.sent), 'message')}")
    if outcome.refused:
        raise refusal(outcome.refused, "retry the execution again")


@app.command("pause")
def pause_(
    ctx: typer.Context, execution: Reference, *, why: Note = None, as_json: JsonFlag = False
) -> None:
    """Pause a running durable execution at its next checkpoint, and wait until it is.

    Its time goes on, and so does its messages' visibility timeout: they may be delivered to another
    one meanwhile, which is harmless. Without its audit line nothing is paused. With --json: the ARN
    and its status.

    Example:
    - `pipelinectl executions pause "$ARN"`
    """
    pipeline = open_pipeline(ctx, quiet=as_json, changes=True)
    arn = pipeline.executions.resolve(execution)
    noted = partial(pipeline.audit.before, "pause", [{"durable_execution_arn": arn}], why)
    _tell_status(arn, pipeline.executions.pause(arn, why, noted), as_json=as_json)


@app.command("resume")
def resume_(
    ctx: typer.Context, execution: Reference, *, why: Note = None, as_json: JsonFlag = False
) -> None:
    """Let a paused durable execution go on.

    Without its audit line it is not resumed. With --json: the ARN and its status.

    Example:
    - `pipelinectl executions resume "$ARN"`
    """
    pipeline = open_pipeline(ctx, quiet=as_json, changes=True)
    arn = pipeline.executions.resolve(execution)
    noted = partial(pipeline.audit.before, "resume", [{"durable_execution_arn": arn}], why)
    _tell_status(arn, pipeline.executions.resume(arn, why, noted), as_json=as_json)


def _tell_status(arn: str, status: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"durable_execution_arn": arn, "status": status})
    else:
        typer.echo(f"{status} {arn}")


def execution_document(execution: Execution) -> dict[str, Any]:
    """An execution as JSON."""
    return {
        "durable_execution_arn": execution.arn,
        "name": execution.name,
        "status": execution.status,
        "started_at": execution.started_at,
        "ended_at": execution.ended_at,
        "duration_seconds": execution.seconds,
    }
