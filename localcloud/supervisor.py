"""Start, stop, inspect and hurt a local cloud."""

import contextlib
import fcntl
import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from localcloud import ports, processes, state, targets, workers
from localcloud.errors import LocalCloudError
from localcloud.processes import ProcessIdentity
from localcloud.services import SERVICE_NAMES, Service, all_services, python_environment
from localcloud.settings import HOST, Settings

_READY_SECONDS = 60.0
# A service that ends this often before it answers once will not start at all.
_MOST_RESTARTS = 3
_STOP_SECONDS = 25.0
_HEALTH_SECONDS = 2.0
_LOG_TAIL_LINES = 15
# What the extra `local` installs for the services, which run with this interpreter.
_LIBRARIES = ("aiohttp", "aws_durable_execution_sdk_python_testing", "yaml")
# Loopback requests must not go through a proxy that the caller's environment names.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class ProcessStatus:
    """One service: `state` is "running", "stopped" or "restarting"; `since` epoch seconds."""

    name: str
    pid: int | None
    state: str
    port: int
    restarts: int
    since: float | None


def up(settings: Settings) -> None:
    """Start the local cloud, or wait for the one that runs; return when it answers.

    Raises LocalCloudError when a port is taken, a command is missing, another local cloud
    runs on the same directory with other ports, or a service does not become healthy.
    """
    _make_directories(settings)
    with _locked(settings):
        running = state.read_running(settings)
        if running:
            _require_same_ports(settings, running)
            _wait_until_healthy(settings, running.supervisor)
        else:
            _start(settings)


def down(settings: Settings) -> list[str]:
    """Stop everything this local cloud runs and nothing else; return the names of what ran."""
    if not settings.directory.is_dir():
        return []
    with _locked(settings):
        recorded = state.read(settings)
        stopped = _stop_recorded(recorded) if recorded else []
        stopped += [f"worker of {w.function_name}" for w in workers.kill_workers(settings)]
        workers.remove_worker_directories(settings)
        state.remove(settings)
        return stopped


def status(settings: Settings) -> list[ProcessStatus]:
    """Return one entry per service; all are "stopped" when the local cloud is down."""
    running = state.read_running(settings)
    if running is None:
        return [
            ProcessStatus(s.name, None, state.STOPPED, s.port, 0, None)
            for s in all_services(settings, {})
        ]
    return [_status(service) for service in running.services]


def kill(settings: Settings, target: str, served_seconds: float = 0.0) -> list[int]:
    """SIGKILL a service, or the workers of a Lambda function; return the killed process ids.

    `target` is a service's name, a function's name or a unique end of one. Of a function only
    workers that are older than `served_seconds` are killed; without one the list is empty. Raises
    LocalCloudError for an unknown target.
    """
    if target in SERVICE_NAMES:
        return _kill_service(settings, target)
    function_name = targets.resolve(settings, target)
    own_names = {function_name, targets.twin_name(function_name)}
    youngest = time.time() - served_seconds
    return [
        worker.identity.pid
        for worker in workers.find_workers(settings)
        if worker.function_name in own_names
        and worker.identity.create_time <= youngest
        and processes.kill(worker.identity)
    ]


def busy_ports(settings: Settings) -> dict[str, str]:
    """Return who holds the ports of the services that do not run, by the services' names."""
    stopped = {s.name for s in status(settings) if s.state == state.STOPPED}
    services = [s for s in all_services(settings, {}) if s.name in stopped]
    return {s.name: _port_holder(s.port) for s in services if not _is_free(s.port)}


def logs_path(settings: Settings, name: str) -> Path:
    """Return the log file of a service or of the supervisor; LocalCloudError for other names."""
    known = ("supervisor", *SERVICE_NAMES)
    if name not in known:
        raise LocalCloudError(f"{name!r} has no log file: choose one of {', '.join(known)}.")
    return settings.directory / "logs" / f"{name}.log"


def _make_directories(settings: Settings) -> None:
    for name in ("logs", "tmp", "ministack", "runner", "gateway"):
        (settings.directory / name).mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def _locked(settings: Settings) -> Iterator[None]:
    """Let only one `up` or `down` work on the directory at a time."""
    with (settings.directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _require_same_ports(settings: Settings, running: state.CloudState) -> None:
    wanted = {s.name: s for s in all_services(settings, {})}
    for service in running.services:
        expected = wanted[service.name]
        if service.port != expected.port:
            raise LocalCloudError(
                f"The local cloud in {settings.directory} already runs with {service.name} on "
                f"port {service.port}, not {expected.port}: stop it first, or set "
                f"{expected.port_variable}={service.port}."
            )


def _start(settings: Settings) -> None:
    _require_installed(settings)
    ports.require_same(settings)
    _end_leftovers(settings)
    for service in all_services(settings, {}):
        _require_free_port(service)
    starter_end, supervisor = _spawn_supervisor(settings)
    # Closing the pipe without the go-ahead tells the supervisor to stop everything. The kernel
    # closes it too if this process is killed.
    try:
        _wait_until_healthy(settings, supervisor)
        ports.remember(settings)
        os.write(starter_end, b"!")
    except BaseException:  # an interruption too: what was started must not outlive its start
        os.close(starter_end)
        processes.wait_until_gone([supervisor], _STOP_SECONDS)
        raise
    os.close(starter_end)


def _require_installed(settings: Settings) -> None:
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise LocalCloudError(
            f"The local cloud needs {', '.join(missing)}, and {sys.executable} does not have it: "
            "install durable-pipeline[local] there, or use the pipelinectl of `make setup`."
        )
    if not settings.ministack_command.is_file():
        raise LocalCloudError(
            f"{settings.ministack_command} does not exist: run `make setup` in a checkout of "
            "durable-pipeline and go on from there, or set LOCALCLOUD_MINISTACK to the ministack "
            "command."
        )


def _end_leftovers(settings: Settings) -> None:
    """End what a supervisor that was itself killed could not end."""
    recorded = state.read(settings)
    if recorded:
        _stop_recorded(recorded)
    workers.kill_workers(settings)


def _require_free_port(service: Service) -> None:
    if not _is_free(service.port):
        raise LocalCloudError(_port_busy(service))


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _port_busy(service: Service) -> str:
    return (
        f"Port {service.port}, which {service.name} needs, is in use by "
        f"{_port_holder(service.port)}: stop that process, or set {service.port_variable} to a "
        "free port."
    )


def _port_holder(port: int) -> str:
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return "another process"
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and _port_of(connection.laddr) == port:
            return _describe(connection.pid)
    return "another process"


def _port_of(address: tuple[object, ...]) -> object:
    return address[1] if len(address) > 1 else None


def _describe(pid: int | None) -> str:
    if pid is None:
        return "another user's process"
    try:
        return f"{psutil.Process(pid).name()} (pid {pid})"
    except psutil.NoSuchProcess:
        return f"pid {pid}"


def _spawn_supervisor(settings: Settings) -> tuple[int, ProcessIdentity]:
    supervisor_end, starter_end = os.pipe()
    with logs_path(settings, "supervisor").open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own module
            (sys.executable, "-m", "localcloud.supervise", "--starter-pipe", str(supervisor_end)),
            env=python_environment(settings, os.environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(supervisor_end,),
        )
    os.close(supervisor_end)
    # The supervisor outlives this process on purpose; nobody here waits for its exit code.
    process.returncode = 0
    identity = ProcessIdentity.of(process.pid)
    if identity is None:
        os.close(starter_end)
        raise LocalCloudError(_did_not_start(settings, "supervisor"))
    return starter_end, identity


def _wait_until_healthy(settings: Settings, supervisor: ProcessIdentity) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    restarts_before = _restarts(settings)
    for service in all_services(settings, {}):
        while not _is_healthy(service):
            if supervisor.find() is None:
                raise LocalCloudError(_did_not_start(settings, "supervisor"))
            restarts = _restarts(settings).get(service.name, 0)
            keeps_ending = restarts - restarts_before.get(service.name, 0) >= _MOST_RESTARTS
            if keeps_ending or time.monotonic() > deadline:
                raise LocalCloudError(_did_not_start(settings, service.name))
            time.sleep(0.05)


def _restarts(settings: Settings) -> dict[str, int]:
    recorded = state.read(settings)
    return {s.name: s.restarts for s in recorded.services} if recorded else {}


def _is_healthy(service: Service) -> bool:
    try:
        with _opener.open(service.health_url, timeout=_HEALTH_SECONDS) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _did_not_start(settings: Settings, name: str) -> str:
    path = logs_path(settings, name)
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    tail = "\n".join(lines[-_LOG_TAIL_LINES:])
    return f"{name} did not start; see {path}. Its last lines:\n{tail}"


def _stop_recorded(recorded: state.CloudState) -> list[str]:
    """Stop the supervisor, which stops the rest; then end whatever it could not."""
    services = {s.name: s.process for s in recorded.services if s.process and s.process.find()}
    processes.terminate(recorded.supervisor)
    if not processes.wait_until_gone([recorded.supervisor], _STOP_SECONDS):
        processes.kill(recorded.supervisor)
    with contextlib.suppress(ChildProcessError):
        # It is this process's own child when `up` ran here: collect it.
        os.waitpid(recorded.supervisor.pid, os.WNOHANG)
    for identity in services.values():
        processes.terminate(identity)
    if not processes.wait_until_gone(services.values(), _STOP_SECONDS):
        for identity in services.values():
            processes.kill(identity)
    return list(services)


def _status(service: state.ServiceState) -> ProcessStatus:
    alive = service.process is not None and service.process.find() is not None
    return ProcessStatus(
        name=service.name,
        pid=service.process.pid if alive and service.process else None,
        state=state.RUNNING if alive else state.RESTARTING,
        port=service.port,
        restarts=service.restarts,
        since=service.since,
    )


def _kill_service(settings: Settings, name: str) -> list[int]:
    running = state.read_running(settings)
    if running is None:
        raise LocalCloudError(
            f"Cannot kill {name}: the local cloud in {settings.directory} is down. Start it first."
        )
    return [
        service.process.pid
        for service in running.services
        if service.name == name and service.process and processes.kill(service.process)
    ]
