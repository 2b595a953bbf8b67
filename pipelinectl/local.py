"""The local cloud as the command line uses it: start, deploy, ask, hurt, stop."""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelinectl.aws import FUNCTION_ROLES, function_name
from pipelinectl.errors import NotFoundError, OperationFailedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from localcloud.settings import Settings
    from localcloud.supervisor import ProcessStatus
    from localcloud.watch import Watch


TEMPLATE = "template.yaml"

# What differs on a laptop: executions and deliveries that are given up while someone watches, and
# few batches at once, because more of them only start more processes than it has processors.
LOCAL_PARAMETERS = {
    "Environment": "local",
    "ExecutionTimeout": "60",
    "MaximumConcurrency": "3",
    "VisibilityTimeout": "75",
    "StageTimeout": "20",
    "FilesTimeout": "20",
    "TimeToLiveInDays": "0",
}

SUPERVISOR = "supervisor"
_RUNNING = "running"


def find_template(start: Path) -> Path:
    """The nearest template.yaml in `start` or a folder above it.

    Raises:
        NotFoundError: there is none.
    """
    for folder in (start, *start.parents):
        if (folder / TEMPLATE).is_file():
            return folder / TEMPLATE
    msg = f"no {TEMPLATE} in {start} or above: change to the project's folder"
    raise NotFoundError(msg)


def settings_from(environ: Mapping[str, str]) -> Settings:
    """The local cloud's settings: the LOCALCLOUD_* variables or their defaults."""
    from localcloud.settings import Settings

    with told_plainly():
        return Settings.from_environment(environ)


def client_environment(settings: Settings) -> dict[str, str]:
    """The variables that lead clients to the local cloud, with its root's credentials."""
    with told_plainly():
        return settings.client_environment()


def client_environment_if_up(environ: Mapping[str, str]) -> dict[str, str] | None:
    """The variables that lead clients to the local cloud, or None when it is not up."""
    settings = settings_from(environ)
    return client_environment(settings) if is_up(processes(settings)) else None


def processes(settings: Settings) -> list[ProcessStatus]:
    """Each of the local cloud's processes, whether it runs or not."""
    from localcloud import supervisor

    with told_plainly():
        return supervisor.status(settings)


def is_up(statuses: list[ProcessStatus]) -> bool:
    """Whether a supervisor looks after the processes, even if one is just being restarted."""
    return any(status.state == _RUNNING for status in statuses)


def start(settings: Settings) -> None:
    """Start the local cloud and wait until it answers; nothing happens when it is up."""
    from localcloud import supervisor

    with told_plainly():
        supervisor.up(settings)


def stop(settings: Settings) -> list[str]:
    """Stop the local cloud; answers with the names of what was stopped."""
    from localcloud import supervisor

    with told_plainly():
        return supervisor.down(settings)


def parameters(template: Path, given: Sequence[str]) -> dict[str, str]:
    """What `template` is deployed with here beside its defaults: a laptop's, and `NAME=VALUE`.

    Raises:
        UsageError: one is not of that form, or the template has no such parameter.
    """
    if not given:
        return dict(LOCAL_PARAMETERS)
    with told_plainly():
        from localcloud import cloudformation_yaml

        declared = (cloudformation_yaml.load(template) or {}).get("Parameters", {})
    named = [one.partition("=") for one in given]
    for text, (name, equals, _) in zip(given, named, strict=True):
        if not equals or name not in declared:
            known = ", ".join(sorted(declared))
            msg = f"--parameter {text}: give NAME=VALUE, NAME one of {template.name}'s: {known}"
            raise UsageError(msg)
    return LOCAL_PARAMETERS | {name: value for name, _, value in named}


def deploy(
    settings: Settings,
    template: Path,
    stack_name: str,
    parameters: Mapping[str, str],
    echo: Callable[[str], None] | None = None,
) -> dict[str, str]:
    """Build `template` and deploy it to the local cloud; answers with the stack's outputs."""
    from localcloud.deploy import deploy as deploy_locally

    with told_plainly():
        return deploy_locally(
            settings,
            template=template,
            stack_name=stack_name,
            parameters=parameters,
            echo=echo,
        )


def watch(settings: Settings, template: Path, stack_name: str) -> Watch:
    """What notices changes of `template` and of its functions' sources from now on."""
    from localcloud.watch import Watch

    with told_plainly():
        return Watch(settings, template, stack_name)


def kill(
    settings: Settings, stack_name: str, target: str, served_seconds: float = 0.0
) -> list[int]:
    """SIGKILL a process of the local cloud or a function's workers; answers with process ids.

    A function is named in full or by its role in the stack; its workers that are younger than
    `served_seconds` are spared.
    """
    from localcloud import supervisor

    with told_plainly():
        return supervisor.kill(settings, _full_name(stack_name, target), served_seconds)


def log_file(settings: Settings, name: str) -> Path | None:
    """The log file of a process of the local cloud; None where `name` is not one."""
    from localcloud import supervisor

    if name not in (SUPERVISOR, *(status.name for status in processes(settings))):
        return None
    with told_plainly():
        return supervisor.logs_path(settings, name)


def _full_name(stack_name: str, name: str) -> str:
    return function_name(stack_name, name) if name in FUNCTION_ROLES else name


@contextlib.contextmanager
def told_plainly() -> Iterator[None]:
    """Turn the local cloud's own error into one of the command line's."""
    from localcloud.settings import LocalCloudError

    try:
        yield
    except LocalCloudError as error:
        raise OperationFailedError(str(error)) from error


POLL_SECONDS = 1.0


@dataclass(frozen=True)
class LogLine:
    """A line of a log; `at` is None, for the log itself says no time."""

    text: str
    at: None = None


@dataclass(frozen=True)
class FileLog:
    """The log file of a process."""

    path: Path
    pause: Callable[[float], None] = time.sleep

    def lines(self, limit: int, *, follow: bool = False) -> Iterator[LogLine]:
        """The last `limit` lines, then what is written after; following never ends by itself.

        Raises:
            NotFoundError: there is no such file.
        """
        try:
            file = self.path.open(errors="replace")
        except FileNotFoundError as error:
            msg = f"no log {self.path}: start the local cloud with 'pipelinectl local up'"
            raise NotFoundError(msg) from error
        with file:
            yield from map(_file_line, deque(file, maxlen=limit))
            while follow:
                if line := file.readline():
                    yield _file_line(line)
                    continue
                self.pause(POLL_SECONDS)
                # The local cloud begins a long one anew.
                if self.path.stat().st_size < os.lseek(file.fileno(), 0, os.SEEK_CUR):
                    file.seek(0)


def _file_line(line: str) -> LogLine:
    return LogLine(line.rstrip("\n"))
