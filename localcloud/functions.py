"""What ministack knows of the Lambda functions and of what their roles may do, asked live."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from localcloud.quotas import Refusal
from localcloud.settings import ACCOUNT_ID

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_lambda.type_defs import FunctionConfigurationResponseTypeDef

_Question = TypeVar("_Question")
_Answer = TypeVar("_Answer")

LATEST = "$LATEST"
DEFAULT_RETENTION_DAYS = 14
# The forms that Invoke accepts: name, name:qualifier, partial ARN and full ARN.
_REFERENCE = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:)?"
    r"(?:(?P<region>[a-z]{2}(?:-[a-z]+)+-\d):)?"
    r"(?:(?P<account>\d{12}):)?"
    r"(?:function:)?"
    r"(?P<name>[a-zA-Z0-9-_]+)"
    r"(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9-_]+))?"
)


@dataclass(frozen=True)
class FunctionReference:
    """A function's bare name and, if given, its version or alias."""

    name: str
    qualifier: str | None


@dataclass(frozen=True)
class DurableConfiguration:
    """The limits of a durable function's executions, and the ARN of the queue for dead letters."""

    execution_timeout_seconds: int
    retention_days: int
    dead_letter_queue: str | None = None


@dataclass(frozen=True)
class Function:
    """A deployed function; `durable` is None for a plain one.

    `arn` is the unqualified ARN and `version` the one that the qualifier stands for.
    """

    name: str
    arn: str
    version: str
    role: str
    durable: DurableConfiguration | None


def parse_reference(text: str, qualifier: str | None = None) -> FunctionReference | None:
    """Return the function that `text` names, or None if it names none.

    A qualifier in the text and one given apart must agree, as Lambda demands.
    """
    match = _REFERENCE.fullmatch(text)
    if match is None:
        return None
    own = match["qualifier"]
    if own and qualifier and own != qualifier:
        return None
    return FunctionReference(match["name"], own or qualifier)


def refused_reference(text: str, qualifier: str | None, region: str) -> Refusal | None:
    """What Lambda has against a function's name, or against a qualifier that is given apart."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        return None
    own = match["qualifier"]
    if own and qualifier and own != qualifier:
        return Refusal(
            "InvalidParameterValueException",
            f"The derived qualifier from the function name does not match the specified qualifier: "
            f"{own} is not {qualifier}.",
        )
    if match["account"] not in (None, ACCOUNT_ID):
        return Refusal(
            "AccessDeniedException",
            f"{text} is a function of another account than {ACCOUNT_ID}, which allows nothing.",
            403,
        )
    if match["region"] not in (None, region):
        return Refusal(
            "ResourceNotFoundException", f"Functions from '{match['region']}' are not here.", 404
        )
    return None


def execution_arn(version_arn: str, execution_name: str, unique: str) -> str:
    """Return the ARN of an execution of a function's version."""
    return f"{version_arn}/durable-execution/{execution_name}/{unique}"


def function_of(arn: str) -> str:
    """Return the qualified ARN of the function whose execution has this ARN."""
    return arn.partition("/")[0]


def version_of(arn: str) -> str:
    """Return the version of the function with which the execution of this ARN runs."""
    return function_of(arn).rpartition(":")[2]


def unqualified_durable(name: str) -> str:
    """Return what to tell a caller who invokes a durable function without a qualifier."""
    return (
        f"You cannot invoke the durable function {name} with an unqualified ARN: add a version, an "
        f"alias or $LATEST, for example {name}:$LATEST."
    )


class Remembered(Generic[_Question, _Answer]):
    """Answers that hold for a few seconds. Safe to use from several threads."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._answers: dict[_Question, tuple[float, _Answer]] = {}
        self._lock = threading.Lock()

    def get(self, question: _Question, ask: Callable[[], _Answer]) -> _Answer:
        """Return the answer that is remembered, or ask; None is not remembered."""
        with self._lock:
            known = self._answers.get(question)
        if known and known[0] > time.monotonic():
            return known[1]
        answer = ask()
        if answer is not None:
            now = time.monotonic()
            with self._lock:
                # Of permissions each execution is a resource of its own: forget the old ones.
                self._answers = {q: a for q, a in self._answers.items() if a[0] > now}
                self._answers[question] = (now + self._seconds, answer)
        return answer


class FunctionDirectory:
    """Looks functions up in ministack. Safe to use from several threads.

    For how long it remembers is how long an alias that was moved goes on to mean its old version.
    """

    def __init__(self, client: LambdaClient, remember_seconds: float = 1.0) -> None:
        self._client = client
        self._known = Remembered[FunctionReference, Function | None](remember_seconds)

    def find(self, reference: FunctionReference) -> Function | None:
        """Return the function, or None if there is none; botocore's errors pass through.

        That there is none is asked every time: a function may be deployed at any moment.
        """
        return self._known.get(reference, lambda: self._ask(reference))

    def _ask(self, reference: FunctionReference) -> Function | None:
        try:
            if reference.qualifier:
                answer = self._client.get_function_configuration(
                    FunctionName=reference.name, Qualifier=reference.qualifier
                )
            else:
                answer = self._client.get_function_configuration(FunctionName=reference.name)
        except self._client.exceptions.ResourceNotFoundException:
            return None
        return _function(reference.name, answer)


def _function(name: str, answer: FunctionConfigurationResponseTypeDef) -> Function:
    return Function(
        name=name,
        arn=answer["FunctionArn"].split(f":function:{name}")[0] + f":function:{name}",
        version=answer.get("Version", "$LATEST"),
        role=answer["Role"],
        durable=_durable(answer),
    )


def _durable(answer: FunctionConfigurationResponseTypeDef) -> DurableConfiguration | None:
    config = answer.get("DurableConfig")
    if not config:
        return None
    return DurableConfiguration(
        execution_timeout_seconds=config["ExecutionTimeout"],
        retention_days=config.get("RetentionPeriodInDays", DEFAULT_RETENTION_DAYS),
        dead_letter_queue=answer.get("DeadLetterConfig", {}).get("TargetArn"),
    )


class Permissions:
    """Asks ministack's IAM whether a role may do something. Safe to use from several threads."""

    def __init__(self, client: IAMClient, remember_seconds: float = 5.0) -> None:
        self._client = client
        self._decisions = Remembered[tuple[str, str, str], bool](remember_seconds)

    def allows(self, role: str, action: str, resource: str) -> bool:
        """Tell whether the role's policies allow the action on the resource (an ARN each).

        botocore's errors pass through.
        """
        return self._decisions.get(
            (role, action, resource), lambda: self._evaluate(role, action, resource)
        )

    def _evaluate(self, role: str, action: str, resource: str) -> bool:
        answer = self._client.simulate_principal_policy(
            PolicySourceArn=role, ActionNames=[action], ResourceArns=[resource]
        )
        decisions = [result["EvalDecision"] for result in answer["EvaluationResults"]]
        return decisions == ["allowed"]


def denial(role: str, action: str, resource: str) -> str:
    """Return AWS's words for a refusal for want of an allowing policy."""
    return (
        f"User: {role} is not authorized to perform: {action} on resource: {resource} because no "
        f"identity-based policy allows the {action} action"
    )
