"""Durable executions of the pipeline's function, through the Lambda API."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pipelinectl import redrive
from pipelinectl.errors import NotFoundError, OperationFailedError, ambiguous

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from typing import Any

    from mypy_boto3_lambda.client import LambdaClient
    from mypy_boto3_lambda.type_defs import EventTypeDef, ExecutionTypeDef

    from pipelinectl.audit import Subject
    from pipelinectl.redrive import ReadPayload, Redelivery


LAST = "last"
MAX_NAMED = 1000
"""So many executions are listed, at most, to find the one whose name begins so."""
_ENDED = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED"})
_PAGE_EVENTS = 1000
# An account may read 15 pages of history a second.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_PAUSE_SECONDS = 1 / 10
_STATUS_SECONDS = 1.0
_STATUS_READS = 300  # an invocation may take minutes to its next checkpoint


@dataclass(frozen=True)
class Execution:
    """A durable execution in short; `ended_at` is None while it runs."""

    arn: str
    name: str
    status: str
    started_at: datetime
    ended_at: datetime | None

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return None if self.ended_at is None else (self.ended_at - self.started_at).total_seconds()


@dataclass(frozen=True)
class ExecutionInput:
    """What an execution was started with, as text; None where it is not kept any more."""

    arn: str
    status: str
    payload: str | None


@dataclass(frozen=True)
class Executions:
    """The durable executions of one function, of all its versions."""

    lambda_: LambdaClient
    function_name: str
    sleep: Callable[[float], None] = time.sleep

    def newest(
        self,
        *,
        statuses: Sequence[str] = (),
        name: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[Execution]:
        """Executions, newest first: all, or those with one of `statuses`, or with this name.

        `since` and `until` are about when they started.
        """
        options: dict[str, Any] = {"Statuses": list(statuses)} if statuses else {}
        if name is not None:
            options["DurableExecutionName"] = name
        if since is not None:
            options["StartedAfter"] = since
        if until is not None:
            options["StartedBefore"] = until
        if limit is not None:
            options["MaxItems"] = min(limit, _PAGE_EVENTS)
        return itertools.islice(self._pages(options), limit)

    def resolve(self, reference: str) -> str:
        """ARN of the execution that `reference` means: an ARN, a name, its beginning, or `last`.

        Beginnings are those of the newest executions, so many as MAX_NAMED.

        Raises:
            NotFoundError: there is none.
            UsageError: it is the beginning of several executions' names.
        """
        # A name holds no slash, and each ARN does.
        if "/" in reference:
            return reference
        name = None if reference == LAST else reference
        for execution in self.newest(name=name, limit=1):
            return execution.arn
        found = {} if name is None else self._beginning(name)
        if len(found) > 1:
            raise ambiguous(reference, "executions", found.values())
        if not found:
            msg = f"no execution '{reference}' of {self.function_name} "
            msg += f"(looked through the newest {MAX_NAMED:,}): see 'pipelinectl executions list'"
            raise NotFoundError(msg)
        return next(iter(found))

    def _beginning(self, beginning: str) -> dict[str, str]:
        """ARN and name of the newest executions whose names begin so."""
        newest = self.newest(limit=MAX_NAMED)
        return {one.arn: one.name for one in newest if one.name.startswith(beginning)}

    def history(self, arn: str) -> Iterator[EventTypeDef]:
        """All events of an execution, oldest first, payloads included."""
        marker: dict[str, Any] = {}
        while True:
            page = self.lambda_.get_durable_execution_history(
                DurableExecutionArn=arn,
                IncludeExecutionData=True,
                MaxItems=_PAGE_EVENTS,
                **marker,
            )
            yield from page["Events"]
            if not page.get("NextMarker"):
                return
            marker = {"Marker": page["NextMarker"]}
            self.breathe()

    def breathe(self) -> None:
        """Wait between two pages of history, for the account's quota of them."""
        self.sleep(_PAUSE_SECONDS)

    def ended(self, limit: int) -> list[str]:
        """ARNs of the newest executions that have ended, at most `limit`."""
        ended = (execution.arn for execution in self.newest() if execution.status in _ENDED)
        return list(itertools.islice(ended, limit))

    def input_of(self, arn: str) -> ExecutionInput:
        """The input and the status of an execution."""
        found = self.lambda_.get_durable_execution(
            DurableExecutionArn=arn, IncludeExecutionData=True
        )
        return ExecutionInput(arn, found["Status"], found.get("InputPayload"))

    def started_at(self, arn: str) -> datetime:
        """When an execution began."""
        return self.lambda_.get_durable_execution(
            DurableExecutionArn=arn, IncludeExecutionData=False
        )["StartTimestamp"]

    def stop(self, arn: str, before: Callable[[], None] = lambda: None) -> datetime:
        """Stop a running execution for good; answers with the time it stopped.

        `before` is called when it is known to run.

        Raises:
            OperationFailedError: it has ended already, or before it was stopped.
        """
        if (status := self._status(arn)) in _ENDED:
            raise _cannot(arn, status, "only one that runs can be stopped")
        before()
        error: Any = {"ErrorType": "OperatorStop", "ErrorMessage": "stopped with pipelinectl"}
        stopped = self.lambda_.stop_durable_execution(DurableExecutionArn=arn, Error=error)
        # Lambda answers the same for one that had ended by then.
        if (status := self._status(arn)) in _ENDED - {"STOPPED"}:
            raise _cannot(arn, status, "it ended before it was stopped")
        return stopped["StopTimestamp"]

    def pause(
        self, arn: str, reason: str | None = None, before: Callable[[], None] = lambda: None
    ) -> str:
        """Pause a running execution at its next checkpoint; the status that it then has.

        Its time goes on. Lambda tells of the pause only when it has begun. `before` is called when
        it is known to run.

        Raises:
            OperationFailedError: it is none that can be paused.
        """
        if (status := self._status(arn)) != "RUNNING":
            raise _cannot(arn, status, "only one that runs can be paused")
        before()
        client: Any = self.lambda_  # its stubs do not know the operation yet
        self._ask(client.pause_durable_execution, arn, reason)
        return self._until_not(arn, ("RUNNING", "PAUSING"))

    def resume(
        self, arn: str, reason: str | None = None, before: Callable[[], None] = lambda: None
    ) -> str:
        """Let a paused execution go on; the status that it then has.

        `before` is called when it is known to be paused, or about to be.

        Raises:
            OperationFailedError: it is not paused.
        """
        if (status := self._status(arn)) not in ("PAUSED", "PAUSING"):
            raise _cannot(arn, status, "only one that is paused can be resumed")
        before()
        client: Any = self.lambda_
        self._ask(client.resume_durable_execution, arn, reason)
        return self._until_not(arn, ("PAUSED", "PAUSING"))

    def _ask(self, operation: Callable[..., object], arn: str, reason: str | None) -> None:
        try:
            operation(DurableExecutionArn=arn, **({} if reason is None else {"Reason": reason}))
        except self.lambda_.exceptions.ResourceConflictException as error:
            said = error.response["Error"].get("Message") or "Lambda refuses"
            raise _cannot(arn, self._status(arn), said) from error

    def _until_not(self, arn: str, statuses: Sequence[str]) -> str:
        for _ in range(_STATUS_READS):
            if (status := self._status(arn)) not in statuses:
                return status
            self.sleep(_STATUS_SECONDS)
        return status

    def _status(self, arn: str) -> str:
        return self.lambda_.get_durable_execution(
            DurableExecutionArn=arn, IncludeExecutionData=False
        )["Status"]

    def _pages(self, options: dict[str, Any]) -> Iterator[Execution]:
        marker: dict[str, Any] = {}
        while True:
            page = self.lambda_.list_durable_executions_by_function(
                FunctionName=self.function_name, ReverseOrder=False, **options, **marker
            )
            yield from map(_execution, page.get("DurableExecutions", []))
            if not page.get("NextMarker"):
                return
            marker = {"Marker": page["NextMarker"]}


def _cannot(arn: str, status: str, why: str) -> OperationFailedError:
    return OperationFailedError(f"execution '{arn}' is {status}: {why}")


def _execution(summary: ExecutionTypeDef) -> Execution:
    return Execution(
        arn=summary["DurableExecutionArn"],
        name=summary["DurableExecutionName"],
        status=summary["Status"],
        started_at=summary["StartTimestamp"],
        ended_at=summary.get("EndTimestamp"),
    )


Found = TypeVar("Found")


def unless_gone(ask: Callable[[], Found]) -> Found | None:
    """What Lambda answers of an execution; None where it is not kept any more."""
    from botocore.exceptions import ClientError

    try:
        return ask()
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return None


_FAILED = frozenset({"FAILED", "TIMED_OUT", "STOPPED"})
_SUCCEEDED = "SUCCEEDED"


def messages(
    execution: ExecutionInput,
    environment: str | None,
    *,
    force: bool = False,
    read: ReadPayload = redrive.no_payloads,
) -> list[Redelivery]:
    """The messages of an execution's input, to send again; `force` allows one that succeeded.

    Raises:
        OperationFailedError: it has not ended or did not fail, or its input is no event.
        StackMissingError: an id is one that the pipeline gives, and `environment` is not known.
    """
    _check(execution, force=force)
    if execution.payload is None:
        msg = "the execution's input is not kept any more: there is no message to send again"
        raise OperationFailedError(msg)
    return redrive.of_event(execution.payload, environment, read=read)


def subjects(again: Sequence[Redelivery], arn: str) -> list[Subject]:
    """What to say of the messages of the execution `arn` that are sent again."""
    found: list[Subject] = []
    for one in again:
        subject: Subject = one.subject | {"durable_execution_arn": arn}
        if "message_id" in subject:
            subject["original_message_id"] = subject["message_id"]
        found.append(subject)
    return found


def _check(execution: ExecutionInput, *, force: bool) -> None:
    if execution.status in _FAILED or (force and execution.status == _SUCCEEDED):
        return
    remedy = (
        "use --force to send its records again all the same"
        if execution.status == _SUCCEEDED
        else "wait for its end, or stop it with 'pipelinectl executions stop'"
    )
    msg = f"execution '{execution.arn}' is {execution.status}, not failed: {remedy}"
    raise OperationFailedError(msg)
