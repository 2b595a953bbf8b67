"""`pipelinectl doctor`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pipelinectl import failures, local
from pipelinectl.commands.context import JsonFlag, open_connection, options_of
from pipelinectl.errors import ExitCode, NotFoundError
from pipelinectl.rendering.console import err, note, out, print_json

if TYPE_CHECKING:
    from pipelinectl.diagnosis.facts import Facts, Machine


def doctor(ctx: typer.Context, *, as_json: JsonFlag = False) -> None:
    """Say what is wrong with the pipeline as it is deployed, and how to mend it.

    It only reads, on AWS and on the local cloud alike. In the project's folder it looks at this
    machine too. Ends with 1 when there is a problem; warnings alone end with 0. With --json: an
    array of checks with their level (ok, unchecked, warning, problem), rule, source and findings.

    Examples:
    - `pipelinectl doctor`
    - `pipelinectl --stack-name prod doctor --json`
    """
    from pipelinectl.diagnosis.diagnose import diagnose
    from pipelinectl.diagnosis.findings import Level

    stack_name = options_of(ctx).stack_name
    with err().status("looking at everything"):
        checks = diagnose(_facts(stack_name, quiet=as_json))
    if as_json:
        print_json([check.document for check in checks])
    else:
        from pipelinectl.rendering.doctor import render_diagnosis, summary

        console = out()
        width = console.width if console.is_terminal else None
        for line in render_diagnosis(checks, stack_name, width):
            console.print(line, soft_wrap=True)
        note(summary(checks))
    if any(check.level is Level.PROBLEM for check in checks):
        raise typer.Exit(ExitCode.FAILED)


def _facts(stack_name: str, *, quiet: bool) -> Facts:
    """The facts; where there is no stack, or nobody to ask for it, those of the machine."""
    from botocore.exceptions import BotoCoreError, ClientError

    from pipelinectl.diagnosis.facts import Facts
    from pipelinectl.diagnosis.reading import read_facts
    from pipelinectl.errors import PipelinectlError

    machine = _machine()
    try:
        return read_facts(open_connection(quiet=quiet), stack_name, machine)
    except (PipelinectlError, ClientError, BotoCoreError) as error:
        return Facts(None, failures.explain(error).line, machine)


def _machine() -> Machine | None:
    """What this machine has; None outside of a project's folder, where nothing is built."""
    from pipelinectl.diagnosis.machine import look_at_machine

    try:
        local.find_template(Path.cwd())
    except NotFoundError:
        return None
    return look_at_machine(local.settings_from(os.environ))
