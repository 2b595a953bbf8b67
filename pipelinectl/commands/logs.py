"""`pipelinectl logs`: what all functions log, in lines that people read, or as it was logged."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelinectl.aws import FUNCTION_ROLES
from pipelinectl.commands.context import TIME, moment, open_pipeline
from pipelinectl.commands.output import (
    clock,
    counted,
    note,
    out,
    print_json_line,
    visible,
)
from pipelinectl.errors import NotFoundError, UsageError
from pipelinectl.logs import FunctionLogs, Words, groups

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.text import Text

    from pipelinectl.commands.context import Pipeline
    from pipelinectl.logs import LogEvent
    from pipelinectl.record import Life

_UNLESS_SAID = timedelta(minutes=10)
_EARLIER = timedelta(minutes=1)  # the clocks of services differ
_STYLES = {"WARNING": "yellow", "WARN": "yellow", "ERROR": "red", "CRITICAL": "red"}

# What stands elsewhere in the line, says the same in all lines, or is of use to nobody who reads.
_LEFT_OUT = frozenset(
    {
        "timestamp",
        "level",
        "message",
        "service",
        "location",
        "logger",
        "executionArn",
        "durable_execution_arn",
        "cold_start",
        "function_name",
        "function_memory_size",
        "function_arn",
        "function_request_id",
        "requestId",
        "xray_trace_id",
    }
)
_OF_LAMBDA = ("START RequestId:", "END RequestId:", "REPORT RequestId:", "INIT_START ")
_EXECUTION = "/durable-execution/"


def logs(
    ctx: typer.Context,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes; Ctrl-C ends it.")
    ] = False,
    record: Annotated[
        str | None,
        typer.Option(
            "--record", help="Only lines that name this record, by any id that 'record' takes."
        ),
    ] = None,
    execution: Annotated[
        str | None,
        typer.Option(
            "--execution",
            help="Only lines that name this execution: its ARN, its name, the name's beginning, or "
            "'last'.",
        ),
    ] = None,
    function: Annotated[
        list[str] | None,
        typer.Option(
            "--function",
            help=f"Only this function: {', '.join(FUNCTION_ROLES)}, or another's name. May be "
            "repeated.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            help=f"Begin then: {TIME} Unless it is given: 10 minutes ago, or when the record or "
            "the execution began.",
        ),
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Only what was before then.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document a line, as there is no end.")
    ] = False,
) -> None:
    """Show what all functions log, in the order of time, on AWS and on the local cloud.

    Functions log whose records they had and what became of them, never what is in a record.
    Metrics and Lambda's own lines about invocations are left out, but not with --json. A line may
    come up to a minute late, and then not in its order. With --json: one object a line, with time,
    function, and the event as the function logged it: an object, or text where it is none.

    Examples:
    - `pipelinectl logs --follow`
    - `pipelinectl logs --record 3f2a --follow`
    - `pipelinectl logs --execution last --json | jq .event`
    """
    _check(record, execution, until, follow=follow)
    begin, end = moment("--since", since), moment("--until", until)
    pipeline = open_pipeline(ctx, quiet=as_json)
    words, known_since = _looked_for(pipeline, record, execution)
    read = FunctionLogs(
        pipeline.connection.logs, groups(pipeline.stack.name, *(function or ())), words
    )
    begin = begin or known_since or datetime.now(UTC) - _UNLESS_SAID
    printed = _print(read.lines(begin, until=end, follow=follow), as_json=as_json)
    note(f"{counted(printed, 'line')} since {clock(begin)}")


def _check(record: str | None, execution: str | None, until: str | None, *, follow: bool) -> None:
    if record is not None and execution is not None:
        msg = "--record and --execution each say which lines: give one of them"
        raise UsageError(msg)
    if follow and until is not None:
        msg = "--follow has no end, and --until is one: give one of them"
        raise UsageError(msg)


def _looked_for(
    pipeline: Pipeline, record: str | None, execution: str | None
) -> tuple[Words, datetime | None]:
    """What has to stand in a line, and since when it may."""
    if execution is not None:
        arn = pipeline.executions.resolve(execution)
        # Which version or alias its ARN names differs between those who name it.
        return Words((arn.split(_EXECUTION)[-1],)), pipeline.executions.started_at(arn) - _EARLIER
    if record is not None:
        return _of_record(pipeline, record)
    return Words(), None


def _of_record(pipeline: Pipeline, reference: str) -> tuple[Words, datetime | None]:
    try:
        life = pipeline.records.life(reference)
    except NotFoundError:
        note(f"nothing is known of '{reference}' yet: these are the lines in which it stands")
        return Words(beginnings=(reference, f"{pipeline.stack.environment}-{reference}")), None
    ids = {life.execution_id, *life.message_ids}
    if life.object_id is not None:
        ids.add(json.dumps(life.object_id.key, ensure_ascii=False)[1:-1])
    return Words(tuple(sorted(ids))), _first_known(life)


def _first_known(life: Life) -> datetime | None:
    """When the record was first heard of, somewhat earlier; None where nothing says it."""
    times = [one.started_at for one in life.deliveries if one.started_at is not None]
    times += [datetime.fromisoformat(line["at"]) for line in life.acts]
    sent = [letter.first_sent for letter in life.dead_letters if letter.first_sent]
    if life.item is not None:
        sent.append(int(life.item.text("sent_timestamp") or 0))
    times += [datetime.fromtimestamp(ms / 1000, UTC) for ms in sent if ms]
    return min(times) - _EARLIER if times else None


def _print(events: Iterable[LogEvent], *, as_json: bool) -> int:
    """Print each as soon as it comes; answers with how many were printed."""
    console, printed = out(), 0
    for event in events:
        if as_json:
            print_json_line(_document(event))
        elif (line := render_event(event)) is None:
            continue
        else:
            console.print(line, soft_wrap=True)
            sys.stdout.flush()
        printed += 1
    return printed


def _document(event: LogEvent) -> dict[str, Any]:
    logged = _object(event.text)
    return {
        "at": event.at,
        "function": event.function,
        "event": event.text if logged is None else logged,
    }


def render_event(event: LogEvent) -> Text | None:
    """A line for people; None of what is not for them."""
    from rich.text import Text

    logged = _object(event.text)
    if logged is None:
        if event.text.startswith(_OF_LAMBDA):
            return None
        level, said = "", event.text
    elif _is_for_machines(logged):
        return None
    else:
        level, said = str(logged.get("level", "")), str(logged.get("message", ""))
    at = event.at.astimezone().strftime("%H:%M:%S.%f")[:-3]
    return Text.assemble(
        (f"{at} ", "dim"),
        f"{event.function:<{_NAME_WIDTH}} ",
        (f"{level:<{_LEVEL_WIDTH}} ", _STYLES.get(level, "dim")),
        visible(said),
        (visible(_details(logged or {})), "dim"),
    )


_NAME_WIDTH = max(map(len, FUNCTION_ROLES))
_LEVEL_WIDTH = len("WARNING")


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _is_for_machines(logged: Mapping[str, Any]) -> bool:
    """Whether it is a metric, or of Lambda itself."""
    return "_aws" in logged or str(logged.get("type", "")).startswith("platform.")


def _details(logged: Mapping[str, Any]) -> str:
    """The fields that tell this line from others, and the execution's name."""
    told = [f"{name}={_value(value)}" for name, value in logged.items() if name not in _LEFT_OUT]
    if arn := logged.get("durable_execution_arn"):
        told.append(f"execution={str(arn).split(_EXECUTION)[-1].split('/')[0]}")
    return "".join(f" {one}" for one in told)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
