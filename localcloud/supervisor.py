"""Start, stop, inspect and hurt a local cloud; `python -m localcloud.supervisor` keeps one running.

`up` starts a supervisor process, which outlives it. The supervisor starts three services, restarts
what dies, says in a state file what it runs, and stops everything at the end.
"""

import argparse
import contextlib
import ctypes
import fcntl
import functools
import importlib.util
import json
import logging
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from localcloud import processes
from localcloud.processes import ProcessIdentity
from localcloud.settings import HOST, ROOT, LocalCloudError, Settings, free_settings

log = logging.getLogger("supervisor")

MINISTACK = "ministack"
RUNNER = "runner"
GATEWAY = "gateway"
SERVICE_NAMES = (MINISTACK, RUNNER, GATEWAY)

RUNNING = "running"
STOPPED = "stopped"
RESTARTING = "restarting"

_READY_SECONDS = 120.0
# A service that ends this often before it answers once will not start at all.
_MOST_RESTARTS = 3
_FIRST_BACKOFF_SECONDS = 0.2
_LONGEST_BACKOFF_SECONDS = 5.0
_STEADY_SECONDS = 10.0
# For ministack to save its state, which takes a second or so. It is not killed while it does.
_STOP_SECONDS = 30.0
# A supervisor has to wait for that, to kill ministack where that is too little, and to tidy up.
_SUPERVISOR_STOP_SECONDS = 45.0
_HEALTH_SECONDS = 2.0
_LOG_TAIL_LINES = 15
MOST_LOG_BYTES = 10_000_000
"""Of a log, before it is begun anew."""
_LOG_SECONDS = 10.0
_PR_SET_PDEATHSIG = 1
# Of what a supervisor runs. One of another version cannot restart its services: their modules have
# other names now.
_VERSION = 3
# What the local cloud writes is nobody's but this user's: the bits that no file or folder gets.
_PRIVATE = 0o077
# The caller's credentials, endpoints and interpreter settings must not leak into the services.
_SCRUBBED_PREFIXES = ("AWS_", "MINISTACK_", "LAMBDA_", "LOCALSTACK_", "PYTHON", "VIRTUAL_ENV")
# What ministack's own interpreter runs; this package comes last, where it hides nothing of
# ministack's environment.
_LAUNCH = (
    f"import sys; sys.path.append({str(ROOT)!r}); from localcloud.ministack import main; main()"
)
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


@dataclass(frozen=True)
class Service:
    """How to start one service, on which port it listens and which variable moves it.

    Its environment has credentials, which are there when it starts.
    """

    name: str
    command: tuple[str, ...]
    environment: Callable[[], Mapping[str, str]]
    port: int
    port_variable: str
    health_url: str


@dataclass(frozen=True)
class ServiceState:
    """One service as the supervisor last saw it; `since` is in seconds since the epoch."""

    name: str
    port: int
    restarts: int
    since: float
    process: ProcessIdentity | None


@dataclass(frozen=True)
class CloudState:
    """What the state file says: the supervisor's own identity, its services, its version."""

    supervisor: ProcessIdentity
    services: tuple[ServiceState, ...]
    version: int = _VERSION


def up(settings: Settings) -> None:
    """Start the local cloud, or wait for the one that runs; return when it answers.

    Raises LocalCloudError when a port is taken, a command is missing, another local cloud
    runs on the same directory with other ports or from an earlier version of this package, or a
    service does not become healthy.
    """
    _make_directories(settings)
    with _locked(settings):
        settings.make_credentials()
        running = read_running(settings)
        if running:
            _require_same(settings, running)
            _wait_until_healthy(settings, running.supervisor)
        else:
            _start(settings)


def down(settings: Settings) -> list[str]:
    """Stop everything this local cloud runs and nothing else; return the names of what ran."""
    if not settings.directory.is_dir():
        return []
    with _locked(settings):
        recorded = read_state(settings)
        stopped = _stop_recorded(recorded) if recorded else []
        stopped += [f"worker of {w.function_name}" for w in processes.kill_workers(settings)]
        processes.remove_worker_directories(settings)
        _state_file(settings).unlink(missing_ok=True)
        return stopped


@contextlib.contextmanager
def fresh(directory: Path) -> Iterator[Settings]:
    """Run a new local cloud in `directory`, on free ports, for as long as the block lasts.

    What an earlier one left there goes first; what this one leaves stays, to be looked at.
    """
    settings = free_settings(directory)
    down(settings)
    shutil.rmtree(directory, ignore_errors=True)
    try:
        up(settings)
        yield settings
    finally:
        down(settings)


def status(settings: Settings) -> list[ProcessStatus]:
    """Return one entry per service; all are "stopped" when the local cloud is down."""
    running = read_running(settings)
    if running is None:
        return [
            ProcessStatus(s.name, None, STOPPED, s.port, 0, None)
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
    name = _function_meant(settings, target)
    youngest = time.time() - served_seconds
    return [
        worker.identity.pid
        for worker in processes.find_workers(settings)
        if worker.function_name == name
        and worker.identity.create_time <= youngest
        and processes.kill(worker.identity)
    ]


def busy_ports(settings: Settings) -> dict[str, str]:
    """Return who holds the ports of the services that do not run, by the services' names."""
    stopped = {s.name for s in status(settings) if s.state == STOPPED}
    services = [s for s in all_services(settings, {}) if s.name in stopped]
    return {s.name: _port_holder(s.port) for s in services if not _is_free(s.port)}


def logs_path(settings: Settings, name: str) -> Path:
    """Return the log file of a service or of the supervisor; LocalCloudError for other names."""
    known = ("supervisor", *SERVICE_NAMES)
    if name not in known:
        raise LocalCloudError(f"{name!r} has no log file: choose one of {', '.join(known)}.")
    return settings.directory / "logs" / f"{name}.log"


def write_state(settings: Settings, state: CloudState) -> None:
    """Replace the state file in one step, so that no reader sees half of it."""
    path = _state_file(settings)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(state), indent=1))
    draft.replace(path)


def read_state(settings: Settings) -> CloudState | None:
    """Return what the state file says, or None if there is none that can be read."""
    try:
        document = json.loads(_state_file(settings).read_text())
        return CloudState(
            supervisor=ProcessIdentity(**document["supervisor"]),
            services=tuple(map(_service_state, document["services"])),
            version=document.get("version", 1),
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None


def read_running(settings: Settings) -> CloudState | None:
    """Return the state of the local cloud if its supervisor runs; a stale file counts as none."""
    state = read_state(settings)
    return state if state and state.supervisor.find() else None


def _service_state(entry: Mapping[str, Any]) -> ServiceState:
    process = entry["process"]
    return ServiceState(
        name=entry["name"],
        port=entry["port"],
        restarts=entry["restarts"],
        since=entry["since"],
        process=ProcessIdentity(**process) if process else None,
    )


def _state_file(settings: Settings) -> Path:
    return settings.directory / "state.json"


def all_services(settings: Settings, environ: Mapping[str, str]) -> tuple[Service, ...]:
    """Return the services of this local cloud in the order in which they start."""
    return (
        _ministack(settings, environ),
        _python_service(settings, environ, RUNNER),
        _python_service(settings, environ, GATEWAY),
    )


def python_environment(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which this package's own modules run as processes."""
    return {
        **neutral_environment(environ),
        **settings.client_environment(),
        **settings.to_environment(),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }


def neutral_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what would point a process at another cloud."""
    kept = {
        name: value for name, value in environ.items() if not name.startswith(_SCRUBBED_PREFIXES)
    }
    # HTTP libraries send even loopback requests to a configured proxy unless told otherwise.
    direct = ",".join(filter(None, [kept.get("NO_PROXY") or kept.get("no_proxy"), HOST]))
    return {
        **kept,
        "NO_PROXY": direct,
        "no_proxy": direct,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def _ministack(settings: Settings, environ: Mapping[str, str]) -> Service:
    return Service(
        name=MINISTACK,
        # A console script's Python is installed beside it. -P keeps this folder's modules from
        # hiding others of the same name.
        command=(
            str(settings.ministack_command.resolve().with_name("python")),
            "-P",
            "-c",
            _LAUNCH,
        ),
        environment=lambda: _ministack_environment(settings, environ),
        port=settings.aws_port,
        port_variable="LOCALCLOUD_AWS_PORT",
        health_url=f"{settings.aws_endpoint_url}/_ministack/ready",
    )


def _ministack_environment(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return ministack's whole environment.

    The Lambda workers inherit it, so it holds next to nothing of the caller's: a function must
    not find a variable here that it will not find on AWS.
    """
    directory = settings.directory / "ministack"
    return {
        "PATH": environ.get("PATH", os.defpath),
        "HOME": environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "NO_PROXY": HOST,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "BIND_HOST": HOST,
        "MINISTACK_HOST": HOST,
        "GATEWAY_PORT": str(settings.aws_port),
        "AUTH": "true",
        "MINISTACK_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_ACCESS_KEY_ID": settings.credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": settings.credentials.secret_key,
        "AWS_EC2_METADATA_DISABLED": "true",
        # Lambda workers inherit this environment, so their Lambda clients reach the gateway.
        "AWS_ENDPOINT_URL_LAMBDA": settings.lambda_endpoint_url,
        "PERSIST_STATE": "1",
        "STATE_DIR": str(directory / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(directory / "s3"),
        "TMPDIR": str(processes.workers_directory(settings)),
        "LOCALCLOUD_SAVE_REQUEST": str(settings.save_request_file),
        # Listeners that ministack would open beside its HTTP port, on other addresses too.
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        # ministack removes containers it takes for its own: keep it off any Docker there is.
        "DOCKER_HOST": f"unix://{directory / 'no-docker.sock'}",
        "LAMBDA_EXECUTOR": "local",
        "LAMBDA_STRICT": "0",
    }


def _python_service(settings: Settings, environ: Mapping[str, str], name: str) -> Service:
    port = settings.runner_port if name == RUNNER else settings.lambda_port
    path = "/health" if name == RUNNER else "/_localcloud/health"
    return Service(
        name=name,
        command=(sys.executable, "-m", f"localcloud.{name}"),
        environment=lambda: python_environment(settings, environ),
        port=port,
        port_variable="LOCALCLOUD_RUNNER_PORT" if name == RUNNER else "LOCALCLOUD_LAMBDA_PORT",
        health_url=f"http://{HOST}:{port}{path}",
    )


def _make_directories(settings: Settings) -> None:
    """Make the folders, private to this user."""
    settings.directory.parent.mkdir(parents=True, exist_ok=True)
    settings.directory.mkdir(mode=0o700, exist_ok=True)
    _make_private(settings.directory)
    for name in ("build", "gateway", "logs", "ministack", "runner", "tmp"):
        folder = settings.directory / name
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
    (settings.directory / "lock").touch(mode=0o600)


def _make_private(directory: Path) -> None:
    """Close a folder to others that an earlier version made, or that is empty."""
    mode = directory.stat().st_mode
    if not mode & _PRIVATE:
        return
    if any(directory.iterdir()) and not (directory / "lock").exists():
        raise LocalCloudError(
            f"{directory} is no local cloud's, others may look into it, and what is stored in a "
            f"local cloud is private: run `chmod 700 {directory}`, or set LOCALCLOUD_DIR to a "
            "folder of its own."
        )
    directory.chmod(0o700)


@contextlib.contextmanager
def _locked(settings: Settings) -> Iterator[None]:
    """Let only one `up` or `down` work on the directory at a time."""
    with (settings.directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _require_same(settings: Settings, running: CloudState) -> None:
    if running.version != _VERSION:
        raise LocalCloudError(
            f"The local cloud in {settings.directory} was started by another version of this "
            "program: stop it first, with `pipelinectl local down`."
        )
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
    settings.require_same_ports()
    _end_leftovers(settings)
    for service in all_services(settings, {}):
        _require_free_port(service)
    starter_end, supervisor = _spawn_supervisor(settings)
    # Closing the pipe without the go-ahead tells the supervisor to stop everything. The kernel
    # closes it too if this process is killed.
    try:
        _wait_until_healthy(settings, supervisor)
        settings.remember_ports()
        os.write(starter_end, b"!")
    except BaseException:  # an interruption too: what was started must not outlive its start
        os.close(starter_end)
        processes.wait_until_gone([supervisor], _SUPERVISOR_STOP_SECONDS)
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
    recorded = read_state(settings)
    if recorded:
        _stop_recorded(recorded)
    processes.kill_workers(settings)


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
    log_file = logs_path(settings, "supervisor")
    log_file.touch(mode=0o600)
    with log_file.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own module
            (sys.executable, "-m", "localcloud.supervisor", "--starter-pipe", str(supervisor_end)),
            env=python_environment(settings, os.environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(supervisor_end,),
            umask=_PRIVATE,
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
        while not _is_healthy(service, settings):
            if supervisor.find() is None:
                raise LocalCloudError(_did_not_start(settings, "supervisor"))
            restarts = _restarts(settings).get(service.name, 0)
            keeps_ending = restarts - restarts_before.get(service.name, 0) >= _MOST_RESTARTS
            if keeps_ending or time.monotonic() > deadline:
                raise LocalCloudError(_did_not_start(settings, service.name))
            time.sleep(0.05)


def _restarts(settings: Settings) -> dict[str, int]:
    recorded = read_state(settings)
    return {s.name: s.restarts for s in recorded.services} if recorded else {}


def _is_healthy(service: Service, settings: Settings) -> bool:
    from localcloud import signatures  # slow, and the supervisor itself does without

    url = service.health_url
    headers = signatures.sign(settings.credentials, settings.region, "GET", url)
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - our own URL
        with _opener.open(request, timeout=_HEALTH_SECONDS) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _did_not_start(settings: Settings, name: str) -> str:
    path = logs_path(settings, name)
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    tail = "\n".join(lines[-_LOG_TAIL_LINES:])
    return f"{name} did not start; see {path}. Its last lines:\n{tail}"


def _stop_recorded(recorded: CloudState) -> list[str]:
    """Stop the supervisor, which stops the rest; then end whatever it could not."""
    services = {s.name: s.process for s in recorded.services if s.process and s.process.find()}
    _end([recorded.supervisor], _SUPERVISOR_STOP_SECONDS)
    with contextlib.suppress(ChildProcessError):
        # It is this process's own child when `up` ran here: collect it.
        os.waitpid(recorded.supervisor.pid, os.WNOHANG)
    # Of a supervisor that was itself killed: ministack still saves its state.
    _end(list(services.values()), _STOP_SECONDS)
    return list(services)


def _end(identities: Sequence[ProcessIdentity], seconds: float) -> None:
    """Have the processes end by SIGTERM, and after so long by SIGKILL."""
    for identity in identities:
        processes.terminate(identity)
    if not processes.wait_until_gone(identities, seconds):
        for identity in identities:
            processes.kill(identity)


def _status(service: ServiceState) -> ProcessStatus:
    alive = service.process is not None and service.process.find() is not None
    return ProcessStatus(
        name=service.name,
        pid=service.process.pid if alive and service.process else None,
        state=RUNNING if alive else RESTARTING,
        port=service.port,
        restarts=service.restarts,
        since=service.since,
    )


def _kill_service(settings: Settings, name: str) -> list[int]:
    running = read_running(settings)
    if running is None:
        raise LocalCloudError(
            f"Cannot kill {name}: the local cloud in {settings.directory} is down. Start it first."
        )
    return [
        service.process.pid
        for service in running.services
        if service.name == name and service.process and processes.kill(service.process)
    ]


def _function_meant(settings: Settings, target: str) -> str:
    """Return the function named `target`, or that alone ends with `-<target>`."""
    names = {worker.function_name for worker in processes.find_workers(settings)}
    names |= _deployed_functions(settings)
    known = sorted(names)
    matches = [name for name in known if name == target] or [
        name for name in known if name.endswith(f"-{target}")
    ]
    if len(matches) != 1:
        problem = "matches several functions" if matches else "is no known target"
        choice = ", ".join([*SERVICE_NAMES, *known])
        raise LocalCloudError(f"{target!r} {problem}: choose one of {choice}.")
    return matches[0]


def _deployed_functions(settings: Settings) -> set[str]:
    if read_running(settings) is None:
        return set()
    import boto3  # slow, and the supervisor itself does without
    from botocore.exceptions import BotoCoreError

    client = boto3.client("lambda", **settings.root_client_options())
    try:
        pages = client.get_paginator("list_functions").paginate()
        return {function["FunctionName"] for page in pages for function in page["Functions"]}
    except BotoCoreError:
        # ministack is being restarted: the workers that run are all there is to kill.
        return set()


@dataclass
class Child:
    """One supervised service and what has happened to it so far."""

    service: Service
    log_file: Path
    process: subprocess.Popen[bytes] | None = None
    identity: ProcessIdentity | None = None
    restarts: int = 0
    since: float = field(default_factory=time.time)
    backoff: float = _FIRST_BACKOFF_SECONDS
    start_again_at: float | None = None

    def start(self) -> None:
        """Start the service with its output appended to its log file."""
        with self.log_file.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - our own services
                self.service.command,
                env=dict(self.service.environment()),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=functools.partial(_die_with, os.getpid()),
                umask=_PRIVATE,
            )
        self.identity = ProcessIdentity.of(self.process.pid)
        self.since = time.time()
        self.start_again_at = None

    def reap(self) -> int | None:
        """Return the exit code of a service that has just ended, else None."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        self.process = None
        self.identity = None
        return code

    def plan_restart(self) -> None:
        """Set when to start again: soon after a long life, ever later after short ones."""
        if time.time() - self.since > _STEADY_SECONDS:
            self.backoff = _FIRST_BACKOFF_SECONDS
        self.start_again_at = time.monotonic() + self.backoff
        self.backoff = min(2 * self.backoff, _LONGEST_BACKOFF_SECONDS)
        self.restarts += 1
        self.since = time.time()

    def snapshot(self) -> ServiceState:
        """Return what the state file says about this service."""
        return ServiceState(
            name=self.service.name,
            port=self.service.port,
            restarts=self.restarts,
            since=self.since,
            process=self.identity,
        )


class Supervisor:
    """Keeps the children running until it is told to stop or its starter gives up."""

    def __init__(self, settings: Settings, starter_pipe: int) -> None:
        self._settings = settings
        self._starter_pipe: int | None = starter_pipe
        self._stopping = False
        logs = settings.directory / "logs"
        self._children = [
            Child(service, logs / f"{service.name}.log")
            for service in all_services(settings, os.environ)
        ]
        self._wakeup_read, self._wakeup_write = os.pipe()

    def run(self) -> None:
        """Supervise until SIGTERM or SIGINT, then stop everything."""
        self._listen_for_signals()
        processes.remove_worker_directories(self._settings)
        try:
            for child in self._children:
                self._start(child)
            while not self._stopping:
                self._wait()
                self._look_after_children()
                self._cut_logs()
        finally:
            self._stop_everything()

    def _listen_for_signals(self) -> None:
        os.set_blocking(self._wakeup_write, False)
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _wake_up_only)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop_on_signal)

    def _stop_on_signal(self, number: int, _frame: FrameType | None) -> None:
        log.info("received %s", signal.Signals(number).name)
        self._stopping = True

    def _start(self, child: Child) -> None:
        child.start()
        log.info("started %s with pid %s", child.service.name, child.process and child.process.pid)
        self._write_state()

    def _wait(self) -> None:
        waited_for = [self._wakeup_read]
        if self._starter_pipe is not None:
            waited_for.append(self._starter_pipe)
        readable, _, _ = select.select(waited_for, [], [], self._seconds_to_wait())
        if self._wakeup_read in readable:
            os.read(self._wakeup_read, 4096)
        if self._starter_pipe in readable:
            self._hear_from_starter(self._starter_pipe)

    def _seconds_to_wait(self) -> float:
        """Until a child is to be started again, or the logs are to be looked at."""
        now = time.monotonic()
        planned = [c.start_again_at for c in self._children if c.start_again_at is not None]
        return max(0.0, min([*planned, now + _LOG_SECONDS]) - now)

    def _hear_from_starter(self, pipe: int) -> None:
        go_ahead = os.read(pipe, 1)
        os.close(pipe)
        self._starter_pipe = None
        if not go_ahead:
            log.info("the starter ended before everything was ready")
            self._stopping = True

    def _look_after_children(self) -> None:
        for child in self._children:
            code = child.reap()
            if code is not None and not self._stopping:
                self._handle_death(child, code)
            elif child.start_again_at is not None and time.monotonic() >= child.start_again_at:
                self._start(child)

    def _cut_logs(self) -> None:
        for name in ("supervisor", *SERVICE_NAMES):
            cut_log(logs_path(self._settings, name))

    def _handle_death(self, child: Child, code: int) -> None:
        child.plan_restart()
        log.warning(
            "%s ended with exit code %d; restart %d", child.service.name, code, child.restarts
        )
        if child.service.name == MINISTACK:
            # Its Lambda workers have lost the process that reads their answers.
            for worker in processes.kill_workers(self._settings):
                log.info("killed left-over worker of %s", worker.function_name)
        self._write_state()

    def _stop_everything(self) -> None:
        log.info("stopping")
        ministack, runner, gateway = self._children
        # With the runner gone, no execution counts the end of the others as a failure. It and the
        # gateway keep in files, at every moment, what they know: there is nothing to wait for.
        for child, number in (
            (runner, signal.SIGKILL),
            (gateway, signal.SIGKILL),
            (ministack, signal.SIGTERM),
        ):
            if child.process:
                child.process.send_signal(number)
        # ministack answers what is under way before it saves; for these, nobody waits any more.
        processes.kill_workers(self._settings)
        for child in self._children:
            _wait_or_kill(child)
        processes.kill_workers(self._settings)
        processes.remove_worker_directories(self._settings)
        _state_file(self._settings).unlink(missing_ok=True)
        log.info("stopped")

    def _write_state(self) -> None:
        own = ProcessIdentity.of(os.getpid())
        if own is not None:
            services = tuple(child.snapshot() for child in self._children)
            write_state(self._settings, CloudState(own, services))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run as the supervisor process; `up` starts it."""
    parser = argparse.ArgumentParser(prog="localcloud.supervisor")
    parser.add_argument("--starter-pipe", type=int, required=True)
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    Supervisor(Settings.from_environment(os.environ), options.starter_pipe).run()


def cut_log(path: Path) -> None:
    """Begin a log anew that has become long; its end so far is in the file `<name>.log.1`.

    Whoever writes it appends, and goes on where it ends.
    """
    if path.exists() and path.stat().st_size > MOST_LOG_BYTES:
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)


def _wait_or_kill(child: Child) -> None:
    if child.process is None:
        return
    try:
        child.process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        log.warning("%s ignored SIGTERM and is killed", child.service.name)
        child.process.kill()
        child.process.wait()


def _wake_up_only(_number: int, _frame: FrameType | None) -> None:
    """Let the signal reach the wake-up pipe; without a handler SIGCHLD would be discarded."""


def _die_with(parent: int) -> None:
    """Have the kernel end this child when the supervisor dies, however it dies (Linux only)."""
    if not sys.platform.startswith("linux"):
        return
    prctl: Callable[..., int] = ctypes.CDLL(None).prctl
    prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
