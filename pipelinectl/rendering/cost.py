"""What executions cost, as tables and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipelinectl.costing.charges import (
    MILLION,
    charges,
    dollars,
    dollars_per_million_records,
)
from pipelinectl.costing.report import ESTIMATES, NOT_INCLUDED
from pipelinectl.rendering.formatting import counted, duration, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from pipelinectl.costing.charges import Charge
    from pipelinectl.costing.forecast import Forecast
    from pipelinectl.costing.patterns import Pattern
    from pipelinectl.costing.report import Report

_ESTIMATE = "~"
_LARGE = 100
_DIGITS = 12


def render_cost(report: Report) -> Iterator[RenderableType]:
    """What was measured, its bill, other patterns, the forecast, and what to know about it."""
    yield _heading(report)
    yield _functions(report)
    yield Text()
    yield _bill("per million records", report.charges, MILLION / report.used.records)
    yield Text()
    yield _patterns(report)
    if report.forecast:
        yield Text()
        yield from _forecast(report.forecast, report)
    yield Text()
    yield from _notes(report)


def _heading(report: Report) -> Text:
    usage = report.usage
    kinds = ", ".join(counted(n, kind) for kind, n in usage.operations.most_common())
    at_least = "at least " if usage.truncated else ""
    return Text.assemble(
        (counted(usage.records, "record"), "bold"),
        f" in {counted(usage.executions, 'execution')}",
        f"\n{counted(usage.operation_count, 'durable operation')} ({kinds})",
        f"\n{at_least}{size(usage.bytes_written)} written, ",
        f"{counted(usage.invocations, 'Lambda invocation')}\n",
    )


def _functions(report: Report) -> Table:
    table = _table("function", "invocations", "a record", "mean", "memory", "GB-s a record")
    records = report.used.records
    for name, calls in report.usage.calls.items():
        memory = report.sizes[name]
        table.add_row(
            name.removeprefix(f"{report.deployment.stack_name}-"),
            f"{calls.count:,}",
            _amount(calls.count / records),
            duration(calls.seconds / max(1, calls.count - calls.untimed)),
            f"{memory.memory_mb:,} MB {memory.architecture}",
            _ESTIMATE + _amount(memory.gb_seconds(calls.seconds) / records),
        )
    return table


def _bill(title: str, lines: Sequence[Charge], factor: float) -> Table:
    table = _table(title, "quantity", "dollars")
    for line in lines:
        mark = _ESTIMATE if line.estimated else ""
        quantity = f"{mark}{_amount(line.quantity * factor)} {line.unit}".rstrip()
        table.add_row(line.name, quantity, f"{mark}{line.dollars * factor:,.2f}")
    table.add_row(Text("together", style="bold"), "", _total(dollars(lines) * factor))
    return table


def _patterns(report: Report) -> Table:
    table = _table("the same records", "operations", "transitions", "invocations", "$ per million")
    for pattern in report.patterns:
        used = pattern.used
        table.add_row(
            pattern.name,
            *(f"{n:,}" if n else "" for n in (used.operations, used.transitions, used.requests)),
            _total(dollars_per_million_records(used, report.prices)),
        )
    return table


def _forecast(forecast: Forecast, report: Report) -> Iterator[RenderableType]:
    volume = forecast.volume
    yield Text.assemble(
        (f"Forecast: {counted(volume.records, 'record')} a month", "bold"),
        f" in {counted(forecast.executions, 'execution')} of {forecast.batch_size:,}, ",
        f"{counted(forecast.operations_per_execution, 'operation')} each",
    )
    yield _bill("a month", charges(forecast.used, report.prices), 1)
    for warning in forecast.warnings:
        yield _warning(warning)


def _notes(report: Report) -> Iterator[RenderableType]:
    for warning in report.warnings:
        yield _warning(warning)
    if left_out := report.measured.left_out:
        yield _warning(f"{counted(len(left_out), 'execution')} left out: no event of SQS or S3")
    if untimed := sum(calls.untimed for calls in report.usage.calls.values()):
        yield _warning(f"{counted(untimed, 'invocation')} without times count as none of compute")
    yield from _prices(report)
    yield _note(f"{_ESTIMATE} estimated:")
    for estimate in ESTIMATES:
        yield Padding(_note(f"- {estimate}"), (0, 0, 0, 2))
    yield _note("The other patterns:")
    for pattern in report.patterns[1:]:
        yield Padding(_note(f"- {pattern.name}: {pattern.assumption}"), (0, 0, 0, 2))
    yield _note(f"Not included: {NOT_INCLUDED}.")


def _prices(report: Report) -> Iterator[Text]:
    prices, region = report.prices, report.deployment.region
    yield _note(f"Prices of {prices.region} as of {prices.as_of}.")
    if report.deployment.is_local:
        yield _warning("times are those of this machine, not of AWS")
    elif region != prices.region:
        yield _warning(f"the pipeline is in {region}: give its prices with --prices FILE")


def _table(first: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", show_edge=False)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _amount(value: float) -> str:
    """A quantity with the digits that matter."""
    if value >= _LARGE or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.2g}"


def _total(value: float) -> Text:
    return Text(f"{_ESTIMATE}{value:,.2f}", style="bold")


def _warning(text: str) -> Text:
    return Text(text, style="yellow")


def _note(text: str) -> Text:
    return Text(text, style="dim")


def cost_document(report: Report, arns: Sequence[str]) -> dict[str, Any]:
    """The report as JSON: bytes, seconds and dollars; `estimated` says what was not measured."""
    usage, prices = report.usage, report.prices
    return {
        "region": report.deployment.region,
        "is_local": report.deployment.is_local,
        "prices": {
            "region": prices.region,
            "as_of": prices.as_of.isoformat(),
            "dollars": prices.dollars,
        },
        "executions": {
            "counted": usage.executions,
            "durable_execution_arns": list(arns),
            "left_out": list(report.measured.left_out),
        },
        "records": usage.records,
        "deliveries": usage.deliveries,
        "rows_of_files": usage.rows,
        "operations": {"total": usage.operation_count, "by_kind": dict(usage.operations)},
        "bytes_written": usage.bytes_written,
        "bytes_written_are_at_least": usage.truncated,
        "functions": _functions_document(report),
        "per_record": _per_record(report),
        "retention_days": report.deployment.retention_days,
        **_bill_document(report.charges),
        "dollars_per_million_records": _rounded(dollars_per_million_records(report.used, prices)),
        "patterns": [_pattern_document(pattern, report) for pattern in report.patterns],
        "forecast": _forecast_document(report),
        "warnings": list(report.warnings),
        "estimates": list(ESTIMATES),
        "not_included": NOT_INCLUDED,
    }


def _functions_document(report: Report) -> dict[str, Any]:
    return {
        name: {
            "invocations": calls.count,
            "seconds": _rounded(calls.seconds),
            "invocations_without_times": calls.untimed,
            "memory_mb": report.sizes[name].memory_mb,
            "architecture": report.sizes[name].architecture,
            "gb_seconds": _rounded(report.sizes[name].gb_seconds(calls.seconds)),
        }
        for name, calls in report.usage.calls.items()
    }


def _per_record(report: Report) -> dict[str, float]:
    usage, used = report.usage, report.used
    return {
        "operations": _rounded(usage.operation_count / usage.records),
        "bytes_written": _rounded(usage.bytes_written / usage.records),
        "invocations": _rounded(usage.invocations / usage.records),
        "gb_seconds": _rounded(sum(used.gb_seconds.values()) / usage.records),
    }


def _bill_document(lines: Sequence[Charge]) -> dict[str, Any]:
    return {
        "charges": [
            asdict(line) | {"quantity": _rounded(line.quantity), "dollars": _rounded(line.dollars)}
            for line in lines
        ],
        "dollars": _rounded(dollars(lines)),
    }


def _pattern_document(pattern: Pattern, report: Report) -> dict[str, Any]:
    used = pattern.used
    return {
        "pattern": pattern.name,
        "assumption": pattern.assumption,
        "operations": used.operations,
        "state_transitions": used.transitions,
        "invocations": used.requests,
        **_bill_document(charges(used, report.prices)),
        "dollars_per_million_records": _rounded(dollars_per_million_records(used, report.prices)),
    }


def _forecast_document(report: Report) -> dict[str, Any] | None:
    forecast = report.forecast
    if forecast is None:
        return None
    return {
        "records_a_month": forecast.volume.records,
        "batch_size": forecast.batch_size,
        "executions": forecast.executions,
        "operations_per_execution": forecast.operations_per_execution,
        "operations": forecast.used.operations,
        **_bill_document(charges(forecast.used, report.prices)),
        "warnings": list(forecast.warnings),
    }


def _rounded(value: float) -> float:
    return round(value, _DIGITS)
