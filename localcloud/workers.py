"""The Lambda worker processes of a local cloud, found by the directory they work in."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from localcloud import processes
from localcloud.processes import ProcessIdentity
from localcloud.settings import Settings

# ministack runs each worker in mkdtemp(prefix="ministack-lambda-<function>-").
_WORKER_DIRECTORY = re.compile(r"ministack-lambda-(?P<function>.+)-[a-z0-9_]{8}")


@dataclass(frozen=True)
class Worker:
    """One Lambda worker process and the function it serves."""

    function_name: str
    identity: ProcessIdentity


def workers_directory(settings: Settings) -> Path:
    """Return the directory below which all Lambda workers of this local cloud work."""
    return settings.directory / "tmp"


def find_workers(settings: Settings) -> list[Worker]:
    """Return the Lambda workers of this local cloud that run now."""
    parent = workers_directory(settings)
    found = []
    for identity, directory in processes.below_directory(parent):
        match = _WORKER_DIRECTORY.fullmatch(directory.relative_to(parent).parts[0])
        if match:
            found.append(Worker(match["function"], identity))
    return found


def kill_workers(settings: Settings) -> list[Worker]:
    """SIGKILL every Lambda worker of this local cloud; return those that ran."""
    return [worker for worker in find_workers(settings) if processes.kill(worker.identity)]


def remove_worker_directories(settings: Settings) -> None:
    """Delete what ended workers left behind."""
    for directory in workers_directory(settings).glob("ministack-lambda-*"):
        if _WORKER_DIRECTORY.fullmatch(directory.name):
            shutil.rmtree(directory, ignore_errors=True)
