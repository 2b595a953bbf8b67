"""A large file, a worker of which is killed halfway: no row is lost, and memory stays flat."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud import processes
from localcloud.deploy import deploy
from localcloud.processes import ProcessIdentity
from localcloud.settings import free_settings
from tests.chaos import large_file
from tests.chaos.memory import Peak
from tests.e2e.conftest import ROOT, Stack
from tests.e2e.localcloud.support import Cloud, running, wait_for
from tests.e2e.objects import Objects, executions_of, range_starts

MEGABYTE = 1_000_000
SMALL_MEGABYTES = 10
STACK = "large-file"
FUNCTION = f"{STACK}-csv-file"
PARAMETERS = {
    "Environment": "test",
    "LogLevel": "WARNING",
    "ExecutionTimeout": "900",
    "FilesTimeout": "300",
    "RangeSize": str(4 * 1024 * 1024),
    "RangeConcurrency": "2",
}
SECONDS = 1800.0
MOST_GROWTH = 1.2


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[Objects]:
    """The pipeline on a local cloud of its own."""
    settings = free_settings(tmp_path / "cloud")
    with running(settings):
        outputs = deploy(
            settings, template=ROOT / "template.yaml", stack_name=STACK, parameters=PARAMETERS
        )
        yield Objects(Stack(Cloud(settings, outputs), outputs))


def test_a_large_file_is_what_one_reading_gives_though_a_worker_is_killed(
    objects: Objects, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    megabytes = int(os.environ.get("LARGE_FILE_MB") or 192)
    small_peak = peak_of(objects, tmp_path, SMALL_MEGABYTES)
    path, key = tmp_path / "large.csv", "input/large.csv"
    large_file.write(path, megabytes * MEGABYTE)
    peak = Peak(objects.stack.cloud.settings, FUNCTION)

    started = time.monotonic()
    with peak.watching():
        upload(objects, path, key)
        wait_for(lambda: len(objects.derived(key)) >= 4, SECONDS)
        kills = kill_one_at_work(objects, key)
        entry = objects.wait_for_state(key, "done", seconds=SECONDS)
    seconds = time.monotonic() - started

    parts, starts = objects.manifest(key)["parts"], range_starts(executions_of(objects.stack, key))
    counts = {name: int(count) for name, count in entry["counts"].items()}
    with capsys.disabled():
        print(
            f"\n{path.stat().st_size:,} bytes, {counts} in {len(parts)} ranges: {seconds:.0f} s, "
            f"{counts['rows'] / seconds:,.0f} rows/s; a worker's peak {peak.bytes:,} bytes, "
            f"of {SMALL_MEGABYTES} MB {small_peak:,}; workers killed at work: {kills}, "
            f"ranges repeated: {starts.total() - len(parts)}"
        )
    assert counts["rows"] == counts["results"] + counts["rejects"]
    wrong = large_file.differences(path, objects.rows(key), objects.rows(key, "rejects"))
    assert next(wrong, None) is None
    assert len(starts) == len(parts)
    assert 1 <= starts.total() - len(parts) <= kills
    assert peak.bytes <= MOST_GROWTH * small_peak


def peak_of(objects: Objects, directory: Path, megabytes: int) -> int:
    """The peak of a worker that has worked on a file of this size, in bytes."""
    path, key = directory / "small.csv", "input/small.csv"
    large_file.write(path, megabytes * MEGABYTE)
    peak = Peak(objects.stack.cloud.settings, FUNCTION)
    with peak.watching():
        upload(objects, path, key)
        objects.wait_for_state(key, "done", seconds=SECONDS)
    assert peak.bytes
    return peak.bytes


def upload(objects: Objects, path: Path, key: str) -> None:
    """Upload in parts, as any client does with a large file."""
    objects.stack.client("s3").upload_file(str(path), objects.input, key)


def kill_one_at_work(objects: Objects, key: str) -> int:
    """Kill one worker after the other until a range has to be repeated; how many were killed."""
    kills = 0

    def repeated() -> int:
        starts = range_starts(executions_of(objects.stack, key))
        return starts.total() - len(starts)

    while not repeated():
        assert kills < 5, "no range was repeated; make the file larger, by LARGE_FILE_MB"
        processes.kill(busiest(objects))
        kills += 1
        # Its invoke fails at once, and a second later its range is begun again.
        time.sleep(2)
    return kills


def busiest(objects: Objects) -> ProcessIdentity:
    """The worker of the file function that uses most of a processor now."""
    found = [
        worker.identity
        for worker in processes.find_workers(objects.stack.cloud.settings)
        if worker.function_name == FUNCTION
    ]
    before = {identity: processor_seconds(identity) for identity in found}
    time.sleep(0.3)
    assert found, "the file was done before a worker was hit; make it larger, by LARGE_FILE_MB"
    return max(found, key=lambda identity: processor_seconds(identity) - before[identity])


def processor_seconds(identity: ProcessIdentity) -> float:
    """What a process has used so far; nothing if it has ended."""
    process = identity.find()
    return sum(process.cpu_times()[:2]) if process else 0.0
