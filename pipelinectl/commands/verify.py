"""`pipelinectl verify`: one line a promise, what differs with what is right, and the report."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelinectl.commands.context import JsonFlag, Pipeline, in_a_terminal, open_pipeline
from pipelinectl.commands.output import counted, duration, err, note, out, print_json, visible
from pipelinectl.doors import NO_FIFO_DOOR
from pipelinectl.errors import ExitCode, StackMissingError, UsageError
from pipelinectl.exact_json import dumps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.text import Text

    from pipelinectl.verify import Report
    from pipelinectl.verify.judging import Run, Seen

_STYLES = {"holds": "green", "differs": "bold red", "cannot be seen": "magenta"}
_VERDICT_WIDTH = max(map(len, _STYLES))
_GAP = "  "
_IN_ORDER = "in-order"
"""The line of the FIFO door, which a stack need not have."""
_ACCOUNT = re.compile(r"\b\d{12}\b")
_MASK = "<account>"


def verify(
    ctx: typer.Context,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Send to AWS without asking.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Only the line of this name; may be repeated."),
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, help="Seconds to wait for all that was sent.")
    ] = 300,
    probe_stack: Annotated[
        str | None,
        typer.Option("--probe-stack", metavar="NAME", help="The stack of examples/probe, if any."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Write what was found to this file as well."),
    ] = None,
    clean: Annotated[
        str | None,
        typer.Option(
            "--clean",
            metavar="PREFIX",
            help="Only remove what an earlier run has left; reads the whole table of items.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """See for yourself that a deployed pipeline does what its docs promise.

    It sends a few records through each door, waits for what becomes of them, and says of each
    promise that it holds, that it differs, with what was seen, or that it cannot be seen and why.
    Then it removes what it sent. Ends with 1 when anything differs. With --json: prefix, lines,
    facts and what is left. The report, in Markdown with the JSON below, names no account.

    Examples:
    - `pipelinectl verify`
    - `pipelinectl --stack-name prod verify --yes --report report.md`
    - `pipelinectl verify --only message --only rejected`
    - `pipelinectl verify --clean verify-0a1b2c3d`
    """
    from pipelinectl import verify as verifying
    from pipelinectl.verify.judging import chosen
    from pipelinectl.verify.promises import LINES
    from pipelinectl.verify.removal import clean as clean_up
    from pipelinectl.verify.sent import Deployed, checked_prefix, new_prefix

    lines = chosen(LINES, only or [])
    prefix = new_prefix() if clean is None else checked_prefix(clean)
    pipeline = open_pipeline(ctx, quiet=as_json, changes=True)
    if clean is None:
        _require_consent(pipeline, yes=yes)
    if not pipeline.stack.fifo_queue_url:
        if only == [_IN_ORDER]:
            raise StackMissingError(NO_FIFO_DOOR)
        lines = [line for line in lines if line.name != _IN_ORDER]
    deployed = Deployed(pipeline.connection, pipeline.stack, pipeline.uploads_api)
    if clean is not None:
        _tell_what_is_left(clean_up(deployed, prefix), prefix, as_json=as_json)
        return
    note(f"all that is sent is called {prefix}")
    with err().status("sending") as status:
        found = verifying.verify(
            deployed,
            lines,
            prefix,
            seconds=timeout,
            probe_stack=probe_stack,
            tell=lambda run: status.update(_awaited(run)),
            tell_left=_note_left,
        )
    told = document(found, pipeline)
    if report is not None:
        _write(report, markdown(told))
    if as_json:
        print_json(told)
    else:
        for line in render(found):
            out().print(line, soft_wrap=True)
        note(summary(found))
    if found.differing:
        raise typer.Exit(ExitCode.FAILED)


def _require_consent(pipeline: Pipeline, *, yes: bool) -> None:
    """Ask before anything is sent to AWS.

    Raises:
        UsageError: nobody is there to be asked, or the answer is no.
    """
    if yes or pipeline.connection.at is not None:
        return
    what = f"verify sends about 15 records to {pipeline.target}, and removes them again"
    if in_a_terminal() and typer.confirm(f"{what}: go on?", err=True):
        return
    raise UsageError(f"{what}: say --yes if that is meant")


def _awaited(run: Run) -> str:
    names = [line.name for line in run.pending]
    return f"waiting for {', '.join(names[:4])}{' and others' if len(names) > 4 else ''}"


def _tell_what_is_left(left: list[str], prefix: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"prefix": prefix, "left": left})
    _note_left(left)
    if left:
        raise typer.Exit(ExitCode.FAILED)
    note(f"nothing is left of {prefix}")


def _note_left(left: Sequence[str]) -> None:
    for text in left:
        note(f"left: {text}")


def render(report: Report) -> Iterator[Text]:
    """One line a promise; below one that differs what is right, and where to look."""
    from rich.text import Text

    from pipelinectl.verify.promises import LINES

    promises = {line.name: line for line in LINES}
    width = max((len(name) for name in report.results), default=0)
    indent = " " * (_VERDICT_WIDTH + len(_GAP))
    for name in [name for name in promises if name in report.results]:
        seen = report.results[name]
        line = Text(seen.verdict.value.ljust(_VERDICT_WIDTH), _STYLES[seen.verdict.value])
        line.append(f"{_GAP}{name.ljust(width)}{_GAP}", "default")
        line.append(visible(seen.text), "dim" if seen.verdict.value == "holds" else "default")
        yield line
        if seen.verdict.value == "differs":
            yield Text(f"{indent}right is: {promises[name].promise} ({promises[name].source})")
            if seen.remedy:
                yield Text(f"{indent}→ {visible(seen.remedy)}")
    for fact in report.facts:
        text = dumps(fact.found, indent=None) if fact.found else fact.why
        yield Text(f"{'fact'.ljust(_VERDICT_WIDTH)}{_GAP}{fact.name}{_GAP}{visible(text)}", "dim")
    for text in report.left:
        yield Text(f"{'left'.ljust(_VERDICT_WIDTH)}{_GAP}{visible(text)}", "yellow")


def summary(report: Report) -> str:
    """How many promises there were, and how they ended."""
    counts = Counter(seen.verdict.value for seen in report.results.values())
    parts = [counted(len(report.results), "promise")]
    parts += [f"{counts[verdict]} {verdict}" for verdict in _STYLES if counts[verdict]]
    return f"{', '.join(parts)} ({duration(report.seconds)})"


def document(report: Report, pipeline: Pipeline) -> dict[str, Any]:
    """The report as JSON: no account, no content, no secret is in it."""
    from importlib import metadata

    from pipelinectl.verify.promises import LINES

    lines = [
        _line_document(line.name, line.promise, line.source, report.results[line.name])
        for line in LINES
        if line.name in report.results
    ]
    told = {
        "prefix": report.prefix,
        "at": datetime.now(UTC),
        "version": metadata.version("durable-pipeline"),
        "cloud": "local" if pipeline.connection.at else "AWS",
        "region": pipeline.stack.arn.split(":")[3],
        "seconds": round(report.seconds, 1),
        "lines": lines,
        "facts": [
            {"fact": f.name, "question": f.question, "found": f.found, "why": f.why}
            for f in report.facts
        ],
        "left": list(report.left),
    }
    masked: dict[str, Any] = _masked(told)
    return masked


def _line_document(name: str, promise: str, source: str, seen: Seen) -> dict[str, str]:
    return {
        "line": name,
        "verdict": seen.verdict.value,
        "seen": seen.text,
        "right": promise,
        "source": source,
        "remedy": seen.remedy,
    }


def _masked(value: Any) -> Any:
    """`value` without the account, wherever it stands."""
    match value:
        case str():
            return _ACCOUNT.sub(_MASK, value)
        case dict():
            return {name: _masked(each) for name, each in value.items()}
        case list() | tuple():
            return [_masked(each) for each in value]
    return value


def markdown(told: dict[str, Any]) -> str:
    """The report for people, and below it the same for programs."""
    head = f"{told['cloud']}, {told['region']}, durable-pipeline {told['version']}, {told['at']}"
    parts = [
        "# What pipelinectl verify found",
        head,
        _table(
            ("verdict", "line", "seen"),
            ((line["verdict"], line["line"], line["seen"]) for line in told["lines"]),
        ),
        "## Facts",
        _table(
            ("question", "found"),
            (
                (
                    fact["question"],
                    dumps(fact["found"], indent=None) if fact["found"] else fact["why"],
                )
                for fact in told["facts"]
            ),
        ),
        "## Left",
        "\n".join(f"- {text}" for text in told["left"]) or "Nothing.",
        f"```json\n{dumps(told)}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    cells = [list(heading), *(list(map(_cell, row)) for row in rows)]
    cells.insert(1, ["---"] * len(cells[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _cell(text: str) -> str:
    return visible(text).replace("|", "\\|")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        msg = f"--report {path}: {error.strerror or error}: name a file that can be written"
        raise UsageError(msg) from error
