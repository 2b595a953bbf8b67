"""What every command needs: the global options, --json, and the pipeline they lead to.

What a pipeline consists of is imported where it is asked for: a command needs little of it.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

import typer

from pipelinectl import local
from pipelinectl.aws import DEFAULT_STACK_NAME, Connection, Options, Stack, connect, find_stack
from pipelinectl.commands.output import err, note
from pipelinectl.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_core.catalog import Catalog
    from pipelinectl.audit import Audit
    from pipelinectl.dead_letters import DeadLetterQueue
    from pipelinectl.executions import Executions
    from pipelinectl.items import Items
    from pipelinectl.objects import Results
    from pipelinectl.record import Records
    from pipelinectl.redrive import ReadPayload, Redelivery
    from pipelinectl.reprocess import Sources
    from pipelinectl.sending import PayloadStore, Sender
    from pipelinectl.uploading import UploadsApi

JsonFlag = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")
]

Limit = Annotated[
    int | None,
    typer.Option(
        "--limit", min=1, help="At most this many; all with --json, unless this says otherwise."
    ),
]


def limit_of(limit: int | None, default: int, *, as_json: bool) -> int | None:
    """How many a list shows at most: what is said, or else `default` to people and all to jq."""
    return limit or (None if as_json else default)


TIME = "ISO-8601, local time if no offset, or how long ago: 90s, 10m, 2h, 3d."

_AGO = re.compile(r"(?P<count>\d{1,5})(?P<unit>[smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(option: str, text: str | None) -> datetime | None:
    """The time that `option` gives.

    Raises:
        UsageError: it is none.
    """
    if text is None:
        return None
    if ago := _AGO.fullmatch(text):
        return datetime.now(UTC) - timedelta(**{_UNITS[ago["unit"]]: int(ago["count"])})
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError as error:
        how = "2026-03-01, 2026-03-01T14:00:00+01:00, or 2h for two hours ago"
        msg = f"{option} '{text}' is no time: write it as {how}"
        raise UsageError(msg) from error


Note = Annotated[
    str | None, typer.Option("--note", help="Why, for the audit line that says who did it.")
]


@dataclass(frozen=True)
class Pipeline:
    """A deployed pipeline and the clients to work on it."""

    connection: Connection
    stack: Stack

    @property
    def target(self) -> str:
        """Where it is, for people: on this machine, or in which account and region."""
        return target(self.connection, self.stack.name, self.stack.arn)

    @property
    def sender(self) -> Sender:
        """Sends to the queue that producers send to."""
        from pipelinectl.sending import Sender

        return Sender(self.connection.sqs, self.stack.queue_url)

    @property
    def sender_in_order(self) -> Sender:
        """Sends to the FIFO queue that producers send to.

        Raises:
            StackMissingError: there is none.
        """
        from pipelinectl.doors import NO_FIFO_DOOR
        from pipelinectl.errors import StackMissingError
        from pipelinectl.sending import Sender

        if not self.stack.fifo_queue_url:
            raise StackMissingError(NO_FIFO_DOOR)
        return Sender(self.connection.sqs, self.stack.fifo_queue_url)

    @property
    def resender(self) -> Sender:
        """Sends again, to the queue in which it is believed whose record a message is."""
        from pipelinectl.sending import Sender

        return Sender(self.connection.sqs, self.stack.internal_queue_url)

    @property
    def resender_in_order(self) -> Sender | None:
        """The same for what came through the FIFO door; None where the stack has none."""
        from pipelinectl.sending import Sender

        url = self.stack.fifo_internal_queue_url
        return Sender(self.connection.sqs, url) if url else None

    def resender_of(self, again: Sequence[Redelivery]) -> Sender:
        """Sends `again` what one queue has brought."""
        in_order = self.resender_in_order
        return in_order if in_order and any(one.is_in_order for one in again) else self.resender

    @property
    def items(self) -> Items:
        """What the pipeline stored."""
        from pipelinectl.items import Items

        return Items(self.connection.dynamodb, self.stack.table_name)

    @property
    def executions(self) -> Executions:
        """The durable executions of the pipeline's function."""
        from pipelinectl.executions import Executions

        return Executions(self.connection.lambda_, self.stack.durable_function_name)

    @property
    def dead_letters(self) -> DeadLetterQueue:
        """What the pipeline gave up."""
        from pipelinectl.dead_letters import DeadLetterQueue

        return DeadLetterQueue.of(self.connection, self.stack)

    @property
    def payloads(self) -> PayloadStore:
        """Where bodies go that are too large for a message."""
        from pipelinectl.sending import PayloadStore

        maximum = float(self.stack.parameters.get("MaximumDocumentSize", "inf"))
        return PayloadStore(self.connection.s3, self.stack.payload_bucket, maximum)

    @property
    def read_payload(self) -> ReadPayload:
        """Reads what messages point to; most are no pointers, and then S3 is not needed."""
        return lambda pointer: self.payloads.read(pointer)

    @property
    def catalog(self) -> Catalog:
        """What the pipeline knows of objects."""
        from pipeline_core.catalog import Catalog

        return Catalog(self.connection.dynamodb, self.stack.catalog_table)

    @property
    def results(self) -> Results:
        """What the pipeline made of files."""
        from pipelinectl.objects import Results

        return Results(self.connection.s3, self.stack.output_bucket)

    @cached_property
    def audit(self) -> Audit:
        """Who did what."""
        from pipelinectl.audit import audit_of

        return audit_of(self.connection, self.stack)

    @property
    def sources(self) -> Sources:
        """What records are made of again."""
        from pipelinectl.reprocess import Sources

        return Sources(self.stack, self.connection.s3, self.catalog)

    @property
    def records(self) -> Records:
        """The lives of records."""
        from pipelinectl.record import Records

        return Records(
            stack=self.stack,
            items=self.items,
            dead_letters=self.dead_letters,
            executions=self.executions,
            audit=self.audit,
            catalog=self.catalog,
        )

    @property
    def uploads_api(self) -> UploadsApi:
        """Gives presigned URLs."""
        from pipelinectl.uploading import UploadsApi, local_url

        endpoint = self.connection.endpoint_url
        url = self.stack.uploads_api_url
        if endpoint is not None:
            url = local_url(self.stack.uploads_api_id, endpoint)
        return UploadsApi(self.connection.http("execute-api"), url)


def tell(used: str) -> None:
    """Say on stderr, if that is a terminal, where the command goes."""
    if err().is_terminal:
        note(f"using {used}")


def target(connection: Connection, stack_name: str, stack_arn: str) -> str:
    """Where a stack is, for people: on this machine, or in which account and region."""
    if at := connection.at:
        return f"the local cloud at {at}, stack {stack_name}"
    _, _, _, region, account, _ = stack_arn.split(":", 5)
    return f"AWS account {account}, {region}, stack {stack_name}"


def options_of(ctx: typer.Context) -> Options:
    """The global options of this call."""
    return ctx.find_root().ensure_object(Options)


def open_connection(ctx: typer.Context) -> Connection:
    """Connect to what the options or the environment name, or else to the local cloud."""
    return connect(options_of(ctx), os.environ, _local_environment)


def open_pipeline(ctx: typer.Context, *, quiet: bool, changes: bool = False) -> Pipeline:
    """Connect, find the stack and say where that is, unless `quiet`.

    A command that `changes` something asks first where AWS is meant by the environment, but the
    project's local cloud is up, which may be what the user has in mind.

    Raises:
        UsageError: it is so, and nobody is there to be asked, or the answer is no.
    """
    options = options_of(ctx)
    connection = open_connection(ctx)
    pipeline = Pipeline(connection, find_stack(connection.cloudformation, options.stack_name))
    if changes and not (options.aws or options.profile or connection.at):
        _require_that_aws_is_meant(pipeline)
    if not quiet:
        tell(pipeline.target)
    return pipeline


def local_pipeline() -> Pipeline:
    """The pipeline on the local cloud of this folder, whatever the environment names.

    Raises:
        NotFoundError: it is not up.
    """
    if (variables := _local_environment()) is None:
        msg = "no local cloud is up for this folder: start it with 'pipelinectl local up'"
        raise NotFoundError(msg)
    connection = Connection(variables)
    return Pipeline(connection, find_stack(connection.cloudformation, DEFAULT_STACK_NAME))


def _require_that_aws_is_meant(pipeline: Pipeline) -> None:
    if _local_environment() is None:
        return
    there = f"this goes to {pipeline.target}, and a local cloud is up for this folder"
    if in_a_terminal() and typer.confirm(f"{there}: is AWS meant?", err=True):
        return
    msg = f"{there}: say --aws if AWS is meant, or unset the AWS_* variables if not"
    raise UsageError(msg)


def _local_environment() -> dict[str, str] | None:
    return local.client_environment_if_up(os.environ)


def in_a_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()
