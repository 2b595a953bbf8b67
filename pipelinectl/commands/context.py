"""What every command needs: the global options, --json, and the pipeline they lead to."""

import os
from dataclasses import dataclass
from typing import Annotated

import typer

from pipeline_core.catalog import Catalog
from pipelinectl import local
from pipelinectl.aws import Connection, Stack, connect, find_stack
from pipelinectl.commands.output import note
from pipelinectl.dead_letters import DeadLetterQueue
from pipelinectl.executions import Executions
from pipelinectl.items import Items
from pipelinectl.objects import Results
from pipelinectl.redrive import ReadPayload
from pipelinectl.sending import PayloadStore, Sender
from pipelinectl.uploading import UploadsApi, local_url

JsonFlag = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")
]


@dataclass(frozen=True)
class GlobalOptions:
    """Options that stand before the command."""

    stack_name: str


@dataclass(frozen=True)
class Pipeline:
    """A deployed pipeline and the clients to work on it."""

    connection: Connection
    stack: Stack

    @property
    def sender(self) -> Sender:
        """Sends to the queue that producers send to."""
        return Sender(self.connection.sqs, self.stack.queue_url)

    @property
    def resender(self) -> Sender:
        """Sends again, to the queue in which it is believed whose record a message is."""
        return Sender(self.connection.sqs, self.stack.internal_queue_url)

    @property
    def items(self) -> Items:
        """What the pipeline stored."""
        return Items(self.connection.dynamodb, self.stack.table_name)

    @property
    def executions(self) -> Executions:
        """The durable executions of the pipeline's function."""
        return Executions(self.connection.lambda_, self.stack.durable_function_name)

    @property
    def dead_letters(self) -> DeadLetterQueue:
        """What the pipeline gave up."""
        return DeadLetterQueue(
            self.connection.sqs,
            self.stack.dead_letter_queue_url,
            source_url=self.stack.queue_url,
        )

    @property
    def payloads(self) -> PayloadStore:
        """Where bodies go that are too large for a message."""
        maximum = float(self.stack.parameters.get("MaximumDocumentSize", "inf"))
        return PayloadStore(self.connection.s3, self.stack.payload_bucket, maximum)

    @property
    def read_payload(self) -> ReadPayload:
        """Reads what messages point to; most are no pointers, and then S3 is not needed."""
        return lambda pointer: self.payloads.read(pointer)

    @property
    def catalog(self) -> Catalog:
        """What the pipeline knows of objects."""
        return Catalog(self.connection.dynamodb, self.stack.catalog_table)

    @property
    def results(self) -> Results:
        """What the pipeline made of files."""
        return Results(self.connection.s3, self.stack.output_bucket)

    @property
    def uploads_api(self) -> UploadsApi:
        """Gives presigned URLs."""
        endpoint = self.connection.endpoint_url
        url = self.stack.uploads_api_url
        if endpoint is not None:
            url = local_url(self.stack.uploads_api_id, endpoint)
        return UploadsApi(self.connection.http("execute-api"), url)


def options_of(ctx: typer.Context) -> GlobalOptions:
    """The global options of this call."""
    return ctx.find_root().ensure_object(GlobalOptions)


def open_connection(*, quiet: bool) -> Connection:
    """Connect to what the environment names or else to the local cloud, and say so."""
    connection = connect(os.environ, lambda: local.client_environment_if_up(os.environ))
    if connection.is_local and not quiet:
        note(f"using the local cloud at {connection.settings['AWS_ENDPOINT_URL']}")
    return connection


def open_pipeline(ctx: typer.Context, *, quiet: bool) -> Pipeline:
    """Connect and find the stack; `quiet` says nothing about where it leads."""
    connection = open_connection(quiet=quiet)
    return Pipeline(connection, find_stack(connection.cloudformation, options_of(ctx).stack_name))
