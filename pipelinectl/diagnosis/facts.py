"""What was read of a deployed pipeline and of this machine: all that the rules get to see.

A fact that could not be read is an `Unread` that says why, so that no rule takes it for good.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping as MappingOf

T = TypeVar("T")


class UnreadError(Exception):
    """A rule asked for a fact that could not be read; the message says why."""


@dataclass(frozen=True)
class Unread:
    """Stands for a fact that could not be read."""

    why: str


Read: TypeAlias = T | Unread


def known(fact: T | Unread) -> T:
    """The fact itself.

    Raises:
        UnreadError: it could not be read.
    """
    if isinstance(fact, Unread):
        raise UnreadError(fact.why)
    return fact


@dataclass(frozen=True)
class Redrive:
    """When a queue gives a message up, and to which queue (by name)."""

    dead_letter_queue: str
    max_receive_count: int


@dataclass(frozen=True)
class Queue:
    """An SQS queue; times in seconds, `messages` is how many wait to be received.

    `refuses_strangers` says that its policy refuses messages of all but those whom it names.
    """

    name: str
    url: str
    visibility_timeout: int
    retention: int
    messages: int
    redrive: Redrive | None = None
    refuses_strangers: bool = False


@dataclass(frozen=True)
class Mapping:
    """An event source mapping; `qualifier` is the alias or version that it invokes, if any.

    `window` is in seconds; `maximum_concurrency` is None where none is set.
    """

    uuid: str
    queue: str
    function: str
    qualifier: str | None
    state: str
    batch_size: int
    window: int
    maximum_concurrency: int | None
    reports_item_failures: bool


@dataclass(frozen=True)
class Function:
    """A Lambda function; `execution_timeout` is None of one that is not durable.

    Times are in seconds, `reserved_concurrency` is None where none is set, `variables` is its
    environment.
    """

    name: str
    timeout: int
    state: str = "Active"
    state_reason: str = ""
    last_update: str = "Successful"
    last_update_reason: str = ""
    execution_timeout: int | None = None
    reserved_concurrency: Read[int | None] = None
    qualifiers: Read[frozenset[str]] = frozenset()
    variables: MappingOf[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Alarm:
    """A CloudWatch alarm; `actions` are the ARNs that it tells, none where they are disabled."""

    name: str
    state: str
    reason: str
    actions: tuple[str, ...]


@dataclass(frozen=True)
class Topic:
    """An SNS topic: what the stack subscribed to it, and what is subscribed now.

    `subscriptions` are ARNs, and `unconfirmed` are the endpoints that have not answered yet.
    """

    arn: str
    expected: frozenset[str]
    subscriptions: frozenset[str]
    unconfirmed: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The last part of the ARN."""
        return self.arn.rpartition(":")[2]


@dataclass(frozen=True)
class Door:
    """What a bucket's notifications announce: objects below `prefix`, by type of event."""

    prefix: str
    event: str


@dataclass(frozen=True)
class Bucket:
    """An S3 bucket, the doors that it has by template.yaml, and those that it has now."""

    name: str
    expected: tuple[Door, ...]
    doors: frozenset[Door]


@dataclass(frozen=True)
class Account:
    """How many functions may run at once in this account and region, all and unreserved."""

    concurrency: int
    unreserved: int


@dataclass(frozen=True)
class Resources:
    """What there is of the stack's resources, by name; `gone` are those that no longer exist."""

    queues: MappingOf[str, Read[Queue]] = field(default_factory=dict)
    mappings: MappingOf[str, Read[Mapping]] = field(default_factory=dict)
    functions: MappingOf[str, Read[Function]] = field(default_factory=dict)
    topics: MappingOf[str, Read[Topic]] = field(default_factory=dict)
    buckets: MappingOf[str, Read[Bucket]] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    count: int = 0

    @property
    def unread(self) -> list[Unread]:
        """Why some of them could not be read."""
        kinds = (self.queues, self.mappings, self.functions, self.topics, self.buckets)
        return [found for kind in kinds for found in kind.values() if isinstance(found, Unread)]


@dataclass(frozen=True)
class StackFacts:
    """The CloudFormation stack and what belongs to it.

    `local` says that it is on a local cloud; `operators` is the ARN of the operators' topic;
    `alias` is the one by which clients invoke the durable function; `closed` names the queues that
    only those may send to who are believed there.
    """

    name: str
    status: str
    status_reason: str
    missing_outputs: tuple[str, ...]
    local: bool
    operators: str | None
    dead_letter_queue_url: str | None
    alias: str | None
    closed: frozenset[str]
    resources: Read[Resources]
    alarms: Read[tuple[Alarm, ...]]
    account: Read[Account]


@dataclass(frozen=True)
class Port:
    """A port that the local cloud needs, and who holds it instead of the local cloud."""

    number: int
    service: str
    variable: str
    holder: str | None


@dataclass(frozen=True)
class Machine:
    """What building, deploying and running the local cloud need on this machine.

    `python` is the version of the `python3` that make takes, None where there is none or it does
    not run; `commands` are paths, None of what
    is not there; `tools` are files that `make setup` makes, and whether they are there.
    """

    python: tuple[int, ...] | None
    commands: MappingOf[str, str | None]
    tools: MappingOf[str, bool]
    ports: tuple[Port, ...]


@dataclass(frozen=True)
class Facts:
    """All that was read.

    `absence` says why there is no stack; `machine` is None outside of a project's folder.
    """

    stack: StackFacts | None
    absence: str
    machine: Machine | None
