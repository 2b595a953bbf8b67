"""Whether the local cloud grows: ``python -m benchmarks.growth``, or ``make bench-growth``.

Many messages go through it in rounds. After each one: messages a second, processor time, memory and
file handles of each process, the size of what is on disk. Then pages, lists and a restart are timed
with few executions behind them and with 50,000. Figures of one round are compared with those of
another one of the same run: a machine that is slow is slow in both.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import platform
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from benchmarks.cells import ROOT, body, client_of, mapping_of
from localcloud import processes, supervisor
from localcloud.deploy import deploy
from localcloud.settings import LocalCloudError, Settings
from pipelinectl.executions import Executions

WORK = ROOT / ".bench"
PLOTTING = ROOT / ".tools" / "bench" / "bin" / "python"
STACK = "growth"
MESSAGES = 100_000
ROUNDS = 10
BATCH = 25
CONCURRENCY = 5
PLANTED = 50_000
TIMES = 10

ALLOWED = 1.15
"""How much more there may be at the end than at the beginning."""
FILLED = 2
MORE_HANDLES = 20
MORE_MILLISECONDS = 50.0
MORE_MEGABYTES = 10.0
"""Beyond what is allowed: a connection or a page comes and goes."""

_ROUND_SECONDS = 3600.0
_POLL_SECONDS = 0.25
_ENTRIES = 10
_COUNTS = tuple(f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed"))


@dataclass(frozen=True)
class Round:
    """What was measured of so many messages, and after them.

    Memory is in megabytes, by process; that of all workers is one. ``store_mb`` is what is in use
    of the executions' file, ``disk_mb`` all that there is of files, ``list_ms`` the time of a list
    of executions, the fastest of some: others may use the machine.
    """

    messages: int
    seconds: float
    cpu_seconds: float
    memory_mb: Mapping[str, float]
    handles: Mapping[str, int]
    threads: Mapping[str, int]
    store_mb: float
    disk_mb: float
    list_ms: float

    @property
    def messages_per_second(self) -> float:
        """How many there were a second."""
        return self.messages / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Processor time of a message, of all processes but this one, in milliseconds."""
        return self.cpu_seconds / self.messages * 1000


@dataclass(frozen=True)
class Check:
    """One promise, its figures at the beginning and at the end, and whether it was kept."""

    what: str
    first: float
    last: float
    kept: bool


def checks(
    rounds: Sequence[Round],
    timings: Mapping[str, tuple[float, float]],
    filled: int = FILLED,
) -> list[Check]:
    """Compare the last round with the first, and what was timed with much behind it and without.

    A round is slower by itself if it also took more processor time: others may use the machine.
    Memory, files and handles are compared with those after the round of this number, from 0: of
    what is kept there is most by then, if not all.
    """
    first, last, full = rounds[0], rounds[-1], rounds[filled]
    rate = Check(
        "messages a second",
        first.messages_per_second,
        last.messages_per_second,
        last.messages_per_second * ALLOWED >= first.messages_per_second
        or last.cpu_ms <= ALLOWED * first.cpu_ms,
    )
    found = [rate]
    found += [
        _check(f"MB of {name}", mb, last.memory_mb[name], MORE_MEGABYTES)
        for name, mb in full.memory_mb.items()
    ]
    found += [
        _check(f"file handles of {name}", count, last.handles[name], MORE_HANDLES)
        for name, count in full.handles.items()
    ]
    found += [
        _check("MB of executions", full.store_mb, last.store_mb),
        _check("ms of a list", first.list_ms, last.list_ms, MORE_MILLISECONDS),
    ]
    return found + [
        _check(f"ms of {name}, {PLANTED:,} executions", first_ms, last_ms, MORE_MILLISECONDS)
        for name, (first_ms, last_ms) in timings.items()
    ]


def _check(what: str, first: float, last: float, more: float = 0.0) -> Check:
    return Check(what, first, last, last <= ALLOWED * first + more)


def run(
    directory: Path, messages: int, *, planted: int = PLANTED, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure so many messages on a new local cloud in ``directory``; return a JSON document."""
    each = messages // ROUNDS
    load = os.getloadavg()[0]
    kept = max(100, each // BATCH)
    filled = min(ROUNDS - 2, max(FILLED, math.ceil(kept * BATCH / each)))
    with _environment(LOCALCLOUD_EXECUTIONS=str(kept)), supervisor.fresh(directory) as settings:
        cloud = Cloud.deployed(settings)
        cloud.send_and_wait(each // 5)
        rounds = []
        for number in range(ROUNDS):
            rounds.append(cloud.round(each))
            say(f"{(number + 1) * each:,} messages: {_told(rounds[-1])}")
        # A small one, for others to be made like it.
        cloud.send_and_wait(1)
    cloud = replace(cloud, settings=replace(settings, most_executions=2 * max(planted, kept)))
    timings = cloud.timed_with_and_without(planted, say) if planted else {}
    return {
        "machine": {"cores": os.cpu_count(), "processor": platform.machine(), "load": load},
        "python": platform.python_version(),
        "batch": BATCH,
        "concurrency": CONCURRENCY,
        "kept": kept,
        "planted": planted,
        "rounds": [
            asdict(one) | {"messages_per_second": one.messages_per_second, "cpu_ms": one.cpu_ms}
            for one in rounds
        ],
        "timings": timings,
        "checks": [asdict(check) for check in checks(rounds, timings, filled)],
    }


def _told(one: Round) -> str:
    memory = ", ".join(f"{name} {mb:.0f} MB" for name, mb in one.memory_mb.items())
    return (
        f"{one.messages_per_second:.1f}/s, {one.cpu_ms:.1f} ms of processor each, {memory}, "
        f"{sum(one.handles.values())} handles, store {one.store_mb:.0f} MB, "
        f"list {one.list_ms:.1f} ms"
    )


@dataclass(frozen=True)
class Cloud:
    """The pipeline on a local cloud, loaded and looked at."""

    settings: Settings
    queue_url: str
    function: str

    @classmethod
    def deployed(cls, settings: Settings) -> Cloud:
        """Deploy the pipeline as its template has it, with five batches at once."""
        template, parameters = ROOT / "template.yaml", {"Environment": "bench"}
        out = deploy(settings, template=template, stack_name=STACK, parameters=parameters)
        function = out["DurableFunctionArn"].split(":function:", 1)[1].split(":", 1)[0]
        cloud = cls(settings, out["DataProcessingQueueUrl"], function)
        cloud.client("lambda").update_event_source_mapping(
            UUID=cloud.mapping,
            BatchSize=BATCH,
            MaximumBatchingWindowInSeconds=1,  # Lambda's rule for more than ten
            ScalingConfig={"MaximumConcurrency": CONCURRENCY},
        )
        return cloud

    @property
    def mapping(self) -> str:
        """The id of the queue's event source mapping."""
        return mapping_of(self.settings, self.queue_url)

    def client(self, service: str) -> Any:
        """A stock client of the local cloud."""
        return client_of(self.settings, service)

    def round(self, messages: int) -> Round:
        """Send so many messages, wait until all are stored, look, and take the items away.

        Items are what is there, and not what has passed: AWS has room for them, memory has not.
        """
        before = self._cpu_seconds()
        seconds = self.send_and_wait(messages)
        cpu_seconds = self._cpu_seconds() - before
        self._empty_tables()
        self._wait_until_forgotten()
        found = {name: process for name, process in self._processes().items() if name != "workers"}
        workers = [worker.identity.pid for worker in processes.find_workers(self.settings)]
        memory = {name: _megabytes([process.pid]) for name, process in found.items()}
        return Round(
            messages,
            seconds,
            cpu_seconds,
            memory | {"workers": _megabytes(workers)},
            {name: process.num_fds() for name, process in found.items()},
            {name: process.num_threads() for name, process in found.items()},
            self._store_megabytes(),
            sum(p.stat().st_size for p in self.settings.directory.rglob("*") if p.is_file()) / 1e6,
            min(_timed(self._list) for _ in range(TIMES)),
        )

    def send_and_wait(self, messages: int) -> float:
        """Queue so many messages; return how many seconds the pipeline then takes for them."""
        sqs, lambda_ = self.client("sqs"), self.client("lambda")
        mapping = self.mapping
        lambda_.update_event_source_mapping(UUID=mapping, Enabled=False)
        for first in range(0, messages, _ENTRIES):
            numbers = range(first, min(first + _ENTRIES, messages))
            entries = [{"Id": str(n), "MessageBody": body(n)} for n in numbers]
            sqs.send_message_batch(QueueUrl=self.queue_url, Entries=entries)
        began = time.monotonic()
        lambda_.update_event_source_mapping(UUID=mapping, Enabled=True)
        while self._queued(sqs):
            if time.monotonic() > began + _ROUND_SECONDS:
                raise LocalCloudError(f"{messages} messages took more than {_ROUND_SECONDS:g} s")
            time.sleep(_POLL_SECONDS)
        return time.monotonic() - began

    def timed_with_and_without(
        self, planted: int, say: Callable[[str], None]
    ) -> dict[str, tuple[float, float]]:
        """Milliseconds that things take before so many executions are planted, and after that."""
        before = self._timings()
        self.plant(planted)
        after = self._timings()
        for name, milliseconds in after.items():
            say(f"{name}: {before[name]:.0f} ms, with {planted:,} executions {milliseconds:.0f} ms")
        return {name: (before[name], after[name]) for name in before}

    def plant(self, count: int) -> None:
        """Put so many executions into the runner's file, each like the newest one."""
        query = (
            "SELECT durable_execution_arn, function_name, data FROM executions "
            "WHERE end_timestamp IS NOT NULL ORDER BY end_timestamp DESC LIMIT 1"
        )
        now = time.time()
        with closing(sqlite3.connect(self.settings.executions_file, timeout=60)) as connection:
            arn, function, data = connection.execute(query).fetchone()
            arns = (f"{arn.rsplit('/', 2)[0]}/planted-{n}/{n}" for n in range(count))
            with connection:
                connection.executemany(
                    "INSERT INTO executions VALUES (?, ?, ?, 'SUCCEEDED', ?, ?, ?)",
                    (
                        (one, function, one.split("/")[-2], now - n, now, data.replace(arn, one))
                        for n, one in enumerate(arns)
                    ),
                )

    def _timings(self) -> dict[str, float]:
        """Milliseconds of a start of the local cloud, of lists and of the console's pages."""
        supervisor.down(self.settings)
        start = _timed(lambda: supervisor.up(self.settings))
        try:
            with self._console() as get:
                asked = {
                    "the newest executions": self._list,
                    "those that failed": lambda: self._list("FAILED"),
                    "those that run": lambda: self._list("RUNNING"),
                    "the console's overview": lambda: get("/overview"),
                    "the console's executions": lambda: get("/executions"),
                }
                fastest = {
                    name: min(_timed(ask) for _ in range(TIMES)) for name, ask in asked.items()
                }
        finally:
            supervisor.down(self.settings)
        return {"local up": start} | fastest

    @contextmanager
    def _console(self) -> Iterator[Callable[[str], None]]:
        """Run a console, and lend what asks it for a page."""
        command = [str(Path(sys.executable).with_name("pipelinectl")), "--stack-name", STACK]
        with subprocess.Popen(  # noqa: S603 - this project's own command
            [*command, "console", "--json"],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | self.settings.to_environment(),
        ) as process:
            assert process.stdout  # noqa: S101 - it was asked for
            try:
                address = json.loads(process.stdout.readline())["address"]
                yield _Browser(address).get
            finally:
                process.send_signal(signal.SIGINT)

    def _list(self, *statuses: str) -> None:
        list(Executions(self.client("lambda"), self.function).newest(statuses=statuses, limit=50))

    def _queued(self, sqs: Any) -> int:
        found = sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=list(_COUNTS))
        return sum(int(found["Attributes"][name]) for name in _COUNTS)

    def _empty_tables(self) -> None:
        tables = self.client("dynamodb")
        for name in tables.list_tables()["TableNames"]:
            keys = [
                k["AttributeName"]
                for k in tables.describe_table(TableName=name)["Table"]["KeySchema"]
            ]
            for page in tables.get_paginator("scan").paginate(TableName=name):
                wanted = [{k: item[k] for k in keys} for item in page["Items"]]
                for first in range(0, len(wanted), 25):
                    requests = [{"DeleteRequest": {"Key": k}} for k in wanted[first : first + 25]]
                    tables.batch_write_item(RequestItems={name: requests})

    def _processes(self) -> dict[str, psutil.Process]:
        running = supervisor.read_running(self.settings)
        services = running.services if running else ()
        return {s.name: psutil.Process(s.process.pid) for s in services if s.process}

    def _cpu_seconds(self) -> float:
        workers = [psutil.Process(w.identity.pid) for w in processes.find_workers(self.settings)]
        times = [p.cpu_times() for p in [*self._processes().values(), *workers]]
        return sum(one.user + one.system for one in times)

    def _wait_until_forgotten(self) -> None:
        """Wait for the runner, which forgets every few seconds what is beyond its number."""
        give_up_at = time.monotonic() + _ROUND_SECONDS
        ended = "SELECT count(*) FROM executions WHERE end_timestamp IS NOT NULL"
        while self._ask_store(ended) > self.settings.most_executions:
            if time.monotonic() > give_up_at:
                raise LocalCloudError("the runner does not forget executions that have ended")
            time.sleep(_POLL_SECONDS)

    def _store_megabytes(self) -> float:
        pages, free, size = (
            self._ask_store(f"PRAGMA {name}")
            for name in ("page_count", "freelist_count", "page_size")
        )
        return float((pages - free) * size / 1e6)

    def _ask_store(self, query: str) -> int:
        with closing(sqlite3.connect(self.settings.executions_file, timeout=60)) as connection:
            return int(connection.execute(query).fetchone()[0])


class _Browser:
    """Asks one console, as whoever opened it."""

    def __init__(self, address: str) -> None:
        self._place = urlsplit(address)
        self._cookie = ""
        self.get(address.removeprefix(f"http://{self._place.netloc}"))

    def get(self, path: str) -> None:
        """Have a page.

        Raises:
            LocalCloudError: it is not given.
        """
        place = str(self._place.hostname), self._place.port
        with closing(http.client.HTTPConnection(*place, timeout=600)) as connection:
            connection.request("GET", path, headers={"Cookie": self._cookie})
            answer = connection.getresponse()
            answer.read()
            if answer.status != http.HTTPStatus.OK:
                raise LocalCloudError(f"the console answers {path} with {answer.status}")
            self._cookie = (answer.headers["Set-Cookie"] or self._cookie).partition(";")[0]


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _timed(action: Callable[[], object]) -> float:
    """Milliseconds that it takes."""
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


def _megabytes(pids: Sequence[int]) -> float:
    return sum(psutil.Process(pid).memory_info().rss for pid in pids) / 1e6


def report(result: Mapping[str, Any]) -> str:
    """The page of the figures."""
    rounds = result["rounds"]
    names = list(rounds[0]["memory_mb"])
    total = sum(one["messages"] for one in rounds)
    of_machine = result["machine"]
    machine = f"{of_machine['cores']} cores ({of_machine['processor']}), load {of_machine['load']}"
    written = (
        f"Written by `make bench-growth` on {machine} when it began, Python {result['python']}: "
        f"{total:,} messages in batches of {result['batch']}, {result['concurrency']} at once, in "
        f"one run. `LOCALCLOUD_EXECUTIONS={result['kept']}`; "
        "items are taken away after each round, for they are what is there, not what has passed."
    )
    columns = ["messages", "messages/s", "processor ms each", *(f"{name} MB" for name in names)]
    columns += ["handles", "threads", "store MB", "disk MB", "list ms"]
    lines = [
        "# Whether the local cloud grows",
        "",
        written,
        "",
        "![Messages a second and memory](growth.png)",
        "",
        f"| {' | '.join(columns)} |",
        f"|{'---|' * len(columns)}",
    ]
    passed = 0
    for one in rounds:
        passed += one["messages"]
        memory = " | ".join(f"{one['memory_mb'][name]:.0f}" for name in names)
        lines.append(
            f"| {passed:,} | {one['messages_per_second']:.1f} | {one['cpu_ms']:.1f} | {memory} "
            f"| {sum(one['handles'].values())} | {sum(one['threads'].values())} "
            f"| {one['store_mb']:.1f} | {one['disk_mb']:.0f} | {one['list_ms']:.1f} |"
        )
    lines += [
        "",
        f"| promise: at most {ALLOWED - 1:.0%} more | first | last | |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {c['what']} | {c['first']:.1f} | {c['last']:.1f} "
        f"| {'kept' if c['kept'] else 'broken'} |"
        for c in result["checks"]
    ]
    return "\n".join([*lines, ""])


def main() -> int:
    """Measure, write growth.json, growth.md and the plot; 1 if a promise is broken."""
    options = _options()
    # What ends a process by default would leave the local cloud behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    result = run(WORK / "growth", options.messages, say=lambda text: print(text, flush=True))
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "growth.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    (options.out / "growth.md").write_text(report(result))
    subprocess.run(  # noqa: S603 - our own module
        [str(PLOTTING), "-m", "benchmarks.growth_plot", str(path), str(path.with_suffix(".png"))],
        cwd=ROOT,
        check=True,
    )
    broken = [check["what"] for check in result["checks"] if not check["kept"]]
    print(f"broken: {', '.join(broken)}" if broken else "all promises are kept")
    return int(bool(broken))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-growth", description=__doc__)
    parser.add_argument("--messages", type=int, default=MESSAGES, help="how many, in ten rounds")
    parser.add_argument("--out", type=Path, default=WORK / "results", help="folder for the results")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
