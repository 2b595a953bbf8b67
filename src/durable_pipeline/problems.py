"""What can go wrong with an invoke of a stage, and what helps against it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from aws_durable_execution_sdk_python import InvokeError

from shared.contracts import ContractViolation


class Remedy(Enum):
    """What to do about a stage that failed as a whole."""

    BACK_OFF = "try again later, several times: the service had no room"
    TRY_ONCE_MORE = "try once more, then bisect: chance, or a poison record"
    BISECT = "bisect: it would fail again"
    NONE = "give up: neither time nor fewer records help"


BACK_OFF_ERRORS = frozenset(
    {
        "EC2ThrottledException",
        "ResourceConflictException",
        "ResourceNotReadyException",
        "ServiceException",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)

NOTHING_HELPS_ERRORS = frozenset(
    {
        "AccessDeniedException",
        "EC2AccessDeniedException",
        "InvalidParameterValueException",
        "InvalidRuntimeException",
        "KMSAccessDeniedException",
        "KMSDisabledException",
        "KMSInvalidStateException",
        "KMSNotFoundException",
        "ResourceNotFoundException",
    }
)
# Both from the errors of https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html

TOO_LARGE_ERRORS = frozenset({"Function.ResponseSizeTooLarge", "RequestTooLargeException"})

TIMEOUT_ERRORS = frozenset({"ChainedInvoke.Timeout", "Sandbox.Timedout"})
"""An invocation that the durable execution service no longer waited for, and one that Lambda ended
at the function's timeout."""

_TOO_LARGE_WORDS = ("too large", "payload size must be less than or equal to")
"""What the durable execution service says of more than 1 MiB, to a stage or from one: it has no
error type for either."""


@dataclass(frozen=True)
class Problem:
    """Why a stage failed as a whole, and the remedy."""

    type: str
    message: str
    remedy: Remedy

    @property
    def is_of_a_record(self) -> bool:
        """Whether one of the records may be at fault, so that fewer records may help."""
        return self.remedy in (Remedy.TRY_ONCE_MORE, Remedy.BISECT)

    @property
    def described(self) -> tuple[str, str]:
        """Type and message."""
        return self.type, self.message

    @classmethod
    def of(cls, error: Exception) -> Problem:
        """The problem behind ``error``: an `InvokeError` or a `ContractViolation`."""
        if isinstance(error, ContractViolation):
            return cls("ContractViolation", str(error), Remedy.BISECT)
        error_type = error.error_type if isinstance(error, InvokeError) else type(error).__name__
        return cls(error_type, str(error), _remedy(error_type, str(error)))


def _remedy(error_type: str, message: str) -> Remedy:
    if error_type in BACK_OFF_ERRORS:
        return Remedy.BACK_OFF
    if error_type in NOTHING_HELPS_ERRORS:
        return Remedy.NONE
    if error_type in TOO_LARGE_ERRORS or any(w in message.lower() for w in _TOO_LARGE_WORDS):
        return Remedy.BISECT
    # Time-outs too: chance, a poison record, or too much for one invocation, which bisecting mends.
    return Remedy.TRY_ONCE_MORE
