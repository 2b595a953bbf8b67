"""The local cloud as the command line uses it: start, deploy, ask, hurt, stop."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from pipelinectl.errors import NotFoundError, OperationFailedError
from pipelinectl.stack import FUNCTION_ROLES, function_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from localcloud.settings import Settings
    from localcloud.supervisor import ProcessStatus
    from localcloud.watch import Watch

TEMPLATE = "template.yaml"

# What differs on a laptop: executions and deliveries that are given up while someone watches.
LOCAL_PARAMETERS: Mapping[str, str] = {
    "Environment": "local",
    "ExecutionTimeout": "60",
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


def deploy(
    settings: Settings, template: Path, stack_name: str, echo: Callable[[str], None] | None = None
) -> dict[str, str]:
    """Build `template` and deploy it to the local cloud; answers with the stack's outputs."""
    from localcloud.deploy import deploy as deploy_locally

    with told_plainly():
        return deploy_locally(
            settings,
            template=template,
            stack_name=stack_name,
            parameters=dict(LOCAL_PARAMETERS),
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


def log_groups(stack_name: str, function: str) -> tuple[str, ...]:
    """Log groups of a function that is named in full or by its role in the stack.

    The local cloud runs the handler of a durable function as a function of its own.
    """
    from localcloud.overlay import twin_name

    name = _full_name(stack_name, function)
    return (f"/aws/lambda/{name}", f"/aws/lambda/{twin_name(name)}")


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
