"""Kills a random part of the local cloud again and again."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from localcloud import processes, supervisor
from localcloud.processes import ProcessIdentity
from localcloud.settings import Settings
from localcloud.supervisor import GATEWAY, MINISTACK, RUNNER

SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 2.0
MINISTACK_EVERY_SECONDS = 20.0
# A service that is killed again and again is started again ever later; then nothing gets done, and
# there is nothing to hurt. After so long the supervisor starts it at once.
STEADY_SECONDS = 10.0
# When a worker dies while it starts, ministack kills all others of its function as well, also those
# that are starting, which makes it kill all others: for as long as there is work, none gets to it.
STARTED_SECONDS = 6.0
# It waits for the invocations under way, whose workers nobody needs any more.
MINISTACK_STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Kill:
    """What was killed, and when, on the monotonic clock."""

    target: str
    moment: float


@dataclass
class Killer:
    """Kills until it is told to stop.

    Workers, runner and gateway are killed outright. ministack is only asked to end: its queues are
    in its memory, and with a SIGKILL it would lose what no real queue loses.
    """

    settings: Settings
    random: Random
    kills: list[Kill] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Kill something every one or two seconds, and restart ministack now and then."""
        restart_at = time.monotonic() + MINISTACK_EVERY_SECONDS
        while not self._stop.wait(self.random.uniform(SHORTEST_PAUSE, LONGEST_PAUSE)):
            if time.monotonic() >= restart_at:
                restart_at += MINISTACK_EVERY_SECONDS
                self._restart_ministack()
            else:
                self._kill_something()

    def stop(self) -> None:
        """Kill nothing more."""
        self._stop.set()

    @property
    def by_target(self) -> Counter[str]:
        """How often each target was killed."""
        return Counter(kill.target for kill in self.kills)

    def _kill_something(self) -> None:
        """Kill one of the targets that have worked for a while, each as likely as another."""
        victims = self._workers() | self._services()
        if not victims:
            return
        target = self.random.choice(sorted(victims))
        if processes.kill(self.random.choice(victims[target])):
            self._note(target)

    def _workers(self) -> dict[str, list[ProcessIdentity]]:
        """The workers, by function."""
        born = time.time() - STARTED_SECONDS
        found: dict[str, list[ProcessIdentity]] = {}
        for worker in processes.find_workers(self.settings):
            if worker.identity.create_time < born:
                found.setdefault(worker.function_name, []).append(worker.identity)
        return found

    def _services(self) -> dict[str, list[ProcessIdentity]]:
        born = time.time() - STEADY_SECONDS
        identities = {name: self._service(name) for name in (RUNNER, GATEWAY)}
        return {name: [i] for name, i in identities.items() if i and i.create_time < born}

    def _restart_ministack(self) -> None:
        identity = self._service(MINISTACK)
        if identity is None:
            return
        processes.terminate(identity)
        if not processes.wait_until_gone([identity], MINISTACK_STOP_SECONDS):
            processes.kill_workers(self.settings)
        self._note(MINISTACK)

    def _note(self, target: str) -> None:
        self.kills.append(Kill(target, time.monotonic()))

    def _service(self, name: str) -> ProcessIdentity | None:
        running = supervisor.read_running(self.settings)
        services = running.services if running else ()
        return next((s.process for s in services if s.name == name), None)
