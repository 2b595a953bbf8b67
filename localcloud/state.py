"""The state file in which the supervisor says what it runs."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from localcloud.processes import ProcessIdentity
from localcloud.settings import Settings

RUNNING = "running"
STOPPED = "stopped"
RESTARTING = "restarting"


@dataclass(frozen=True)
class ServiceState:
    """One service as the supervisor last saw it; `since` is in seconds since the epoch."""

    name: str
    port: int
    state: str
    restarts: int
    since: float
    process: ProcessIdentity | None


@dataclass(frozen=True)
class CloudState:
    """The supervisor's own identity and its services."""

    supervisor: ProcessIdentity
    services: tuple[ServiceState, ...]


def write(settings: Settings, state: CloudState) -> None:
    """Replace the state file in one step, so that no reader sees half of it."""
    path = _path(settings)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(state), indent=1))
    draft.replace(path)


def read(settings: Settings) -> CloudState | None:
    """Return what the state file says, or None if there is none that can be read."""
    try:
        document = json.loads(_path(settings).read_text())
        return CloudState(
            supervisor=ProcessIdentity(**document["supervisor"]),
            services=tuple(_service(entry) for entry in document["services"]),
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def read_running(settings: Settings) -> CloudState | None:
    """Return the state of the local cloud if its supervisor runs; a stale file counts as none."""
    state = read(settings)
    return state if state and state.supervisor.find() else None


def remove(settings: Settings) -> None:
    """Delete the state file, if there is one."""
    _path(settings).unlink(missing_ok=True)


def _service(entry: dict[str, object]) -> ServiceState:
    process = entry.pop("process")
    identity = ProcessIdentity(**process) if isinstance(process, dict) else None
    return ServiceState(**entry, process=identity)  # type: ignore[arg-type]  # read() catches what does not fit


def _path(settings: Settings) -> Path:
    return settings.directory / "state.json"
