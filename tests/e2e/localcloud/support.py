"""A local cloud for tests, on free ports and in a directory of its own."""

import contextlib
import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import boto3
import psutil
from botocore.config import Config

from localcloud import supervisor
from localcloud.settings import Settings

APP = Path(__file__).parent / "app" / "template.yaml"
STACK = "app"
REPOSITORY = Path(__file__).resolve().parents[3]
SECONDS = 600.0
"""How long a busy machine may take; each wait ends with its condition."""

T = TypeVar("T")


@dataclass(frozen=True)
class Cloud:
    """A running local cloud with the test app deployed to it."""

    settings: Settings
    outputs: Mapping[str, str]

    def client(
        self, service: str, session: Mapping[str, str] | None = None, *, unchecked: bool = False
    ) -> Any:
        """Return a stock client that knows nothing but what the variables say, and a session.

        An unchecked one sends parameters that it would refuse itself.
        """
        environment = self.settings.client_environment()
        variable = "AWS_ENDPOINT_URL_LAMBDA" if service == "lambda" else "AWS_ENDPOINT_URL"
        keys = session or {
            "AccessKeyId": environment["AWS_ACCESS_KEY_ID"],
            "SecretAccessKey": environment["AWS_SECRET_ACCESS_KEY"],
        }
        return _client(
            service,
            endpoint_url=environment[variable],
            region_name=environment["AWS_REGION"],
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys.get("SessionToken"),
            unchecked=unchecked,
        )

    def invoke(self, function: str, event: object, **options: str) -> "Answer":
        """Invoke a function of the app by its live alias."""
        response = self.client("lambda").invoke(
            FunctionName=f"{STACK}-{function}:live", Payload=json.dumps(event), **options
        )
        payload = response["Payload"].read()
        return Answer(
            status=response["StatusCode"],
            arn=response["DurableExecutionArn"],
            error=response.get("FunctionError"),
            body=json.loads(payload) if payload else None,
        )

    def start(self, function: str, event: object) -> str:
        """Start an execution and return its ARN."""
        return self.invoke(function, event, InvocationType="Event").arn

    def execution(self, arn: str) -> Any:
        """Return what GetDurableExecution says."""
        return self.client("lambda").get_durable_execution(DurableExecutionArn=arn)

    def wait_for_end(self, arn: str) -> Any:
        """Wait until the execution has ended; return what GetDurableExecution says."""
        return wait_for(lambda: _ended(self.execution(arn)))

    def history(self, arn: str) -> list[Any]:
        """Return the events of the execution's history."""
        pages = self.client("lambda").get_paginator("get_durable_execution_history")
        found = pages.paginate(DurableExecutionArn=arn, IncludeExecutionData=True)
        return [event for page in found for event in page["Events"]]

    def callback_id(self, arn: str) -> str | None:
        """Return the id of the callback that the execution waits for, if it does already."""
        for event in self.history(arn):
            if event["EventType"] == "CallbackStarted":
                return str(event["CallbackStartedDetails"]["CallbackId"])
        return None


@dataclass(frozen=True)
class Answer:
    """What an invoke answered."""

    status: int
    arn: str
    error: str | None
    body: Any


class Marks:
    """The directory in which stages leave their marks."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def runs(self, name: str) -> int:
        """Return how often a stage has run."""
        path = self.directory / name
        return len(path.read_text().splitlines()) if path.exists() else 0

    def wait_for(self, name: str, runs: int = 1) -> None:
        """Wait until a stage has begun to run this often."""
        wait_for(lambda: self.runs(name) >= runs)

    def release(self) -> None:
        """Let those that wait go on."""
        (self.directory / "release").touch()


def wait_for(probe: Callable[[], T | None], seconds: float = SECONDS) -> T:
    """Return the probe's first true answer; fail after `seconds`.

    The longer it has waited, and the longer the probe itself takes, the less often it asks: what it
    waits for needs the processor.
    """
    begun = asked = time.monotonic()
    while not (found := probe()):
        now = time.monotonic()
        assert now < begun + seconds, "the awaited condition did not come true"
        time.sleep(max(0.03, now - asked, (now - begun) / 20))
        asked = time.monotonic()
    return found


@functools.cache
def _client(service: str, *, unchecked: bool, **options: str | None) -> Any:
    """One client for all who ask alike: each has to be made, and opens connections of its own."""
    make: Any = boto3.client
    return make(service, config=Config(parameter_validation=not unchecked), **options)


def processes_of(settings: Settings) -> list[psutil.Process]:
    """Return every process that has this local cloud's directory in environment or folder."""
    return [p for p in psutil.process_iter() if p.pid != os.getpid() and _belongs(p, settings)]


def supervisors_of(settings: Settings) -> list[psutil.Process]:
    """Return the supervisor processes of this local cloud."""
    return [p for p in processes_of(settings) if "localcloud.supervisor" in p.cmdline()]


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[None]:
    """Run the local cloud for as long as the block lasts."""
    try:
        supervisor.up(settings)
        yield
    finally:
        supervisor.down(settings)


def start_up_process(settings: Settings) -> subprocess.Popen[bytes]:
    """Start a process that calls `up` and nothing else, and can be interrupted.

    A shell that runs these tests in the background has its children ignore SIGINT.
    """
    code = (
        "import os, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from localcloud import supervisor; from localcloud.settings import Settings; "
        "supervisor.up(Settings.from_environment(os.environ))"
    )
    environment = {**os.environ, **settings.to_environment(), "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen([sys.executable, "-c", code], env=environment)


def _belongs(process: psutil.Process, settings: Settings) -> bool:
    directory = str(settings.directory)
    try:
        return directory in process.cwd() or any(
            directory in value for value in process.environ().values()
        )
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _ended(execution: Any) -> Any:
    return execution if execution["Status"] != "RUNNING" else None
