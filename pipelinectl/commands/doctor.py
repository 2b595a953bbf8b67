"""`pipelinectl doctor`: one line a check, and below it what is wrong and what to do about it."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pipelinectl import errors, local
from pipelinectl.commands.context import JsonFlag, open_connection, options_of, target, tell
from pipelinectl.commands.output import counted, err, note, out, print_json, visible
from pipelinectl.doctor import diagnose
from pipelinectl.doctor.stack import Deployed, Level, examine
from pipelinectl.errors import ExitCode, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.text import Text

    from localcloud.settings import Settings
    from pipelinectl.doctor import Result
    from pipelinectl.doctor.stack import Finding

_STYLES = {
    Level.OK: "green",
    Level.UNCHECKED: "magenta",
    Level.WARNING: "yellow",
    Level.PROBLEM: "bold red",
}
_LEVEL_WIDTH = max(len(level.value) for level in Level)
_GAP = "  "


def doctor(ctx: typer.Context, *, as_json: JsonFlag = False) -> None:
    """Say what is wrong with the pipeline as it is deployed, and what to do about it.

    It only reads, on AWS and on the local cloud alike. In the project's folder it looks at this
    machine too. Ends with 1 when there is a problem; warnings alone end with 0. With --json: an
    array of checks with their level (ok, unchecked, warning, problem), rule, source and findings.

    Examples:
    - `pipelinectl doctor`
    - `pipelinectl --stack-name prod doctor --json`
    """
    name = options_of(ctx).stack_name
    with err().status("looking at everything"):
        results = diagnose(_deployed(ctx, quiet=as_json))
    if as_json:
        print_json([result.document for result in results])
    else:
        console = out()
        width = console.width if console.is_terminal else None
        for line in render_diagnosis(results, name, width):
            console.print(line, soft_wrap=True)
        note(summary(results))
    if any(result.level is Level.PROBLEM for result in results):
        raise typer.Exit(ExitCode.FAILED)


def _deployed(ctx: typer.Context, *, quiet: bool) -> Deployed:
    """The stack; without one where there is none, or nobody to ask for it."""
    machine = _machine()
    name = options_of(ctx).stack_name
    try:
        connection = open_connection(ctx)
        deployed = examine(connection, name, machine)
    except errors.expected() as error:
        return Deployed(None, name, errors.explain(error).line, machine)
    if not quiet:
        tell(target(connection, name, deployed.description["StackId"]))
    return deployed


def _machine() -> Settings | None:
    """Of the local cloud on this machine; None outside of a project's folder."""
    try:
        local.find_template(Path.cwd())
    except NotFoundError:
        return None
    return local.settings_from(os.environ)


def render_diagnosis(
    results: Sequence[Result], stack_name: str, width: int | None
) -> Iterator[Text]:
    """One line a check with what was found; below what is not ok, the remedy and the rule.

    Lines of checks that are ok are cut to `width`, where there is one; the others are whole, so
    that a remedy can be copied. Names go without the stack's.
    """
    from rich.text import Text

    name_width = max(len(result.check.name) for result in results)
    for result in results:
        bad = [finding for finding in result.findings if finding.level is not Level.OK]
        line = Text(result.level.value.ljust(_LEVEL_WIDTH), _STYLES[result.level])
        line.append(f"{_GAP}{result.check.name.ljust(name_width)}{_GAP}", "default")
        said = _named(bad[0], stack_name) if bad else _figures(result.findings, stack_name)
        line.append(said, _STYLES[result.level] if bad else "dim")
        if width is not None and not bad:
            line.truncate(width, overflow="ellipsis")
        yield line
        yield from _below(result, bad, stack_name)


def _below(result: Result, bad: Sequence[Finding], stack_name: str) -> Iterator[Text]:
    """The first finding's remedy, the other findings with theirs, and the rule for all of them."""
    from rich.text import Text

    indent = " " * (_LEVEL_WIDTH + len(_GAP))
    for number, finding in enumerate(bad):
        if number:
            yield Text(f"{indent}{_named(finding, stack_name)}", _STYLES[finding.level])
        yield Text(f"{indent}→ {visible(finding.remedy)}")
    if bad:
        yield Text(f"{indent}the rule: {result.check.says}", "dim")


def _figures(findings: Sequence[Finding], stack_name: str) -> str:
    if len(findings) > 1 and len({finding.found for finding in findings}) == 1:
        return f"{len(findings)} x {visible(findings[0].found)}"
    return ", ".join(_named(finding, stack_name) for finding in findings)


def _named(finding: Finding, stack_name: str) -> str:
    subject = finding.subject.removeprefix(f"{stack_name}-")
    return visible(": ".join(filter(None, [subject, finding.found])))


def summary(results: Sequence[Result]) -> str:
    """How many checks there were, and how they ended."""
    levels = Counter(result.level for result in results)
    parts = [counted(len(results), "check")]
    parts += [counted(levels[Level.PROBLEM], "problem"), counted(levels[Level.WARNING], "warning")]
    if levels[Level.UNCHECKED]:
        parts.append(f"{levels[Level.UNCHECKED]} could not be checked")
    return ", ".join(parts)
