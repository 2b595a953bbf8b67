"""What can go wrong, and the exit code that each kind of failure ends with.

PipelinectlError (1)
├── NotFoundError (1)          what was asked for does not exist
├── OperationFailedError (1)   it was tried and did not work, or only partly
├── RejectedError (4)          what was sent came through, and some of it was rejected
├── UsageError (2)             the command line or its input breaks a rule
├── UnreachableError (3)       no credentials, no endpoint, nobody answers
└── StackMissingError (3)      the CloudFormation stack or one of its outputs is not there
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import typer
    from botocore.exceptions import BotoCoreError, ClientError

NOWHERE_TO_GO = (
    "no AWS credentials and no local cloud: start one with 'pipelinectl local up', "
    "or name a profile with --profile (or set AWS_ENDPOINT_URL and keys)"
)


class ExitCode(IntEnum):
    """What the shell gets to see; documented in `pipelinectl --help`."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    REJECTED = 4
    INTERRUPTED = 130


class PipelinectlError(Exception):
    """A failure with a message of one line: what, which rule, what to do about it."""

    exit_code = ExitCode.FAILED


class NotFoundError(PipelinectlError):
    """What was asked for does not exist."""


class OperationFailedError(PipelinectlError):
    """It was tried and did not work, or only partly."""


class RejectedError(PipelinectlError):
    """What was sent came through, and some of it was rejected."""

    exit_code = ExitCode.REJECTED


class UsageError(PipelinectlError):
    """The command line or its input breaks a rule."""

    exit_code = ExitCode.USAGE


class UnreachableError(PipelinectlError):
    """There are no credentials, there is no endpoint, or nobody answers."""

    exit_code = ExitCode.UNREACHABLE


class StackMissingError(PipelinectlError):
    """The CloudFormation stack or one of its outputs is not there."""

    exit_code = ExitCode.UNREACHABLE


_CANDIDATES = 5


def ambiguous(reference: str, what: str, candidates: Iterable[str]) -> UsageError:
    """The error that a reference is the beginning of several ids; `what` has them: `records`."""
    found = sorted(set(candidates))
    more = f" and {len(found) - _CANDIDATES:,} more" if len(found) > _CANDIDATES else ""
    return UsageError(
        f"{len(found):,} {what} begin with '{reference}': "
        f"{', '.join(found[:_CANDIDATES])}{more}: give more of the one you mean"
    )


_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_PERMISSION = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_MISSING = frozenset(
    {
        "AWS.SimpleQueueService.NonExistentQueue",
        "NoSuchBucket",
        "NoSuchKey",
        "QueueDoesNotExist",
        "ResourceNotFoundException",
    }
)
_THROTTLED = frozenset({"ThrottlingException", "TooManyRequestsException", "Throttling"})


def throttled(error: ClientError) -> bool:
    """Whether AWS says that there are too many requests."""
    return error.response["Error"]["Code"] in _THROTTLED


@dataclass(frozen=True)
class Failure:
    """What stderr and the shell get to see."""

    line: str
    exit_code: ExitCode


def report(line: str) -> None:
    """Write one error to stderr."""
    sys.stderr.write(f"pipelinectl: {line}\n")


def expected() -> tuple[type[Exception], ...]:
    """The errors that have a line; any other is a defect and shows its traceback.

    botocore's are only asked for once it is loaded: without it nothing can raise them.
    """
    if "botocore.exceptions" not in sys.modules:
        return (PipelinectlError,)
    from botocore.exceptions import BotoCoreError, ClientError

    return (PipelinectlError, BotoCoreError, ClientError)


def explain(error: Exception) -> Failure:
    """The line and the exit code of one of the `expected` errors."""
    if isinstance(error, PipelinectlError):
        return Failure(str(error), error.exit_code)
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, ClientError):
        return _explain_answer(error)
    if isinstance(error, BotoCoreError):
        return _explain_silence(error)
    raise error


def explain_usage(error: typer.TyperException | typer.Abort) -> str:
    """The line of an error that Typer found in the arguments."""
    said = getattr(error, "format_message", lambda: "aborted")()
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "pipelinectl"
    return f"{' '.join(said.split()).rstrip('.')}: see '{command} --help'"


def _explain_answer(error: ClientError) -> Failure:
    code = error.response["Error"]["Code"]
    said = error.response["Error"].get("Message", "")
    what = f"{error.operation_name}: {code}: {' '.join(said.split())}".rstrip(": ")
    if code in _CREDENTIALS:
        return Failure(f"{what}: renew your AWS credentials", ExitCode.UNREACHABLE)
    return Failure(f"{what}{_remedy(code)}", ExitCode.FAILED)


def _remedy(code: str) -> str:
    if code in _PERMISSION:
        return ": ask for this permission, or use another AWS_PROFILE"
    if code in _MISSING:
        return ": check the name, the region and --stack-name"
    if code in _THROTTLED:
        return ": wait a little and try again"
    return ""


def _explain_silence(error: BotoCoreError) -> Failure:
    from botocore.exceptions import ConnectionError as NoConnectionError
    from botocore.exceptions import (
        HTTPClientError,
        NoCredentialsError,
        NoRegionError,
        ParamValidationError,
        PartialCredentialsError,
    )

    said = " ".join(str(error).split())
    match error:
        case NoCredentialsError() | PartialCredentialsError():
            return Failure(NOWHERE_TO_GO, ExitCode.UNREACHABLE)
        case NoRegionError():
            return Failure(
                "no AWS region: name one with --region, or set AWS_REGION", ExitCode.UNREACHABLE
            )
        case NoConnectionError() | HTTPClientError():
            remedy = "check the network, or start the local cloud with 'pipelinectl local up'"
            return Failure(f"{said}: {remedy}", ExitCode.UNREACHABLE)
        case ParamValidationError():
            return Failure(said, ExitCode.USAGE)
        case _:
            return Failure(said, ExitCode.UNREACHABLE)
