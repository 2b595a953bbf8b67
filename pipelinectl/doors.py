"""Pause and resume the intake: the event source mappings by which queues reach the pipeline."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from pipelinectl.errors import OperationFailedError, StackMissingError

if TYPE_CHECKING:
    from mypy_boto3_lambda.client import LambdaClient
    from mypy_boto3_lambda.type_defs import EventSourceMappingConfigurationTypeDef

    from pipelinectl.aws import Stack

DoorName = Literal["messages", "objects", "internal", "files", "fifo", "fifo-internal"]
"""The doors that have a queue, by what it brings. That of `direct/` has none: S3 invokes the
function itself, and there is no switch but the bucket's notification, without which S3 would tell
nobody of what was put there meanwhile. The last two are there with the parameter FifoDoor."""

NAMES: tuple[DoorName, ...] = get_args(DoorName)

ENABLED, DISABLED = "Enabled", "Disabled"
"""The states of a mapping that it keeps. While it is in another, it is changing, and Lambda may
refuse to change it with ResourceInUseException:
https://docs.aws.amazon.com/lambda/latest/api/API_UpdateEventSourceMapping.html"""

PAUSED = frozenset({DISABLED, "Disabling"})
"""The states in which a mapping takes nothing in and will not by itself."""

NO_FIFO_DOOR = "the stack has no FIFO door: deploy it with the parameter FifoDoor=true"

PATIENCE = 600.0
"""Seconds until a mapping is taken for one that will not change any more."""

_PAUSE_SECONDS = 1.0


def queues_of(stack: Stack) -> dict[DoorName, str]:
    """The URL of the queue of each door that the stack has."""
    urls: dict[DoorName, str] = {
        "messages": stack.queue_url,
        "objects": stack.objects_queue_url,
        "internal": stack.internal_queue_url,
        "files": stack.files_queue_url,
        "fifo": stack.fifo_queue_url,
        "fifo-internal": stack.fifo_internal_queue_url,
    }
    return {name: url for name, url in urls.items() if url}


@dataclass(frozen=True)
class Mapping:
    """An event source mapping: its door, its id, and its state in AWS's words."""

    door: DoorName
    uuid: str
    state: str

    @property
    def is_paused(self) -> bool:
        """Whether nothing comes in by it until it is resumed."""
        return self.state in PAUSED


@dataclass(frozen=True)
class Doors:
    """The doors of one pipeline; `sleep` and `clock` are in seconds."""

    lambda_: LambdaClient
    stack: Stack
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def mappings(self, doors: Collection[DoorName] | None = None) -> list[Mapping]:
        """The mappings of these doors, or of all that the stack has.

        Raises:
            StackMissingError: a door has none, or the stack has no such door.
        """
        queues = queues_of(self.stack)
        wanted = queues.keys() if doors is None else doors
        for door in wanted:
            if door not in queues:
                raise StackMissingError(NO_FIFO_DOOR)
        pages = self.lambda_.get_paginator("list_event_source_mappings").paginate(
            FunctionName=self.stack.durable_function_arn
        )
        by_queue = {
            one["EventSourceArn"].rpartition(":")[2]: one
            for page in pages
            for one in page["EventSourceMappings"]
        }
        return [
            _mapping(door, url.rpartition("/")[2], by_queue)
            for door, url in queues.items()
            if door in wanted
        ]

    def pause(self, doors: Collection[DoorName] | None = None) -> list[Mapping]:
        """Disable the mappings of these doors, or of all, and wait until they are.

        Those that are so already are left alone, and those that are changing until they have.
        Batches that a mapping has taken are processed.

        Raises:
            OperationFailedError: a mapping was not so in time; it may be later.
        """
        return self._set(DISABLED, doors)

    def resume(self, doors: Collection[DoorName] | None = None) -> list[Mapping]:
        """Enable the mappings of these doors, or of all, and wait until they are.

        Raises as `pause` does.
        """
        return self._set(ENABLED, doors)

    def _set(self, wanted: str, doors: Collection[DoorName] | None) -> list[Mapping]:
        give_up_at = self.clock() + PATIENCE
        mappings = self.mappings(doors)
        switched: set[str] = set()
        while True:
            switched |= {one.uuid for one in mappings if self._switch(one, wanted, switched)}
            mappings = self.mappings(doors)
            others = [one for one in mappings if one.state != wanted]
            if not others:
                return mappings
            if self.clock() >= give_up_at:
                told = ", ".join(f"{one.door} is {one.state}" for one in others)
                msg = f"not {wanted} after {PATIENCE:.0f} seconds: {told}: run it again"
                raise OperationFailedError(msg)
            self.sleep(_PAUSE_SECONDS)

    def _switch(self, mapping: Mapping, wanted: str, switched: Collection[str]) -> bool:
        """Ask for the state, once, when it has the other one; whether it was accepted."""
        from botocore.exceptions import ClientError

        if mapping.state not in {ENABLED, DISABLED} - {wanted} or mapping.uuid in switched:
            return False
        try:
            self.lambda_.update_event_source_mapping(UUID=mapping.uuid, Enabled=wanted == ENABLED)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceInUseException":
                raise
            return False  # somebody else changes it: it is asked again when it has changed
        return True


def _mapping(
    door: DoorName, queue: str, by_queue: dict[str, EventSourceMappingConfigurationTypeDef]
) -> Mapping:
    if queue not in by_queue:
        msg = f"queue '{queue}' has no event source mapping: see 'pipelinectl doctor'"
        raise StackMissingError(msg)
    found = by_queue[queue]
    return Mapping(door, found["UUID"], found["State"])
