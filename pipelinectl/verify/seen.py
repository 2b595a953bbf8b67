"""What can be seen of what a run has sent: dead letters, executions, items, entries, log lines.

Each is asked for anew by `look`, and remembered, as is what the caller may not read.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pipeline_core.catalog import Catalog
from pipelinectl.aws import function_name
from pipelinectl.dead_letters import DeadLetterQueue
from pipelinectl.errors import PipelinectlError
from pipelinectl.executions import Executions
from pipelinectl.items import Items
from pipelinectl.timeline import build_timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pipeline_core.objects import ObjectId
    from pipelinectl.dead_letters import DeadLetter
    from pipelinectl.items import Item
    from pipelinectl.timeline import Timeline
    from pipelinectl.verify.sent import Deployed, Sent

RUNNING = "RUNNING"
_MOST_EXECUTIONS = 200
_MOST_LINES = 2000
# The clock of whoever asks may be that much wrong.
_CLOCKS_DIFFER = timedelta(seconds=90)
_DENIED = re.compile(
    r"(?:assumed-role/[^/\s]+/(?P<function>[\w-]+) is )?not authorized to perform: "
    r"(?P<action>[\w-]+:\w+)"
)


@dataclass(frozen=True)
class Execution:
    """An execution that worked on something of the run; `events` once it has ended."""

    arn: str
    status: str
    payload: str
    events: tuple[Any, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether it has."""
        return self.status != RUNNING

    @property
    def timeline(self) -> Timeline:
        """What it did."""
        return build_timeline(self.events)

    def denied(self) -> Iterator[str]:
        """What functions were denied, as far as it heard of it: `store: dynamodb:PutItem`."""
        return denials(json.dumps(self.events, default=str))


def denials(text: str) -> Iterator[str]:
    """Each function in a text that IAM denied something, and what."""
    found = {(one["function"] or "", one["action"]) for one in _DENIED.finditer(text)}
    for function, action in sorted(found):
        yield ": ".join(filter(None, (function, action)))


@dataclass
class Observations:
    """All that is known so far of what was `sent`; `unreadable` says what may not be read."""

    deployed: Deployed
    sent: Sent
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    letters: dict[str, DeadLetter] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    executions: dict[str, Execution] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    _others: set[str] = field(default_factory=set)

    @property
    def since(self) -> datetime:
        """Nothing of the run is older, whatever the clocks say."""
        return self.began - _CLOCKS_DIFFER

    @property
    def queue(self) -> DeadLetterQueue:
        """The dead-letter queue."""
        return DeadLetterQueue.of(self.deployed.connection, self.deployed.stack)

    def look(self) -> None:
        """Ask for what may have come."""
        self._try("dead letters", self._look_for_letters)
        self._try("executions", self._look_for_executions)

    def item(self, execution_id: str) -> Item | None:
        """The item with this key."""
        stack = self.deployed.stack
        return Items(self.deployed.connection.dynamodb, stack.table_name).get(execution_id)

    def entry(self, place: ObjectId) -> Mapping[str, Any]:
        """What the catalog says of an object, which may be nothing."""
        table = self.deployed.stack.catalog_table
        return {**(Catalog(self.deployed.connection.dynamodb, table).get(place) or {})}

    def letter_of(self, name: str) -> DeadLetter | None:
        """The dead letter of what was sent as `name`."""
        ids = self.sent.message_ids.get(name, [])
        text = self.sent.names.record_id(name)
        for letter in self.letters.values():
            if letter.original_message_id in ids or text in letter.body:
                return letter
        return None

    def executions_of(self, text: str) -> list[Execution]:
        """The executions whose input speaks of `text`."""
        return [one for one in self.executions.values() if text in one.payload]

    def log_lines(self, role: str, pattern: str) -> list[Mapping[str, Any]]:
        """The JSON lines of a function, since the run began, in which `pattern` stands.

        botocore's errors pass through.
        """
        group = f"/aws/lambda/{function_name(self.deployed.stack.name, role)}"
        pages = self.deployed.connection.logs.get_paginator("filter_log_events").paginate(
            logGroupName=group,
            startTime=int(self.since.timestamp() * 1000),
            filterPattern=f'"{pattern}"',
            PaginationConfig={"MaxItems": _MOST_LINES},
        )
        texts = [event["message"] for page in pages for event in page["events"]]
        return list(_documents(text for text in texts if pattern in text))

    def _try(self, what: str, ask: Callable[[], None]) -> None:
        """Ask, and remember a refusal; any other error is the caller's to hear of."""
        from botocore.exceptions import ClientError

        if what in self.unreadable:
            return
        try:
            ask()
        except ClientError as error:
            if not is_denial(error):
                raise
            self.unreadable[what] = said(error)

    def _look_for_letters(self) -> None:
        seen = [one for one in self.queue.peek() if self.is_own(one)]
        self.gone |= self.letters.keys() - {letter.message_id for letter in seen}
        self.letters |= {letter.message_id: letter for letter in seen}

    def is_own(self, letter: DeadLetter) -> bool:
        """Whether a dead letter is of this run."""
        texts = (letter.body, *letter.attributes.values())
        return any(map(self.sent.names.own, texts))

    def _look_for_executions(self) -> None:
        executions = Executions(
            self.deployed.connection.lambda_, self.deployed.stack.durable_function_name
        )
        for one in executions.newest(limit=_MOST_EXECUTIONS):
            if one.started_at < self.since:
                return
            known = self.executions.get(one.arn)
            if one.arn in self._others or (known and known.ended):
                continue
            payload = known.payload if known else executions.input_of(one.arn).payload or ""
            if not self.sent.names.own(payload):
                self._others.add(one.arn)
                continue
            events = tuple(executions.history(one.arn)) if one.status != RUNNING else ()
            self.executions[one.arn] = Execution(one.arn, one.status, payload, events)


def _documents(texts: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    for text in texts:
        try:
            document = json.loads(text)
        except ValueError:
            continue
        if isinstance(document, dict):
            yield document


_DENIALS = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"}
)


def is_denial(error: Exception) -> bool:
    """Whether the caller's own rights do not reach."""
    response: Mapping[str, Any] = getattr(error, "response", {})
    return response.get("Error", {}).get("Code") in _DENIALS


def said(error: Exception) -> str:
    """An error in one line."""
    if isinstance(error, PipelinectlError):
        return str(error)
    response: Mapping[str, Any] = getattr(error, "response", {})
    told = response.get("Error", {})
    operation = getattr(error, "operation_name", "")
    parts = (operation, told.get("Code", type(error).__name__), str(told.get("Message", error)))
    return " ".join(": ".join(filter(None, parts)).split())
