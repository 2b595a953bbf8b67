"""Every expected error as one line that names what, why and the remedy, with its exit code."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelinectl.errors import ExitCode, PipelinectlError
from pipelinectl.session import NOWHERE_TO_GO

if TYPE_CHECKING:
    import typer
    from botocore.exceptions import BotoCoreError, ClientError

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
    from botocore.exceptions import (
        ConnectionError as NoConnectionError,
    )
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
            return Failure("no AWS region: set AWS_REGION", ExitCode.UNREACHABLE)
        case NoConnectionError() | HTTPClientError():
            remedy = "check the network, or start the local cloud with 'pipelinectl local up'"
            return Failure(f"{said}: {remedy}", ExitCode.UNREACHABLE)
        case ParamValidationError():
            return Failure(said, ExitCode.USAGE)
        case _:
            return Failure(said, ExitCode.UNREACHABLE)
