"""The supervisor process: starts the services, restarts what dies, stops everything at the end."""

import argparse
import contextlib
import ctypes
import functools
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from localcloud import processes, state, workers
from localcloud.processes import ProcessIdentity
from localcloud.services import GATEWAY, MINISTACK, RUNNER, Service, all_services
from localcloud.settings import Settings, from_process_environment

log = logging.getLogger("supervisor")

# The runner goes first: with it gone, no execution counts the end of the others as a failure.
# ministack goes last and has time to save its state.
_STOP_ORDER = (RUNNER, GATEWAY, MINISTACK)
_STOP_SECONDS = {RUNNER: 2.0, GATEWAY: 2.0, MINISTACK: 15.0}
_FIRST_BACKOFF_SECONDS = 0.2
_LONGEST_BACKOFF_SECONDS = 5.0
_STEADY_SECONDS = 10.0
_PR_SET_PDEATHSIG = 1


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
                env=dict(self.service.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=functools.partial(_die_with, os.getpid()),
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

    def snapshot(self) -> state.ServiceState:
        """Return what the state file says about this service."""
        return state.ServiceState(
            name=self.service.name,
            port=self.service.port,
            state=state.RUNNING if self.process else state.RESTARTING,
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
        workers.remove_worker_directories(self._settings)
        try:
            for child in self._children:
                self._start(child)
            while not self._stopping:
                self._wait()
                self._look_after_children()
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
        readable, _, _ = select.select(waited_for, [], [], self._seconds_to_next_start())
        if self._wakeup_read in readable:
            os.read(self._wakeup_read, 4096)
        if self._starter_pipe in readable:
            self._hear_from_starter(self._starter_pipe)

    def _seconds_to_next_start(self) -> float | None:
        planned = [c.start_again_at for c in self._children if c.start_again_at is not None]
        return max(0.0, min(planned) - time.monotonic()) if planned else None

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

    def _handle_death(self, child: Child, code: int) -> None:
        child.plan_restart()
        log.warning(
            "%s ended with exit code %d; restart %d", child.service.name, code, child.restarts
        )
        if child.service.name == MINISTACK:
            # Its Lambda workers have lost the process that reads their answers.
            for worker in workers.kill_workers(self._settings):
                log.info("killed left-over worker of %s", worker.function_name)
        self._write_state()

    def _stop_everything(self) -> None:
        log.info("stopping")
        by_name = {child.service.name: child for child in self._children}
        for name in _STOP_ORDER:
            _ask_to_stop(by_name[name])
            if name == MINISTACK:
                # It waits for the invocations under way; with the runner gone, nobody else does.
                workers.kill_workers(self._settings)
            _wait_or_kill(by_name[name])
        workers.kill_workers(self._settings)
        workers.remove_worker_directories(self._settings)
        state.remove(self._settings)
        log.info("stopped")

    def _write_state(self) -> None:
        own = ProcessIdentity.of(os.getpid())
        if own is not None:
            services = tuple(child.snapshot() for child in self._children)
            state.write(self._settings, state.CloudState(own, services))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run as the supervisor process; `up` starts it."""
    parser = argparse.ArgumentParser(prog="localcloud.supervise")
    parser.add_argument("--starter-pipe", type=int, required=True)
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    Supervisor(from_process_environment(), options.starter_pipe).run()


def _ask_to_stop(child: Child) -> None:
    if child.identity is not None:
        processes.terminate(child.identity)


def _wait_or_kill(child: Child) -> None:
    if child.process is None:
        return
    try:
        child.process.wait(_STOP_SECONDS[child.service.name])
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
