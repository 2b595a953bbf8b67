"""Draws the rounds of `growth`. Runs in an environment of its own, which has matplotlib."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot

# Told apart by hue, by lightness and by marker: the colours are those of Okabe and Ito.
STYLES = {
    "ministack": ("#0072B2", "o"),
    "runner": ("#D55E00", "s"),
    "gateway": ("#009E73", "^"),
    "workers": ("#999999", "d"),
}


def main(arguments: Sequence[str]) -> None:
    """Draw the result file that is named first into the picture that is named second."""
    rounds = json.loads(Path(arguments[0]).read_text())["rounds"]
    passed = list(itertools.accumulate(one["messages"] for one in rounds))
    figure, (rate, memory) = pyplot.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
    rate.plot(passed, [one["messages_per_second"] for one in rounds], marker="o", color="#0072B2")
    rate.set_title("Messages a second")
    for name, (color, marker) in STYLES.items():
        values = [one["memory_mb"][name] for one in rounds]
        memory.plot(passed, values, marker=marker, color=color, label=name)
    memory.set_title("Memory, MB")
    memory.legend()
    for axes in (rate, memory):
        axes.set_ylim(bottom=0)
        axes.set_xlabel("messages so far")
    figure.savefig(arguments[1], dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main(sys.argv[1:])
