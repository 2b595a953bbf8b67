"""Draws a run's plots. Runs in an environment of its own, which has matplotlib."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot, ticker

# Told apart by hue, by lightness and by marker: the colours are those of Okabe and Ito.
STYLES: dict[str, dict[str, Any]] = {
    "pipeline": {"color": "#0072B2", "marker": "o"},
    "reference": {"color": "#D55E00", "marker": "s"},
    "ranges": {"color": "#0072B2", "marker": "o"},
    "whole": {"color": "#D55E00", "marker": "s"},
}
PEERS = {
    "pipeline": "#0072B2",
    "reference": "#D55E00",
    "plain function": "#009E73",
    "DBOS": "#E69F00",
}
PHASES = {
    "durable function": ("#0072B2", ""),
    "suspending": ("#DDDDDD", "//"),
    "validate": ("#F0E442", ""),
    "transform": ("#E69F00", ""),
    "store": ("#009E73", ""),
}
AT_ONCE = {1: ("one batch at a time", "-", "full"), 5: ("five batches at once", "--", "none")}
PERCENTILES = {"p50": ("-", "full"), "p95": ("--", "none"), "p99": (":", "left")}
SIZE = (9.5, 4.6)
DPI = 110
NUMBERS = ticker.FuncFormatter(lambda value, _: f"{value:,.10g}")

mpl.rcParams.update({"font.size": 11, "axes.titlesize": 12, "legend.fontsize": 10})


def main(arguments: Sequence[str]) -> None:
    """Draw the result file that is named into the folder that is named."""
    result = json.loads(Path(arguments[0]).read_text())
    cells = [cell for cell in result["cells"] if cell["stored"]]
    for name, draw, data in (
        ("peers", peers, result["peers"]),
        ("throughput", throughput, cells),
        ("latency", latency, cells),
        ("cost", cost, cells),
        ("phases", phases, cells),
        ("csv", csv_files, result["csv"]),
    ):
        figure = draw(data)
        path = Path(arguments[1]) / f"{name}.png"
        figure.savefig(path, dpi=DPI, bbox_inches="tight", metadata={"Software": None})
        pyplot.close(figure)


def peers(rows: Sequence[Any]) -> Any:
    """Speed, latency and what a kill costs, one line of bars for each that is compared."""
    figure, (speed, latency, harm) = panels(
        "Messages a second", "Seconds to be stored, p50 to p99", "Done again, messages a kill"
    )
    figure.set_size_inches(13, 0.42 * len(rows) + 1.4)
    labels = [f"{row['peer']}, {row['batch']:,} at a time" for row in rows]
    places = range(len(rows))
    for place, row in zip(places, rows, strict=True):
        colour = PEERS[row["name"]]
        _bar(speed, place, row["speed"]["messages_per_second"], colour, "{:,.0f}")
        ends = row["speed"]["p50"], row["speed"]["p99"]
        latency.plot(ends, (place, place), color=colour, marker="|", markersize=12, linewidth=4)
        latency.annotate(f"  {ends[0]:.2g} to {ends[1]:.2g}", (ends[1], place), va="center")
        if row["harm"]:
            again = row["harm"]["again"] / max(1, row["harm"]["kills"])
            _bar(harm, place, again, colour, f"{{:,.3g}}; {row['harm']['lost']} lost")
        else:
            harm.annotate("  not measured", (0, place), va="center")
    for axes in (speed, latency, harm):
        axes.set_yticks(places, labels if axes is speed else [""] * len(rows))
        axes.margins(x=0.35)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
        axes.xaxis.set_major_formatter(NUMBERS)
    latency.set_xscale("log")
    latency.xaxis.set_major_formatter(NUMBERS)
    latency.xaxis.set_minor_formatter(ticker.NullFormatter())
    # Room for what is written behind the longest.
    latency.set_xlim(right=latency.dataLim.x1 * 8)
    harm.set_xlim(0, 1.5 * harm.dataLim.x1 or 1)
    return figure


def _bar(axes: Any, place: int, value: float, colour: str, form: str) -> None:
    """One bar, with its value behind it."""
    axes.barh(place, value, color=colour)
    axes.annotate(f"  {form.format(value)}", (value, place), va="center")


def throughput(cells: Sequence[Any]) -> Any:
    """Messages a second by batch size, one line for each side and concurrency."""
    figure, (axes,) = panels("Messages a second")
    for side, concurrency, line in lines_of(cells):
        name, style, fill = AT_ONCE[concurrency]
        draw_line(axes, line, "messages_per_second", f"{side}, {name}", style, fill)
        if side == "pipeline":
            write_values(axes, line, "messages_per_second")
    return by_batch(figure, axes, "log")


def latency(cells: Sequence[Any]) -> Any:
    """Percentiles by batch size, one batch at a time."""
    figure, (axes,) = panels("Seconds until a message is stored, one batch at a time")
    for side, concurrency, line in lines_of(cells):
        for name, (style, fill) in PERCENTILES.items() if concurrency == 1 else ():
            draw_line(axes, line, name, f"{side}, {name}", style, fill)
    return by_batch(figure, axes, "log")


def cost(cells: Sequence[Any]) -> Any:
    """Operations and bytes a message, by batch size."""
    figure, (left, right) = panels("Durable operations a message", "Checkpointed bytes a message")
    for side, concurrency, line in lines_of(cells):
        if concurrency == 1:
            draw_line(left, line, "operations", side)
            write_values(left, line, "operations")
            draw_line(right, line, "checkpoint_bytes", side)
    by_batch(figure, left, "log")
    return by_batch(figure, right, "linear")


def phases(cells: Sequence[Any]) -> Any:
    """Share of an execution's time in each phase, one batch at a time."""
    figure, (axes,) = panels("Where the time of an execution goes, one batch at a time")
    chosen = [cell for cell in cells if cell["concurrency"] == 1][::-1]
    labels = [f"{cell['side']}, batch {cell['batch']:,}" for cell in chosen]
    before = [0.0] * len(chosen)
    for name, (colour, hatch) in PHASES.items():
        shares = [
            100 * cell["breakdown"].get(name, 0.0) / sum(cell["breakdown"].values())
            for cell in chosen
        ]
        axes.barh(
            labels, shares, left=before, label=name, color=colour, hatch=hatch, edgecolor="white"
        )
        before = [sum(both) for both in zip(before, shares, strict=True)]
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of the time")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=len(PHASES), frameon=False)
    return figure


def csv_files(readings: Sequence[Any]) -> Any:
    """Peak memory and rows a second by size of file."""
    figure, (left, right) = panels("Peak memory, MB", "Rows a second")
    for way, label in (("ranges", "in ranges"), ("whole", "as a whole")):
        line = [reading for reading in readings if reading["way"] == way and reading["rows"]]
        sizes = [reading["megabytes"] for reading in line]
        left.plot(sizes, [r["peak_bytes"] / 1e6 for r in line], label=label, **STYLES[way])
        right.plot(sizes, [r["rows_per_second"] for r in line], label=label, **STYLES[way])
    for axes in (left, right):
        finish(
            axes, {reading["megabytes"] for reading in readings}, "size of the file, MB", "linear"
        )
    return figure


def panels(*titles: str) -> tuple[Any, Sequence[Any]]:
    """A figure with a panel for each title."""
    figure, axes = pyplot.subplots(
        1, len(titles), figsize=SIZE, squeeze=False, layout="constrained"
    )
    for each, title in zip(axes[0], titles, strict=True):
        each.set_title(title, loc="left")
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes[0]


def lines_of(cells: Sequence[Any]) -> Iterator[tuple[str, int, list[Any]]]:
    """The cells that one line joins: those of a side and a concurrency, by batch size."""
    for key in dict.fromkeys((cell["side"], cell["concurrency"]) for cell in cells):
        yield *key, [cell for cell in cells if (cell["side"], cell["concurrency"]) == key]


def draw_line(
    axes: Any, cells: Sequence[Any], name: str, label: str, style: str = "-", fill: str = "full"
) -> None:
    """One figure of the cells against their batch size."""
    axes.plot(
        [cell["batch"] for cell in cells],
        [cell[name] for cell in cells],
        label=label,
        linestyle=style,
        fillstyle=fill,
        markersize=8,
        **STYLES[cells[0]["side"]],
    )


def write_values(axes: Any, cells: Sequence[Any], name: str) -> None:
    """Write each figure of a line above its marker."""
    for cell in cells:
        value = cell[name]
        text = f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
        above = {"xytext": (0, 8), "textcoords": "offset points", "ha": "center", "fontsize": 10}
        axes.annotate(text, (cell["batch"], value), **above)


def by_batch(figure: Any, axes: Any, scale: str) -> Any:
    """Finish a panel whose lines are by batch size; the figure."""
    batches = {int(batch) for line in axes.lines for batch in line.get_xdata()}
    finish(axes, batches, "batch size", scale)
    return figure


def finish(axes: Any, marks: set[int], along: str, scale: str) -> None:
    """Name the axes and give them plain numbers: along the lower one those that were measured."""
    axes.set_xscale("log")
    axes.set_xticks(sorted(marks))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set_yscale(scale)
    axes.margins(x=0.08, y=0.12)
    if scale == "linear":
        axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(NUMBERS)
    axes.yaxis.set_major_formatter(NUMBERS)
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    axes.set_xlabel(along)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)


if __name__ == "__main__":
    main(sys.argv[1:])
