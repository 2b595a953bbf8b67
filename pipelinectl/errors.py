"""What can go wrong, and the exit code that each kind of failure ends with.

PipelinectlError (1)
├── NotFoundError (1)          what was asked for does not exist
├── OperationFailedError (1)   it was tried and did not work, or only partly
├── UsageError (2)             the command line or its input breaks a rule
├── UnreachableError (3)       no credentials, no endpoint, nobody answers
└── StackMissingError (3)      the CloudFormation stack or one of its outputs is not there
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell gets to see; documented in `pipelinectl --help`."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    INTERRUPTED = 130


class PipelinectlError(Exception):
    """A failure with a message of one line: what, which rule, what to do about it."""

    exit_code = ExitCode.FAILED


class NotFoundError(PipelinectlError):
    """What was asked for does not exist."""


class OperationFailedError(PipelinectlError):
    """It was tried and did not work, or only partly."""


class UsageError(PipelinectlError):
    """The command line or its input breaks a rule."""

    exit_code = ExitCode.USAGE


class UnreachableError(PipelinectlError):
    """There are no credentials, there is no endpoint, or nobody answers."""

    exit_code = ExitCode.UNREACHABLE


class StackMissingError(PipelinectlError):
    """The CloudFormation stack or one of its outputs is not there."""

    exit_code = ExitCode.UNREACHABLE
