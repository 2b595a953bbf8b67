"""Processes are told apart by more than their number."""

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from localcloud import processes
from localcloud.processes import ProcessIdentity
from localcloud.settings import Settings


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    script = tmp_path / "tmp" / "ministack-lambda-my-stack-validate-ab12cd_9" / "_worker.py"
    script.parent.mkdir(parents=True)
    script.write_text("input()")
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def identity_of(process: subprocess.Popen[bytes]) -> ProcessIdentity:
    identity = ProcessIdentity.of(process.pid)
    assert identity is not None
    return identity


def test_a_process_that_only_reuses_the_number_is_left_alone(
    sleeper: subprocess.Popen[bytes],
) -> None:
    now = identity_of(sleeper)
    for earlier in (
        dataclasses.replace(now, ticks=now.ticks - 1),
        ProcessIdentity(sleeper.pid, 1.0),
    ):
        assert earlier.find() is None
        assert not processes.kill(earlier)
    assert sleeper.poll() is None


@pytest.mark.skipif(not psutil.LINUX, reason="only Linux counts from its start")
def test_a_process_is_known_though_the_clock_was_corrected(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = identity_of(sleeper)
    boot_time = psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot_time + 3600)

    found = identity.find()

    assert found is not None
    assert found.create_time() - identity.create_time > 3500


def test_a_killed_process_is_gone(sleeper: subprocess.Popen[bytes]) -> None:
    identity = identity_of(sleeper)
    assert not processes.wait_until_gone([identity], 0)
    assert processes.kill(identity)
    assert processes.wait_until_gone([identity], 10)
    assert sleeper.wait(10) != 0


def test_a_worker_is_found_by_where_its_script_lies(
    sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    settings = Settings.from_environment({"LOCALCLOUD_DIR": str(tmp_path)})
    [worker] = processes.find_workers(settings)
    assert (worker.function_name, worker.identity.pid) == ("my-stack-validate", sleeper.pid)
