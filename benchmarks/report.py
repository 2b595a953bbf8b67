"""The tables of a run, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

TOO_MANY = "exceeds the quota of 3,000 operations"
PLOTS = {
    "throughput.png": "Messages a second by batch size",
    "latency.png": "Latency by batch size",
    "cost.png": "Operations and checkpointed bytes a message by batch size",
    "phases.png": "Where the time of an execution goes",
    "csv.png": "CSV: memory and rows a second by size of file",
}


def document(result: Row) -> str:
    """All tables and plots of a run."""
    machine = result["machine"]
    heading = (
        f"Written by `make bench` in {result['seconds']:.0f} s on {machine['cores']} cores "
        f"({machine['processor']}), Python {machine['python']}, {machine['system']}, load "
        f"{machine['load']:.1f} when it began. [What these mean](../benchmarks.md)."
    )
    parts = [
        "# Benchmark results",
        heading,
        "## Promises",
        goals_table(result["goals"]),
        "## Local cloud",
        cells_table(result["cells"]),
        *(f"![{title}]({name})" for name, title in PLOTS.items() if name != "csv.png"),
        "## In process",
        costs_table(result["costs"]),
        "Of the time in our own functions, batch 1,000, samples say:",
        table(
            ["function", "share of our time"],
            ([place, f"{share:.0%}"] for place, share in list(result["hot_spots"].items())[:8]),
        ),
        "## CSV",
        csv_table(result["csv"]),
        f"![{PLOTS['csv.png']}](csv.png)",
    ]
    return "\n\n".join(parts) + "\n"


def goals_table(goals: Iterable[Row]) -> str:
    """Each promise beside what was measured."""
    return table(
        ["promise", "batch", "concurrency", "at least", "measured", ""],
        (
            [
                goal["what"],
                str(goal["batch"]),
                str(goal["concurrency"]),
                f"{goal['at_least']:g}x",
                f"{goal['ratio']:.1f}x",
                "met" if goal["met"] else "MISSED",
            ]
            for goal in goals
        ),
    )


def cells_table(cells: Iterable[Row]) -> str:
    """Each cell, pipeline and reference one below the other."""
    header = [
        "batch",
        "concurrency",
        "",
        "messages",
        "messages/s",
        "p50 s",
        "p95 s",
        "p99 s",
        "batch s",
    ]
    per_message = ["operations", "durable invocations", "stage invocations", "bytes", "GB-s"]
    return table(header + per_message, map(_cell, cells))


def _cell(cell: Row) -> list[str]:
    beginning = [f"{cell['batch']:,}", str(cell["concurrency"]), cell["side"]]
    if not cell["stored"]:
        return [*beginning, TOO_MANY, *[""] * 10]
    cut = f" of {cell['messages']:,} in time" if cell["cut_off"] else ""
    return [
        *beginning,
        f"{cell['stored']:,}{cut}",
        f"{cell['messages_per_second']:.1f}",
        *(f"{cell[name]:.2f}" for name in ("p50", "p95", "p99", "batch_seconds")),
        *(
            f"{cell[name]:.3f}"
            for name in ("operations", "durable_invocations", "stage_invocations")
        ),
        f"{cell['checkpoint_bytes']:,.0f}",
        f"{cell['gigabyte_seconds']:.4f}",
    ]


def costs_table(costs: Sequence[Row]) -> str:
    """What each orchestrator takes in one process, and ours above the floor."""
    floors = {cost["batch"]: cost for cost in costs if cost["orchestrator"] == "floor"}

    def row(cost: Row) -> list[str]:
        above = ""
        if cost["orchestrator"] == "pipeline":
            above = f"{1 - floors[cost['batch']]['seconds'] / cost['seconds']:.0%}"
        return [
            f"{cost['batch']:,}",
            cost["orchestrator"],
            str(cost["invokes"]),
            str(cost["invocations"]),
            f"{cost['seconds']:.2f}",
            f"{cost['cpu_seconds']:.3f}",
            f"{cost['seconds'] / cost['batch'] * 1000:.2f}",
            above,
        ]

    header = ["batch", "", "invokes", "invocations", "s", "CPU s", "ms a message", "above floor"]
    return table(header, map(row, sorted(costs, key=lambda cost: int(cost["batch"]))))


def csv_table(readings: Iterable[Row]) -> str:
    """Each file, read in both ways."""
    return table(
        ["size", "", "rows", "rows/s", "peak memory"],
        (
            [
                f"{reading['megabytes']:,} MB",
                reading["way"],
                f"{reading['rows']:,}" if reading["rows"] else "did not end",
                f"{reading['rows_per_second']:,.0f}",
                f"{reading['peak_bytes'] / 1e6:,.0f} MB",
            ]
            for reading in readings
        ),
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(_lines(header, rows))


def _lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'|'.join('---' for _ in header)}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
