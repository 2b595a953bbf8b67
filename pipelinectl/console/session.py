"""What one run of the console knows: the pipeline, what it may do, what it saw, what it did."""

from __future__ import annotations

import itertools
import shlex
import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING

from pipelinectl import cost, doctor, errors, status
from pipelinectl.aws import DEFAULT_STACK_NAME, Options, find_stack
from pipelinectl.commands.context import Pipeline
from pipelinectl.commands.executions import COUNTED, counted_records
from pipelinectl.console.snapshots import DEFECT, Snapshot, letters_of
from pipelinectl.dead_letters import Letters
from pipelinectl.doctor.stack import examine
from pipelinectl.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from localcloud.settings import Settings
    from pipelinectl.aws import Connection
    from pipelinectl.commands.executions import Counts
    from pipelinectl.console.snapshots import Seen
    from pipelinectl.cost import Usage
    from pipelinectl.doctor import Result
    from pipelinectl.executions import Execution
    from pipelinectl.following import Followed, Following
    from pipelinectl.record import Life

_STATUS_SECONDS = 3.0
_DOCTOR_SECONDS = 60.0
_COST_SECONDS = 120.0
_COUNTS_SECONDS = 5.0
_KEPT_COUNTS = 5_000
COSTED = 20
"""How many of the newest executions the page of costs counts, as `pipelinectl cost` does."""

_LIFE_SECONDS = 5.0
_LETTERS_WAIT_SECONDS = 30.0
_KEPT_LIVES = 50

# Somebody waits for the page, and it is asked for again.
_ATTEMPTS = 3
_KEPT_JOBS = 100
_STOP_SECONDS = 10.0


class State(Enum):
    """What became of a job."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass
class Job:
    """Something that the console does or did.

    `command` does the same in a terminal; `back` is the page it came from. `following` sees what
    becomes of what was sent, which is `followed`.
    """

    number: int
    title: str
    command: str
    back: str
    total: int = 0
    done: int = 0
    state: State = State.RUNNING
    said: list[str] = field(default_factory=list)
    following: Following | None = None
    followed: Sequence[Followed] = ()
    error: str = ""
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended_at: datetime | None = None
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def records(self) -> list[str]:
        """The execution_ids of what was sent."""
        return [one.execution_id for one in self.followed]

    def clock(self) -> float:
        """Seconds, for whoever waits: when the job is to stop, it is past any time."""
        return float("inf") if self.stopping.is_set() else time.monotonic()

    def document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "number": self.number,
            "title": self.title,
            "command": self.command,
            "state": self.state.value,
            "total": self.total,
            "done": self.done,
            "said": self.said,
            "records": self.records,
            "error": self.error,
            "began_at": self.began_at,
            "ended_at": self.ended_at,
        }


class Jobs:
    """The jobs of this run, the newest first."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._jobs: deque[Job] = deque(maxlen=_KEPT_JOBS)
        self._threads: list[threading.Thread] = []

    def start(self, title: str, command: str, back: str, work: Callable[[Job], None]) -> Job:
        """Begin in a thread of its own."""
        job = Job(next(self._numbers), title, command, back)
        self._jobs.appendleft(job)
        name = f"job-{job.number}"
        thread = threading.Thread(target=_run, args=(job, work), name=name, daemon=True)
        self._threads = [one for one in self._threads if one.is_alive()] + [thread]
        thread.start()
        return job

    def __iter__(self) -> itertools.chain[Job]:
        return itertools.chain(list(self._jobs))

    def find(self, number: str) -> Job:
        """The job with this number.

        Raises:
            NotFoundError: there is none.
        """
        for job in self:
            if str(job.number) == number:
                return job
        msg = f"this console has done nothing with the number '{number}': see its list"
        raise NotFoundError(msg)

    def stop(self, seconds: float) -> None:
        """Ask all to stop where nothing is lost, and wait so long for it."""
        for job in self:
            job.stopping.set()
        give_up_at = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0, give_up_at - time.monotonic()))


def _run(job: Job, work: Callable[[Job], None]) -> None:
    try:
        work(job)
        job.state = State.STOPPED if job.stopping.is_set() else State.DONE
    except errors.expected() as error:
        job.error = errors.explain(error).line
        job.state = State.FAILED
    finally:
        if job.state is State.RUNNING:  # a defect, whose traceback is in the terminal
            job.state, job.error = State.FAILED, DEFECT
        job.ended_at = datetime.now(UTC)


@dataclass
class Session:
    """`connection` is what the command line was led to, and stays so while the console runs.

    `machine` are the local cloud's settings where the pipeline is on it.
    """

    connection: Connection
    options: Options
    allow_changes: bool = False
    show_content: bool = False
    machine: Settings | None = None
    jobs: Jobs = field(default_factory=Jobs)
    receiving: threading.Lock = field(default_factory=threading.Lock)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _pipeline: Pipeline | None = None

    def __post_init__(self) -> None:
        self._lives: dict[str, Snapshot[Life]] = {}
        self.letters: Snapshot[Letters] = letters_of(
            lambda: self.pipeline.dead_letters, self.receiving
        )
        self.status: Snapshot[status.Status] = Snapshot(
            lambda _: self._status(), _STATUS_SECONDS, soonest=_STATUS_SECONDS
        )
        self.doctor: Snapshot[Sequence[Result]] = Snapshot(
            lambda _: self._diagnosis(), _DOCTOR_SECONDS
        )
        self.usage: Snapshot[Mapping[str, Usage | None]] = Snapshot(self._usage, _COST_SECONDS)
        self._listed: tuple[Execution, ...] = ()
        self._ended: dict[str, Counts] = {}
        self._counts: Snapshot[Mapping[str, Counts]] = Snapshot(
            lambda _: self._count(), _COUNTS_SECONDS, self._lacks_some, soonest=1.0
        )

    @property
    def pipeline(self) -> Pipeline:
        """The deployed pipeline, asked for again after something failed.

        A stack that was deployed anew may have other resources, and credentials may have expired.
        """
        with self._lock:
            if self._pipeline is None:
                connection = replace(self.connection, attempts=_ATTEMPTS)
                stack = find_stack(connection.cloudformation, self.options.stack_name)
                self._pipeline = Pipeline(connection, stack)
                _make_clients(connection)
            return self._pipeline

    def forget(self) -> None:
        """Find the pipeline anew the next time that somebody asks."""
        with self._lock:
            self._pipeline = None

    def life(self, reference: str, wait_seconds: float) -> Seen[Life]:
        """The life of a record: it takes as many requests as it had deliveries, and more."""
        with self._lock:
            if reference not in self._lives:
                while len(self._lives) >= _KEPT_LIVES:
                    self._lives.pop(next(iter(self._lives)))
                self._lives[reference] = Snapshot(lambda _: self._life(reference), _LIFE_SECONDS)
            found = self._lives[reference]
        return found.look(wait_seconds)

    def _life(self, reference: str) -> Life:
        # Those that are known, and no others are hidden by reading them.
        seen = self.letters.look(_LETTERS_WAIT_SECONDS)
        letters = seen.value or Letters((), complete=False)
        return self.pipeline.records.life(reference, letters=letters)

    def counts(
        self, executions: Iterable[Execution], wait_seconds: float
    ) -> Seen[Mapping[str, Counts]]:
        """How many records of the first of these became what, by ARN, as far as that is known.

        Those of one that has ended are read once.
        """
        self._listed = tuple(itertools.islice(executions, COUNTED))
        return self._counts.look(wait_seconds)

    def _count(self) -> Mapping[str, Counts]:
        while len(self._ended) > _KEPT_COUNTS:
            self._ended.pop(next(iter(self._ended)))
        return counted_records(self.pipeline, self._listed, self._ended)

    def _lacks_some(self, known: Mapping[str, Counts]) -> bool:
        return any(one.arn not in known for one in self._listed)

    def warm_up(self) -> None:
        """Begin to ask for what pages show first."""
        for snapshot in (self.status, self.letters, self.doctor):
            snapshot.refresh()

    def stop(self) -> None:
        """End what runs, where nothing is lost by it."""
        self.jobs.stop(_STOP_SECONDS)
        for snapshot in (self.status, self.letters, self.doctor, self.usage, self._counts):
            snapshot.stop(_STOP_SECONDS)

    def command(self, *arguments: str) -> str:
        """The command line that does the same, with the global options that this one was given."""
        options = self.options
        given = ["--stack-name", options.stack_name] * (options.stack_name != DEFAULT_STACK_NAME)
        given += ["--profile", options.profile] if options.profile else []
        given += ["--region", options.region] if options.region else []
        given += ["--aws"] * options.aws
        return shlex.join(["pipelinectl", *given, *arguments])

    def _status(self) -> status.Status:
        pipeline = self.pipeline
        now = datetime.now(UTC)
        return status.look(pipeline.connection, pipeline.stack, pipeline.executions, now)

    def _diagnosis(self) -> Sequence[Result]:
        connection = self.pipeline.connection
        with self.receiving:  # dead letters that are being read here are not seen by others
            return self._checked(connection)

    def _checked(self, connection: Connection) -> Sequence[Result]:
        return doctor.diagnose(examine(connection, self.options.stack_name, self.machine))

    def _usage(self, stopping: Callable[[], bool]) -> Mapping[str, Usage | None]:
        executions = self.pipeline.executions
        found: dict[str, Usage | None] = {}
        for arn in executions.ended(COSTED):
            if stopping():
                break
            found |= cost.measure(executions, [arn], lambda _: None)
        return found


def _make_clients(connection: Connection) -> None:
    """Make the clients that pages use: boto3's session is not safe to make them side by side."""
    for name in ("sqs", "lambda_", "dynamodb", "s3", "cloudwatch", "logs", "sns", "sts"):
        getattr(connection, name)
