"""What the pipeline promises against the reference, and the tables of a run, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.cells import PIPELINE, REFERENCE, Figures

Row = Mapping[str, Any]

SPEED = "messages a second"
OPERATIONS = "fewer operations"

AT_LEAST = {
    (SPEED, 10): 5.0,
    (SPEED, 100): 30.0,
    (OPERATIONS, 10): 7.0,
    (OPERATIONS, 100): 70.0,
}
"""By batch size: how many times the reference's messages a second, and its operations a message."""

TOO_MANY = "exceeds the quota of 3,000 operations"
PLOTS = {
    "peers.png": "Beside what one would pick instead: speed, latency, and what kills cost",
    "throughput.png": "Messages a second by batch size",
    "latency.png": "Latency by batch size",
    "cost.png": "Operations and checkpointed bytes a message by batch size",
    "phases.png": "Where the time of an execution goes",
    "csv.png": "CSV: memory and rows a second by size of file",
}

# Of each table its headings, with the format of what stands below them.
GOALS = {
    "promise": "{what}",
    "batch": "{batch}",
    "concurrency": "{concurrency}",
    "at least": "{at_least:g}x",
    "measured": "{ratio:.1f}x",
    "": "{verdict}",
}
PEERS = {"": "{peer}", "at a time": "{batch:,}"}
SPEEDS = {
    "messages/s": "{messages_per_second:,.1f}",
    "p50 s": "{p50:.2f}",
    "p99 s": "{p99:.2f}",
    "durable writes": "{writes:.3f}",
    "invocations": "{invocations_each}",
}
HARMS = {
    "kills": "{kills}",
    "messages": "{messages:,}",
    "lost": "{lost}",
    "done again": "{again}",
    "written again": "{written_again}",
    "dead letters": "{dead}",
    "still queued": "{queued}",
    "s": "{seconds:.0f}",
}
NOT_MEASURED = "not measured"
CELL = {"batch": "{batch:,}", "concurrency": "{concurrency}", "": "{side}"}
FIGURES = {
    "messages": "{stored:,}{in_time}",
    "messages/s": "{messages_per_second:.1f}",
    "p50 s": "{p50:.2f}",
    "p95 s": "{p95:.2f}",
    "p99 s": "{p99:.2f}",
    "batch s": "{batch_seconds:.2f}",
    "operations": "{operations:.3f}",
    "durable invocations": "{durable_invocations:.3f}",
    "stage invocations": "{stage_invocations:.3f}",
    "bytes": "{checkpoint_bytes:,.0f}",
    "GB-s": "{gigabyte_seconds:.4f}",
    "peak MB": "{peak_megabytes:.0f}",
}
COSTS = {
    "batch": "{batch:,}",
    "": "{orchestrator}",
    "invokes": "{invokes}",
    "invocations": "{invocations}",
    "s": "{seconds:.2f}",
    "CPU s": "{cpu_seconds:.3f}",
    "ms a message": "{milliseconds:.2f}",
    "above floor": "{above}",
}
CSV = {
    "size": "{megabytes:,} MB",
    "": "{way}",
    "rows": "{rows_read}",
    "rows/s": "{rows_per_second:,.0f}",
    "peak memory": "{peak_megabytes:,.0f} MB",
}
COLD_STARTS = {
    "function": "{function}",
    "artifact": "{megabytes:.1f} MB",
    "imports": "{milliseconds:,.0f} ms",
    "most of it": "{largest}",
    "of all": "{share:.0%}",
}
HOT_SPOTS = {"function": "{place}", "share of our time": "{share:.0%}"}
MOST_HOT_SPOTS = 8


def goals(figures: Sequence[Figures]) -> Iterator[dict[str, Any]]:
    """Each promise that the cells measured on both sides speak of, as a JSON document.

    ``exact`` are those that are counted, and so are the same on every machine; speed is not.
    """
    by_cell = {(f.side, f.batch, f.concurrency): f for f in figures}
    for (what, batch), at_least in AT_LEAST.items():
        for ours in figures:
            reference = by_cell.get((REFERENCE, ours.batch, ours.concurrency))
            if ours.side == PIPELINE and ours.batch == batch and reference:
                ratio = _times_better(what, ours, reference)
                yield {
                    "what": what,
                    "batch": batch,
                    "concurrency": ours.concurrency,
                    "at_least": at_least,
                    "ratio": ratio,
                    "met": ratio >= at_least,
                    "exact": what == OPERATIONS,
                }


def _times_better(what: str, ours: Figures, reference: Figures) -> float:
    if what == SPEED:
        return ours.messages_per_second / reference.messages_per_second
    return reference.operations / ours.operations


def document(result: Row) -> str:
    """All tables and plots of a run."""
    machine = result["machine"]
    heading = (
        f"Written by `make bench` in {result['seconds']:.0f} s on {machine['cores']} cores "
        f"({machine['processor']}), Python {machine['python']}, {machine['system']}, load "
        f"{machine['load']:.1f} when it began. [What these mean](../benchmarks.md)."
    )
    hottest = list(result["hot_spots"].items())[:MOST_HOT_SPOTS]
    parts = [
        "# Benchmark results",
        heading,
        "## Promises",
        goals_table(result["goals"]),
        "## Beside what one would pick instead",
        peers_table(result["peers"]),
        *(f"![{title}]({name})" for name, title in PLOTS.items() if name == "peers.png"),
        "## Local cloud",
        cells_table(result["cells"]),
        *(
            f"![{title}]({name})"
            for name, title in PLOTS.items()
            if name not in ("peers.png", "csv.png")
        ),
        "## In process",
        costs_table(result["costs"]),
        "Of the time in our own functions, batch 1,000, samples say:",
        _table(HOT_SPOTS, ({"place": place, "share": share} for place, share in hottest)),
        "## Cold starts",
        cold_starts_table(result["cold_starts"]),
        "## CSV",
        csv_table(result["csv"]),
        f"![{PLOTS['csv.png']}](csv.png)",
    ]
    return "\n\n".join(parts) + "\n"


def goals_table(found: Iterable[Row]) -> str:
    """Each promise beside what was measured."""
    return _table(GOALS, ({**g, "verdict": "met" if g["met"] else "MISSED"} for g in found))


def peers_table(rows: Iterable[Row]) -> str:
    """Each peer left alone, and beside that what became of its messages under kills."""
    return _lines([*PEERS, *SPEEDS, *HARMS], map(_peer, rows))


def _peer(row: Row) -> list[str]:
    speed, harm = row["speed"], row["harm"]
    each = "" if speed["invocations"] is None else f"{speed['invocations']:.3f}"
    harms = _formatted(HARMS, harm) if harm else [NOT_MEASURED, *[""] * (len(HARMS) - 1)]
    speeds = _formatted(SPEEDS, speed | {"invocations_each": each})
    return [*_formatted(PEERS, row), *speeds, *harms]


def cells_table(cells: Iterable[Row]) -> str:
    """Each cell, pipeline and reference one below the other."""
    return _lines([*CELL, *FIGURES], map(_cell, cells))


def _cell(cell: Row) -> list[str]:
    if not cell["stored"]:
        return [*_formatted(CELL, cell), TOO_MANY, *[""] * (len(FIGURES) - 1)]
    in_time = f" of {cell['messages']:,} in time" if cell["cut_off"] else ""
    return _formatted(CELL | FIGURES, {**cell, "in_time": in_time})


def costs_table(costs: Iterable[Row]) -> str:
    """What each orchestrator takes in one process, and ours above the floor."""
    ordered = sorted(costs, key=lambda cost: int(cost["batch"]))
    floors = {cost["batch"]: cost["seconds"] for cost in ordered if cost["orchestrator"] == "floor"}

    def row(cost: Row) -> Row:
        ours = cost["orchestrator"] == PIPELINE
        above = f"{1 - floors[cost['batch']] / cost['seconds']:.0%}" if ours else ""
        each = cost["seconds"] / cost["batch"] * 1000
        return {**cost, "milliseconds": each, "above": above}

    return _table(COSTS, map(row, ordered))


def cold_starts_table(functions: Iterable[Row]) -> str:
    """The size of each function's artifact, how long its imports take, and the heaviest package."""

    def row(found: Row) -> Row:
        share = found["largest_milliseconds"] / found["milliseconds"]
        return {**found, "megabytes": found["bytes"] / 1e6, "share": share}

    return _table(COLD_STARTS, map(row, functions))


def csv_table(readings: Iterable[Row]) -> str:
    """Each file, read in both ways."""

    def row(reading: Row) -> Row:
        rows = f"{reading['rows']:,}" if reading["rows"] else "did not end"
        return {**reading, "rows_read": rows, "peak_megabytes": reading["peak_bytes"] / 1e6}

    return _table(CSV, map(row, readings))


def _table(columns: Mapping[str, str], rows: Iterable[Row]) -> str:
    return _lines(list(columns), (_formatted(columns, row) for row in rows))


def _formatted(columns: Mapping[str, str], row: Row) -> list[str]:
    return [form.format_map(row) for form in columns.values()]


def _lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    first, *others = (f"| {' | '.join(row)} |" for row in [header, *rows])
    return "\n".join([first, f"|{'---|' * len(header)}", *others])
