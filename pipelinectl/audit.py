"""Who did what: one line for each record that an operator has acted on.

The lines are in a log group of the stack, which operators can only append to. What there is to say
before an act is written before it, so that nothing is done of which there is no line.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict, cast

from pipeline_core.sizes import batches, text_size
from pipelinectl.dead_letters import identity_of
from pipelinectl.errors import OperationFailedError
from pipelinectl.items import timestamp

if TYPE_CHECKING:
    from mypy_boto3_logs.client import CloudWatchLogsClient
    from mypy_boto3_sts.client import STSClient

    from pipelinectl.aws import Connection, Stack
    from pipelinectl.dead_letters import DeadLetter

Action = Literal["redrive", "discard", "purge", "reprocess", "stop", "retry", "pause", "resume"]

MAX_EVENTS = 10_000
MAX_BYTES = 1_048_576
EVENT_OVERHEAD = 26
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html

MAX_PAGES = 50
"""Of lines that are looked through for one record: each is of up to 1 MB."""

IDS = (
    "execution_id",
    "message_id",
    "original_message_id",
    "new_message_id",
    "durable_execution_arn",
)
"""What a line names a record by, and last an execution."""


class Subject(TypedDict):
    """What an act was done to; none of it quotes a record.

    `message_id` is the message's at the time, `original_message_id` that which its producer's had,
    `new_message_id` that under which SQS has accepted it again. `durable_execution_arn`, `stage`
    and `error_type` are of a dead letter. `count` is of what has no ids, as a purge.
    """

    execution_id: NotRequired[str]
    message_id: NotRequired[str]
    original_message_id: NotRequired[str]
    new_message_id: NotRequired[str]
    durable_execution_arn: NotRequired[str]
    stage: NotRequired[str]
    error_type: NotRequired[str]
    edited: NotRequired[bool]
    count: NotRequired[int]
    result: NotRequired[str]


class Line(Subject):
    """One line: `at` is ISO-8601 in UTC, `who` the caller's ARN as STS has it.

    It is written before the act; how that ended, `result`, is a line of its own in the log group,
    and joined with it as it is read. An act without is one of which that is not known, or one that
    has nothing to tell.
    """

    at: str
    who: str
    action: Action
    note: NotRequired[str]


class NotWritten(OperationFailedError):
    """The log group took no line."""


def subject_of(letter: DeadLetter, environment: str | None) -> Subject:
    """What to say of a dead letter; `environment` is the prefix of ids that the pipeline gives."""
    subject: Subject = {
        "execution_id": identity_of(letter, environment),
        "message_id": letter.message_id,
        "original_message_id": letter.original_message_id,
        "stage": letter.stage,
        "error_type": letter.error_type,
    }
    if letter.durable_execution_arn is not None:
        subject["durable_execution_arn"] = letter.durable_execution_arn
    return subject


@dataclass(frozen=True)
class Found:
    """Lines, oldest first, each with its result, and whether these are all that there are."""

    lines: Sequence[Line]
    complete: bool


@dataclass(frozen=True)
class Audit:
    """The audit lines of one stack."""

    logs: CloudWatchLogsClient
    sts: Callable[[], STSClient]
    group: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def write(self, action: Action, subjects: Iterable[Subject], note: str | None = None) -> None:
        """Write a line for each of `subjects`.

        Raises:
            NotWritten: not all of them were taken.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            at, more = timestamp(self.now()), {} if note is None else {"note": note}
            head = {"at": at, "who": self.who, "action": action}
            texts = [_json({**head, **subject, **more}) for subject in subjects]
            stream = self._stream(at)
            for batch in batches(texts, _size, max_bytes=MAX_BYTES, max_entries=MAX_EVENTS):
                self._put(stream, at, batch)
        except (ClientError, BotoCoreError) as error:
            msg = (
                f"the audit line was not written to log group '{self.group}' ({error}): ask for "
                "logs:CreateLogStream and logs:PutLogEvents there"
            )
            raise NotWritten(msg) from error

    def before(self, action: Action, subjects: Iterable[Subject], note: str | None = None) -> None:
        """The same, of what is only done if its line is written.

        Raises:
            NotWritten: says that nothing was done.
        """
        try:
            self.write(action, subjects, note)
        except NotWritten as error:
            msg = f"{error}; without it nothing is done"
            raise NotWritten(msg) from error

    def after(self, action: Action, subjects: Iterable[Subject]) -> bool:
        """Write how it ended, which undoes nothing if it fails; whether it was written."""
        try:
            self.write(action, subjects)
        except NotWritten:
            return False
        return True

    def find(self, ids: Collection[str], since: datetime | None = None) -> Found:
        """The lines that name one of `ids`, since then."""
        lines, complete = self._lines(_pattern(ids), since)
        return Found([line for line in lines if names(line) & set(ids)], complete)

    def find_beginning(self, beginning: str) -> Found:
        """The lines with an id that begins so; looks through all that there are."""
        lines, complete = self._lines("", None)
        found = [one for one in lines if any(name.startswith(beginning) for name in names(one))]
        return Found(found, complete)

    @cached_property
    def who(self) -> str:
        """ARN of the caller, as STS has it."""
        return self.sts().get_caller_identity()["Arn"]

    def _stream(self, at: str) -> str:
        """The stream of the day and the caller, there by now."""
        name = f"{at[:10].replace('-', '/')}/{self.who.rpartition(':')[2].replace('*', '_')}"
        with contextlib.suppress(self.logs.exceptions.ResourceAlreadyExistsException):
            self.logs.create_log_stream(logGroupName=self.group, logStreamName=name)
        return name

    def _put(self, stream: str, at: str, texts: Sequence[str]) -> None:
        timestamp = int(datetime.fromisoformat(at).timestamp() * 1000)
        answer = self.logs.put_log_events(
            logGroupName=self.group,
            logStreamName=stream,
            logEvents=[{"timestamp": timestamp, "message": text} for text in texts],
        )
        if rejected := answer.get("rejectedLogEventsInfo"):
            msg = f"log group '{self.group}' took not all audit lines ({rejected}): set your clock"
            raise NotWritten(msg)

    def _lines(self, pattern: str, since: datetime | None) -> tuple[list[Line], bool]:
        options: dict[str, Any] = {"filterPattern": pattern} if pattern else {}
        if since is not None:
            options["startTime"] = int(since.timestamp() * 1000)
        pages = self.logs.get_paginator("filter_log_events").paginate(
            logGroupName=self.group, **options
        )
        seen = 0
        found: list[Line] = []
        for page in itertools.islice(pages, MAX_PAGES):
            seen += 1
            found += filter(None, (_line(event["message"]) for event in page["events"]))
        return _with_results(sorted(found, key=lambda line: line["at"])), seen < MAX_PAGES


def _with_results(lines: Iterable[Line]) -> list[Line]:
    """`lines`, each with how it ended, instead of in a line of its own."""
    acts: list[Line] = []
    latest: dict[tuple[str, str], Line] = {}
    for line in lines:
        of = line["action"], line.get("message_id") or line.get("execution_id", "")
        act = latest.pop(of, None) if "result" in line else None
        if act is None:
            acts.append(line)
            latest[of] = line
            continue
        act["result"] = line["result"]
        if "new_message_id" in line:
            act["new_message_id"] = line["new_message_id"]
    return acts


def audit_of(connection: Connection, stack: Stack) -> Audit:
    """The audit lines of a stack; STS is only asked once there is one to write."""
    return Audit(connection.logs, lambda: connection.sts, stack.audit_log_group)


def names(line: Line) -> set[str]:
    """All ids that the line names."""
    fields: Mapping[str, Any] = line
    return {str(fields[name]) for name in IDS if name in fields}


_UNQUOTABLE = frozenset('"\\*')
_MAX_PATTERN = 1024  # characters of a filter pattern


def _pattern(ids: Collection[str]) -> str:
    """What has CloudWatch look for `ids`; empty where it cannot, and all lines are read.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
    """
    if any(_UNQUOTABLE & set(one) for one in ids):
        return ""
    terms = [f'($.{name} = "{one}")' for one in sorted(ids) for name in _names_of(one)]
    pattern = f"{{ {' || '.join(terms)} }}"
    return pattern if terms and len(pattern) <= _MAX_PATTERN else ""


def _names_of(reference: str) -> Sequence[str]:
    """The fields that `reference` may stand in: only an execution's ARN has slashes."""
    *of_records, of_execution = IDS
    return (of_execution,) if "/" in reference else of_records


def _line(text: str) -> Line | None:
    """The line in a message; None of what somebody else has written there."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    match line:
        case {"at": str(), "who": str(), "action": str()}:
            return cast("Line", line)
    return None


def _json(line: Mapping[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


def _size(text: str) -> int:
    return text_size(text) + EVENT_OVERHEAD
