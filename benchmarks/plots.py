"""Draws a run's plots. Runs in an environment of its own, which has matplotlib."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot

COLOURS = {"pipeline": "#1f77b4", "reference": "#d62728", "ranges": "#1f77b4", "whole": "#d62728"}
SIZE = (9, 4.2)
DPI = 110


def main(arguments: Sequence[str]) -> None:
    """Draw the result file that is named into the folder that is named."""
    result = json.loads(Path(arguments[0]).read_text())
    folder = Path(arguments[1])
    cells = [cell for cell in result["cells"] if cell["stored"]]
    for name, draw, data in (
        ("throughput.png", throughput, cells),
        ("latency.png", latency, cells),
        ("cost.png", cost, cells),
        ("phases.png", phases, cells),
        ("csv.png", csv_files, result["csv"]),
    ):
        figure = draw(data)
        figure.tight_layout()
        figure.savefig(folder / name, dpi=DPI, metadata={"Software": None})
        pyplot.close(figure)


def throughput(cells: Sequence[Any]) -> Any:
    """Messages a second by batch size, one line for each side and concurrency."""
    figure, axes = pyplot.subplots(figsize=SIZE)
    for side, concurrency, line in lines_of(cells):
        draw_line(axes, line, "messages_per_second", f"{side}, concurrency {concurrency}", side)
    return finished(figure, axes, "messages a second")


def latency(cells: Sequence[Any]) -> Any:
    """Percentiles by batch size, one batch at a time."""
    figure, axes = pyplot.subplots(figsize=SIZE)
    for side, concurrency, line in lines_of(cells):
        if concurrency == 1:
            for name, style in (("p50", "-"), ("p95", "--"), ("p99", ":")):
                draw_line(axes, line, name, f"{side} {name}", side, style)
    return finished(figure, axes, "seconds until stored, one batch at a time")


def cost(cells: Sequence[Any]) -> Any:
    """Operations and bytes a message, by batch size."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=SIZE)
    for side, concurrency, line in lines_of(cells):
        if concurrency == 1:
            draw_line(left, line, "operations", side, side)
            draw_line(right, line, "checkpoint_bytes", side, side)
    finished(figure, left, "durable operations a message")
    finished(figure, right, "checkpointed bytes a message", scale="linear")
    right.set_ylim(bottom=0)
    return figure


def phases(cells: Sequence[Any]) -> Any:
    """Share of an execution's time in each phase, one batch at a time."""
    chosen = [cell for cell in cells if cell["concurrency"] == 1]
    names = list(dict.fromkeys(name for cell in chosen for name in cell["breakdown"]))
    labels = [f"{cell['side']}\nbatch {cell['batch']:,}" for cell in chosen]
    figure, axes = pyplot.subplots(figsize=SIZE)
    base = [0.0] * len(chosen)
    for name in names:
        shares = [
            100 * cell["breakdown"].get(name, 0.0) / sum(cell["breakdown"].values())
            for cell in chosen
        ]
        axes.bar(labels, shares, bottom=base, label=name)
        base = [low + share for low, share in zip(base, shares, strict=True)]
    axes.set_ylabel("% of an execution's time, one batch at a time")
    axes.tick_params(axis="x", labelsize=7)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def csv_files(readings: Sequence[Any]) -> Any:
    """Peak memory and rows a second by size of file."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=SIZE)
    for way in ("ranges", "whole"):
        line = [reading for reading in readings if reading["way"] == way and reading["rows"]]
        sizes = [reading["megabytes"] for reading in line]
        memory = [reading["peak_bytes"] / 1e6 for reading in line]
        left.plot(sizes, memory, "o-", color=COLOURS[way], label=way)
        rows = [reading["rows_per_second"] for reading in line]
        right.plot(sizes, rows, "o-", color=COLOURS[way], label=way)
    for axes, title in ((left, "peak memory, MB"), (right, "rows a second")):
        axes.set_xscale("log")
        axes.set_xlabel("file, MB")
        axes.set_ylabel(title)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure


def lines_of(cells: Sequence[Any]) -> list[tuple[str, int, list[Any]]]:
    """The cells that one line joins: those of a side and a concurrency, by batch size."""
    keys = dict.fromkeys((cell["side"], cell["concurrency"]) for cell in cells)
    return [
        (side, concurrency, [c for c in cells if (c["side"], c["concurrency"]) == key])
        for key in keys
        for side, concurrency in [key]
    ]


def draw_line(
    axes: Any, cells: Sequence[Any], name: str, label: str, side: str, style: str = ""
) -> None:
    """One figure of the cells against their batch size."""
    style = style or ("-" if cells[0]["concurrency"] == 1 else "--")
    x, y = [cell["batch"] for cell in cells], [cell[name] for cell in cells]
    axes.plot(x, y, marker="o", linestyle=style, color=COLOURS[side], label=label)


def finished(figure: Any, axes: Any, title: str, scale: str = "log") -> Any:
    """Name the axes, both logarithmic."""
    axes.set_xscale("log")
    axes.set_yscale(scale)
    axes.set_xlabel("batch size")
    axes.set_ylabel(title)
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
    return figure


if __name__ == "__main__":
    main(sys.argv[1:])
