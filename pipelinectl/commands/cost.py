"""`pipelinectl cost`: what executions used and cost, in tables or as JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelinectl.commands.context import JsonFlag, Pipeline, open_pipeline
from pipelinectl.commands.output import counted, duration, out, print_json, progress, size, table
from pipelinectl.cost import MILLION, MONTH, OUR_STAGES, Deployment, measure, report
from pipelinectl.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType
    from rich.table import Table

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
        typer.Option("--limit", min=1, help="Without ARNs: the newest ones that have ended."),
    ] = 20,
    records: Annotated[
        int | None,
        typer.Option("--records", min=1, help="Forecast a month of this many records."),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate", min=0.001, max=10_000_000, help="The same of so many records a second."
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size",
            min=1,
            max=10_000,
            help="Of the forecast: records in a batch; else the stack's BatchSize.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what executions used and what AWS charges for it, per million records.

    Counted from the executions' histories; what these do not say is marked as an estimate. Beside
    it the same records with a chain of invokes for each, and with --records or --rate a forecast
    with the share of each quota that it needs. With --json: one object; bytes, seconds and dollars.

    Examples:
    - `pipelinectl cost`
    - `pipelinectl cost last --json`
    - `pipelinectl cost --records 50000000 --batch-size 100`
    - `pipelinectl cost --rate 1000 --batch-size 100`
    """
    if records is not None and rate is not None:
        raise UsageError("--records and --rate are two forecasts: give one of them")
    if rate is not None:
        records = math.ceil(rate * MONTH)
    if records is None and batch_size is not None:
        raise UsageError("--batch-size is of a forecast: give --records or --rate too")
    pipeline = open_pipeline(ctx, quiet=as_json)
    arns = _arns(pipeline, executions or [], limit)
    with progress("reading histories", len(arns), quiet=as_json) as done:
        measured = measure(pipeline.executions, arns, done)
    lambda_, parameters = pipeline.connection.lambda_, pipeline.stack.parameters
    deployment = Deployment(
        stack_name=pipeline.stack.name,
        region=lambda_.meta.region_name,
        is_local=pipeline.connection.endpoint_url is not None,
        retention_days=int(parameters.get("ExecutionRetentionInDays", _DEFAULT_RETENTION_DAYS)),
        durable_function=pipeline.executions.function_name,
        stages=OUR_STAGES + bool(parameters.get("EnrichmentFunctionArn")),
    )
    in_batch = batch_size or int(parameters.get("BatchSize", _DEFAULT_BATCH_SIZE))
    found = report(lambda_, measured, deployment, (records, in_batch) if records else None)
    if as_json:
        print_json(found)
        return
    console = out()
    for part in render_cost(found):
        console.print(part)


def _arns(pipeline: Pipeline, references: list[str], limit: int) -> list[str]:
    if references:
        return list(dict.fromkeys(pipeline.executions.resolve(name) for name in references))
    arns = pipeline.executions.ended(limit)
    if not arns:
        msg = "no execution has ended yet: send a message with 'pipelinectl send'"
        raise NotFoundError(msg)
    return arns


def render_cost(report: dict[str, Any]) -> Iterator[RenderableType]:
    """What was measured, its bill, the other pattern, the forecast, and what to know about it."""
    from rich.text import Text

    records, functions = report["records"], report["functions"].values()
    by_kind = sorted(report["operations"]["by_kind"].items(), key=lambda kind: -kind[1])
    kinds = ", ".join(counted(n, kind) for kind, n in by_kind)
    at_least = "at least " if report["bytes_written_are_at_least"] else ""
    invocations = sum(function["invocations"] for function in functions)
    yield Text.assemble(
        (counted(records, "record"), "bold"),
        f" in {counted(report['executions']['counted'], 'execution')}\n",
        f"{counted(report['operations']['total'], 'durable operation')} ({kinds})\n",
        f"{at_least}{size(report['bytes_written'])} written, ",
        f"{counted(invocations, 'Lambda invocation')}\n",
    )
    yield _functions(report)
    yield Text()
    yield _bill("per million records", report, MILLION / records)
    yield Text()
    yield _patterns(report["patterns"])
    if month := report["forecast"]:
        yield Text.assemble(
            (f"\nForecast: {counted(month['records_a_month'], 'record')} a month", "bold"),
            f" in {counted(month['executions'], 'execution')} of {month['batch_size']:,}, ",
            f"{counted(month['operations_per_execution'], 'operation')} each",
        )
        yield _bill("a month", month, 1)
        yield Text()
        yield _quotas(month["quotas"])
        yield from (Text(warning, style="yellow") for warning in month["warnings"])
    yield Text()
    yield from (Text(warning, style="yellow") for warning in _warnings(report))
    yield from (Text(note, style="dim") for note in _notes(report))


def _columns(first: str, *others: str) -> Table:
    return table(first, *others, right=others)


def _functions(report: dict[str, Any]) -> Table:
    found = _columns("function", "invocations", "a record", "mean", "memory", "GB-s a record")
    for name, function in report["functions"].items():
        count = function["invocations"]
        found.add_row(
            name.removeprefix(f"{report['stack']}-"),
            f"{count:,}",
            _amount(count / report["records"]),
            duration(function["seconds"] / max(1, count - function["invocations_without_times"])),
            f"{function['memory_mb']:,} MB {function['architecture']}",
            f"~{_amount(function['gb_seconds'] / report['records'])}",
        )
    return found


def _bill(title: str, bill: dict[str, Any], factor: float) -> Table:
    found = _columns(title, "quantity", "dollars")
    for line in bill["charges"]:
        mark = "~" if line["estimated"] else ""
        quantity = f"{mark}{_amount(line['quantity'] * factor)} {line['unit']}".rstrip()
        found.add_row(line["name"], quantity, f"{mark}{line['dollars'] * factor:,.2f}")
    found.add_row("[bold]together[/]", "", f"[bold]~{bill['dollars'] * factor:,.2f}[/]")
    return found


def _quotas(quotas: list[dict[str, Any]]) -> Table:
    found = _columns("of AWS's quotas, as they are at first", "needed", "quota", "share")
    for quota in quotas:
        share = quota["needed"] / quota["value"]
        style = "yellow" if share > 1 else ""
        found.add_row(
            quota["name"],
            f"~{_amount(quota['needed'])}",
            f"{quota['value']:,}",
            f"~{share:.2%}" if share < 0.01 else f"~{share:.0%}",
            style=style,
        )
    return found


def _patterns(patterns: list[dict[str, Any]]) -> Table:
    found = _columns("the same records", "operations", "invocations", "$ per million")
    for pattern in patterns:
        found.add_row(
            pattern["pattern"],
            f"{pattern['operations']:,}",
            f"{pattern['invocations']:,}",
            f"[bold]~{pattern['dollars_per_million_records']:,.2f}[/]",
        )
    return found


def _warnings(report: dict[str, Any]) -> Iterator[str]:
    yield from report["warnings"]
    if left_out := report["executions"]["left_out"]:
        yield f"{counted(len(left_out), 'execution')} left out: no event of SQS or S3"
    if untimed := sum(f["invocations_without_times"] for f in report["functions"].values()):
        yield f"{counted(untimed, 'invocation')} without times count as none of compute"
    if report["is_local"]:
        yield "times are those of this machine, not of AWS"
    elif report["region"] != report["prices"]["region"]:
        yield f"the pipeline is in {report['region']}, where prices may differ"


def _notes(report: dict[str, Any]) -> Iterator[str]:
    yield f"Prices of {report['prices']['region']} as of {report['prices']['as_of']}."
    yield f"~ estimated: {'; '.join(report['estimates'])}."
    yield from (f"{p['pattern']}: {p['assumption']}." for p in report["patterns"][1:])
    yield f"Not included: {report['not_included']}."


def _amount(value: float) -> str:
    """A quantity with the digits that matter."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.2g}"
