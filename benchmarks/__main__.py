"""Runs all benchmarks: ``python -m benchmarks [--out FOLDER] [--gigabyte]``, or ``make bench``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.cells import (
    PIPELINE,
    REFERENCE,
    ROOT,
    BenchmarkError,
    Figures,
    Load,
    Side,
    deploy_pipeline,
    deploy_reference,
    exceeds_quota,
    measure,
    usage_since,
)
from benchmarks.cold_starts import cold_starts
from benchmarks.comparison import rows
from benchmarks.csv_files import readings
from benchmarks.report import document, goals, goals_table
from docs import scale
from localcloud.settings import LocalCloudError
from localcloud.supervisor import fresh

WORK = ROOT / ".bench"
PLOTTING = ROOT / ".tools" / "bench" / "bin" / "python"

BUDGET_SECONDS = 690
"""For all but the plots. What is left out when it is used up is what comes last."""

COMPARING_SECONDS = 330
"""Of these, for what the pipeline is compared with beside the reference."""

STOPPING_SECONDS = 15
LEAST_SECONDS = 10
IN_PROCESS_SECONDS = 150
PLOT_SECONDS = 180

PIPELINE_LOADS = (  # small batches first: the memory of larger ones is not given back
    Load(1, 1, 5, warm_up=2),
    Load(1, 5, 30, warm_up=5),
    Load(10, 1, 50, warm_up=10),
    Load(10, 5, 300, warm_up=50),
    Load(100, 1, 300, warm_up=100),
    Load(100, 5, 2000, warm_up=500),
    Load(1000, 1, 1000, warm_up=1000),
    Load(1000, 5, 3000, warm_up=1000),
)
REFERENCE_LOADS = (
    Load(10, 1, 20, warm_up=2),
    Load(10, 5, 50, warm_up=10),
    Load(100, 1, 100, seconds=20),
    Load(100, 5, 500, seconds=15),
    Load(1, 1, 5),
    Load(1, 5, 30),
    Load(1000, 1, 1000),
)
PER_RECORD = 3
"""Operations of the reference."""

MEGABYTES = (1, 10, 40)
GIGABYTE = 1000


def main() -> int:
    """Measure, write results.json, results.md and the plots; 1 if a counted promise was missed."""
    options = _options()
    # What ends a process by default would leave the local cloud behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        result = run(gigabyte=options.gigabyte)
    except (BenchmarkError, LocalCloudError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    write(result, options.out)
    print(f"\n{goals_table(result['goals'])}\n\nresults: {options.out / 'results.md'}")
    return int(any(goal["exact"] and not goal["met"] for goal in result["goals"]))


def run(*, gigabyte: bool) -> dict[str, Any]:
    """All that is measured, as a JSON document."""
    begun = time.monotonic()
    machine = {
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "system": platform.system(),
        "load": os.getloadavg()[0],
    }
    _say("CSV files")
    sizes = (*MEGABYTES, GIGABYTE) if gigabyte else MEGABYTES
    files = [reading.as_json() for reading in readings(WORK / "csv", sizes)]
    started = time.monotonic() if gigabyte else begun  # who asks for the large file waits for it
    _say("in process")
    in_process = _in_process()
    figures, usage, peers, starts = _on_local_cloud(started + BUDGET_SECONDS)
    return {
        "machine": machine,
        "seconds": time.monotonic() - begun,
        "goals": list(goals(figures)),
        "peers": peers,
        "usage": usage,
        "cold_starts": starts,
        "cells": [*(cell.as_json() for cell in figures), *_impossible()],
        **in_process,
        "csv": files,
    }


def write(result: dict[str, Any], out: Path) -> None:
    """The result as JSON, as tables and as plots."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "results.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    (out / "results.md").write_text(document(result))
    if path.resolve() == scale.SAMPLE.resolve():
        scale.PAGE.write_text(scale.page(), "utf-8")
    subprocess.run(  # noqa: S603 - our own module
        [str(PLOTTING), "-m", "benchmarks.plots", str(path.resolve()), str(out.resolve())],
        cwd=ROOT,
        check=True,
        timeout=PLOT_SECONDS,
    )


def within(load: Load, seconds: float) -> Load | None:
    """``load`` with its warm-up in at most so many seconds; None if these are too few."""
    each = (seconds - STOPPING_SECONDS) / (2 if load.warm_up else 1)
    return replace(load, seconds=min(load.seconds, each)) if each >= LEAST_SECONDS else None


def _on_local_cloud(
    deadline: float,
) -> tuple[list[Figures], dict[int, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """The cells of the pipeline and of the reference, what it used, the peers, and cold starts."""
    _say("local cloud: starting")
    usage: dict[int, Any] = {}
    with fresh(WORK / "cloud") as settings:
        sides = {PIPELINE: deploy_pipeline(settings)} | deploy_reference(settings)
        starts = [*cold_starts(settings, PIPELINE)]
        figures = sorted(
            _cells(sides, deadline - COMPARING_SECONDS, usage),
            key=lambda f: (f.batch, f.concurrency, f.side),
        )
        return figures, usage, rows(sides, figures, deadline, _say), starts


def _cells(sides: Mapping[str, Side], deadline: float, usage: dict[int, Any]) -> Iterator[Figures]:
    """Each load on the pipeline and then on the reference, so that both meet the same machine.

    ``usage`` takes, by batch size, what the pipeline's executions used that ran one at a time.
    """
    for name, load in _in_turn():
        _say(f"local cloud: {name}, {load}")
        bounded = within(load, deadline - time.monotonic())
        if bounded is None:
            _say("  left out: the time is used up")
            continue
        begun = datetime.now(UTC)
        figures = measure(sides[name], bounded)
        if name == PIPELINE and load.concurrency == 1:
            usage[load.batch] = scale.saved(usage_since(sides[name], begun, load.batch), PIPELINE)
        _say(f"  {figures.messages_per_second:.1f} messages a second")
        yield figures


def _in_turn() -> Iterator[tuple[str, Load]]:
    references = {(load.batch, load.concurrency): load for load in REFERENCE_LOADS}
    for load in PIPELINE_LOADS:
        yield PIPELINE, load
        reference = references.get((load.batch, load.concurrency))
        if reference and not exceeds_quota(reference.batch, PER_RECORD):
            yield REFERENCE, reference


def _impossible() -> Iterator[dict[str, Any]]:
    """The cells that Lambda would not run."""
    for load in REFERENCE_LOADS:
        if exceeds_quota(load.batch, PER_RECORD):
            yield {
                "side": REFERENCE,
                "batch": load.batch,
                "concurrency": load.concurrency,
                "messages": load.messages,
                "stored": 0,
                "exceeds_quota": True,
            }


def _in_process() -> dict[str, Any]:
    path = WORK / "in-process.json"
    with (WORK / "in-process.log").open("wb") as log:
        subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", "benchmarks.in_process", str(path)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
            stdout=log,
            stderr=log,
            check=True,
            timeout=IN_PROCESS_SECONDS,
        )
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _say(text: str) -> None:
    print(text, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--out", type=Path, default=WORK / "results", help="folder for the results")
    parser.add_argument(
        "--gigabyte",
        action="store_true",
        help="also read a CSV file of 1 GB, which takes up to half an hour",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
