"""Processes that this project started, told apart from any that reuse their number.

Lambda workers are ministack's own children; they are found by where the script lies that they run.
"""

import contextlib
import re
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from localcloud.settings import Settings

# Where the system's clock is all there is to go by: it moves when it is corrected. A number is not
# reused within seconds of its first use, so this much may differ.
_SAME_INSTANT_SECONDS = 10.0
# ministack makes each worker's with mkdtemp(prefix="ministack-lambda-<function>-").
_WORKER_DIRECTORY = re.compile(r"ministack-lambda-(?P<function>.+)-[a-z0-9_]{8}")


@dataclass(frozen=True)
class ProcessIdentity:
    """A process number together with when it was born, in seconds since the epoch.

    ``ticks`` is that in ticks since the system's start, where it counts them: on Linux. No
    correction of the clock moves it: not that of a virtual machine which stood still for a while.
    """

    pid: int
    create_time: float
    ticks: int = 0

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity | None":
        """Return the identity of the process that has this number now, if one has."""
        try:
            return cls.of_process(psutil.Process(pid))
        except psutil.NoSuchProcess:
            return None

    @classmethod
    def of_process(cls, process: psutil.Process) -> "ProcessIdentity":
        """Return the identity of this process; psutil's errors pass through."""
        return cls(process.pid, process.create_time(), _ticks(process.pid))

    def find(self) -> psutil.Process | None:
        """Return the process if it still runs; one that only reuses its number is not it."""
        try:
            process = psutil.Process(self.pid)
            found = ProcessIdentity.of_process(process)
            ended = process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if not ended and self._is(found) else None

    def _is(self, other: "ProcessIdentity") -> bool:
        if self.ticks and other.ticks:
            return self.ticks == other.ticks
        return abs(self.create_time - other.create_time) <= _SAME_INSTANT_SECONDS


def _ticks(pid: int) -> int:
    """The start of a process in ticks, as proc(5) has it; 0 if there is none to be read."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(stat.rpartition(")")[2].split()[19])


def terminate(identity: ProcessIdentity) -> None:
    """Ask the process to end (SIGTERM); nothing happens if it has ended."""
    if process := identity.find():
        _quietly(process.terminate)


def kill(identity: ProcessIdentity) -> bool:
    """SIGKILL the process; return whether there was one to kill."""
    process = identity.find()
    if process is None:
        return False
    _quietly(process.kill)
    return True


def wait_until_gone(identities: Iterable[ProcessIdentity], seconds: float) -> bool:
    """Wait until none of the processes runs; return False if some still do after `seconds`."""
    remaining = list(identities)
    deadline = time.monotonic() + seconds
    while remaining := [identity for identity in remaining if identity.find()]:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@dataclass(frozen=True)
class Worker:
    """One Lambda worker process and the function it serves."""

    function_name: str
    identity: ProcessIdentity


def workers_directory(settings: Settings) -> Path:
    """Return the directory below which the Lambda workers' directories are, and their code."""
    return settings.directory / "tmp"


def find_workers(settings: Settings) -> list[Worker]:
    """Return the Lambda workers of this local cloud that run now."""
    parent = workers_directory(settings)
    found = []
    for process in psutil.process_iter():
        try:
            scripts = [Path(a) for a in process.cmdline() if a.startswith(f"{parent}/")]
            matches = [_WORKER_DIRECTORY.fullmatch(script.parent.name) for script in scripts]
            if matches and matches[0]:
                identity = ProcessIdentity.of_process(process)
                found.append(Worker(matches[0]["function"], identity))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def kill_workers(settings: Settings) -> list[Worker]:
    """SIGKILL every Lambda worker of this local cloud; return those that ran."""
    return [worker for worker in find_workers(settings) if kill(worker.identity)]


def remove_worker_directories(settings: Settings) -> None:
    """Delete what ended workers left behind, and code whose extraction was broken off."""
    for directory in workers_directory(settings).glob("*"):
        if _WORKER_DIRECTORY.fullmatch(directory.name) or directory.name.startswith("draft-"):
            shutil.rmtree(directory, ignore_errors=True)


def _quietly(action: Callable[[], None]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        action()
