"""What becomes of a call to AWS that is refused: a fact not read, or a thing that is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from pipelinectl import failures
from pipelinectl.diagnosis.facts import Read, Unread

T = TypeVar("T")

_GONE = frozenset(
    {
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
        "NoSuchBucket",
        "NotFound",
        "NotFoundException",
        "ResourceNotFoundException",
    }
)


def attempt(read: Callable[[], T]) -> Read[T]:
    """What `read` answers, or why it does not: no permission, no such API, nobody there."""
    try:
        return read()
    except (ClientError, BotoCoreError) as error:
        return Unread(failures.explain(error).line)


def attempt_existing(read: Callable[[], T]) -> Read[T] | None:
    """The same; None when what it asks for does not exist."""
    try:
        return read()
    except ClientError as error:
        return None if is_gone(error) else Unread(failures.explain(error).line)
    except BotoCoreError as error:
        return Unread(failures.explain(error).line)


def is_gone(error: ClientError) -> bool:
    """Whether the service says that there is no such thing."""
    return error.response["Error"]["Code"] in _GONE
