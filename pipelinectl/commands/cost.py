"""`pipelinectl cost`."""

from pathlib import Path
from typing import Annotated

import typer

from pipelinectl.commands.context import JsonFlag, Pipeline, open_pipeline
from pipelinectl.costing import prices as price_tables
from pipelinectl.costing.forecast import HOURS_A_DAY, MAX_BATCH_SIZE, Volume
from pipelinectl.costing.report import Deployment, measure, report
from pipelinectl.errors import NotFoundError, UsageError
from pipelinectl.rendering.console import out, print_json
from pipelinectl.rendering.progress import progress

_DEFAULT_LIMIT = 20
# What Lambda keeps, and an event source mapping delivers, where nobody says otherwise.
_DEFAULT_RETENTION_DAYS = 14
_DEFAULT_BATCH_SIZE = 10


def cost(
    ctx: typer.Context,
    executions: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ARN]...", help="ARNs or names of executions, or 'last'."),
    ] = None,
    *,
    limit: Annotated[
        int,
        typer.Option("--limit", min=1, help="Without ARNs: the newest so many that have ended."),
    ] = _DEFAULT_LIMIT,
    records: Annotated[
        int | None, typer.Option("--records", min=1, help="Forecast a month of so many records.")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size",
            min=1,
            max=MAX_BATCH_SIZE,
            help="Of the forecast: records in a batch; else the stack's BatchSize.",
        ),
    ] = None,
    busy_hours: Annotated[
        float | None,
        typer.Option(
            "--busy-hours",
            min=0.1,
            max=HOURS_A_DAY,
            help="Of the forecast: hours of a day in which records come, evenly; else 24.",
        ),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option("--prices", help="A table of prices, TOML or JSON, instead of us-east-1's."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what executions used and what AWS charges for it, per million records.

    Counted from the executions' histories; what these do not say is marked as an estimate. Beside
    it the same records in other patterns, and with --records a forecast with the quotas that it
    comes near to. With --json: one object; bytes, seconds and dollars.

    Examples:
    - `pipelinectl cost`
    - `pipelinectl cost last --json`
    - `pipelinectl cost --records 50000000 --batch-size 100`
    """
    volume_options = (batch_size, busy_hours)
    if records is None and any(option is not None for option in volume_options):
        msg = "--batch-size and --busy-hours are of a forecast: give --records too"
        raise UsageError(msg)
    table = price_tables.load(prices or price_tables.OWN)
    pipeline = open_pipeline(ctx, quiet=as_json)
    arns = _arns(pipeline, executions or [], limit)
    with progress("reading histories", len(arns), quiet=as_json) as done:
        measured = measure(pipeline.executions, arns, done)
    volume = records and Volume(
        records,
        batch_size or int(pipeline.stack.parameters.get("BatchSize", _DEFAULT_BATCH_SIZE)),
        busy_hours or HOURS_A_DAY,
    )
    found = report(pipeline.executions, measured, table, _deployment(pipeline), volume or None)
    from pipelinectl.rendering.cost import cost_document, render_cost

    if as_json:
        print_json(cost_document(found, arns))
        return
    console = out()
    for part in render_cost(found):
        console.print(part)


def _deployment(pipeline: Pipeline) -> Deployment:
    connection, stack = pipeline.connection, pipeline.stack
    return Deployment(
        stack_name=stack.name,
        region=connection.lambda_.meta.region_name,
        is_local=connection.endpoint_url is not None,
        retention_days=int(
            stack.parameters.get("ExecutionRetentionInDays", _DEFAULT_RETENTION_DAYS)
        ),
    )


def _arns(pipeline: Pipeline, references: list[str], limit: int) -> list[str]:
    if references:
        return list(dict.fromkeys(pipeline.executions.resolve(name) for name in references))
    arns = pipeline.executions.ended(limit)
    if not arns:
        msg = "no execution has ended yet: send a message with 'pipelinectl send'"
        raise NotFoundError(msg)
    return arns
