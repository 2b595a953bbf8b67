"""The runner's service in the process: real executions of a handler, without ministack."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from aws_durable_execution_sdk_python_testing.checkpoint.processor import CheckpointProcessor
from aws_durable_execution_sdk_python_testing.client import InMemoryServiceClient
from aws_durable_execution_sdk_python_testing.invoker import InProcessInvoker
from aws_durable_execution_sdk_python_testing.scheduler import Scheduler

from localcloud import durable_quotas
from localcloud.executor import FailedInvocation, LocalExecutor, LocalRegistry
from localcloud.journal import Journal
from localcloud.operations import OPERATIONS
from localcloud.store import Store

T = TypeVar("T")
SECONDS = 60.0
"""How long a busy machine may take; each wait ends with its condition."""
ENDED = {"SUCCEEDED", "FAILED", "STOPPED", "TIMED_OUT"}


class Service:
    """Answers operations by name, with keyword arguments for the parameters."""

    def __init__(self, file: Path, scheduler: Scheduler, handler: Callable[..., Any]) -> None:
        self.store = store = Store(file)
        processor = CheckpointProcessor(store, scheduler)
        registry = LocalRegistry(store, scheduler)
        self.failures: dict[str, FailedInvocation] = {}
        self.executor = LocalExecutor(
            journal=Journal(store),
            failure_of=lambda arn: self.failures.pop(arn, None),
            log_tail_of=lambda _: "dGFpbA==",
            store=store,
            scheduler=scheduler,
            invoker=InProcessInvoker(handler, InMemoryServiceClient(processor, registry)),
            checkpoint_processor=processor,
            registry=registry,
            region="eu-central-2",
        )
        self.executor.RETRY_BACKOFF_SECONDS = 0
        processor.add_execution_observer(self.executor)
        durable_quotas.enforce(self.executor, processor, self.executor.too_large)

    def ask(self, operation: str, arn: str = "", **parameters: Any) -> dict[str, Any]:
        given = {"DurableExecutionArn": arn} if arn else {}
        document = OPERATIONS[operation](self.executor, given | parameters)
        return dict(json.loads(json.dumps(document)))

    def start(
        self,
        event: object = None,
        *,
        asynchronous: bool = False,
        seconds: int = 60,
        unique: str | None = None,
    ) -> str:
        started = self.ask(
            "StartDurableExecution",
            AccountId="000000000000",
            FunctionName="function",
            FunctionQualifier="3",
            ExecutionName="name",
            ExecutionTimeoutSeconds=seconds,
            ExecutionRetentionPeriodDays=7,
            InvocationId=unique or str(uuid.uuid4()),
            Input=json.dumps(event),
            Asynchronous=asynchronous,
        )
        return str(started["DurableExecutionArn"])

    def status(self, arn: str) -> str:
        return str(self.ask("GetDurableExecution", arn)["Status"])

    def end(self, arn: str) -> dict[str, Any]:
        """Wait until the execution has ended; return what GetDurableExecution says."""
        wait_for(lambda: self.status(arn) in ENDED)
        return self.ask("GetDurableExecution", arn)

    def events(self, arn: str, **options: Any) -> list[dict[str, Any]]:
        return list(self.ask("GetDurableExecutionHistory", arn, MaxItems=1000, **options)["Events"])

    def kinds(self, arn: str) -> list[str]:
        return [event["EventType"] for event in self.events(arn)]

    def callback_id(self, arn: str) -> str:
        """Wait until the execution waits for a callback; return its id."""
        started = wait_for(lambda: [e for e in self.events(arn) if "CallbackStarted" in str(e)])
        wait_for(lambda: "InvocationCompleted" in self.kinds(arn))
        return str(started[0]["CallbackStartedDetails"]["CallbackId"])


@contextmanager
def serving(file: Path, handler: Callable[..., Any]) -> Iterator[Service]:
    """Run the service for as long as the block lasts."""
    scheduler = Scheduler()
    with scheduler:
        service = Service(file, scheduler, handler)
        try:
            yield service
        finally:
            service.executor.shutdown()
            service.store.close()
    scheduler._loop.close()  # the SDK leaves it to the end of the process


def wait_for(probe: Callable[[], T]) -> T:
    """Return the probe's first true answer."""
    deadline = time.monotonic() + SECONDS
    while not (found := probe()):
        assert time.monotonic() < deadline, "the awaited condition did not come true"
        time.sleep(0.01)
    return found
