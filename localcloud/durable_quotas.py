"""Holds durable executions to AWS's quotas, where their checkpoints are applied.

AWS's own service from their testing SDK looks at the size of what a chained invoke takes and
answers, and of errors; the rest is here. What is used is counted from the execution as it lies in
the store, so nothing is forgotten when the process ends. AWS does not publish its words for an
execution that is at its quota of operations or of storage; the error's type is the one that
CheckpointDurableExecution has for a request that will not do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aws_durable_execution_sdk_python.exceptions import CheckpointError
from aws_durable_execution_sdk_python.lambda_service import OperationAction, OperationType
from aws_durable_execution_sdk_python_testing.checkpoint.transformer import (
    CheckpointRequestDispatcher,
)
from aws_durable_execution_sdk_python_testing.child_dispatcher import (
    CHAINED_INVOKE_OUTPUT_TOO_LARGE_MESSAGE,
    ChainedInvokeRequest,
    ChildOutcome,
    InProcessChildDispatcher,
    result_outcome,
)
from aws_durable_execution_sdk_python_testing.exceptions import (
    AwsApiException,
    InvalidParameterValueException,
)
from botocore.exceptions import ClientError

from localcloud import quotas
from localcloud.quotas import utf8_length

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from aws_durable_execution_sdk_python.lambda_service import (
        CheckpointOutput,
        ErrorObject,
        Operation,
        OperationUpdate,
    )
    from aws_durable_execution_sdk_python_testing.checkpoint.effects import CheckpointEffect
    from aws_durable_execution_sdk_python_testing.checkpoint.processor import CheckpointProcessor
    from aws_durable_execution_sdk_python_testing.execution import Execution
    from aws_durable_execution_sdk_python_testing.executor import Executor

_WITH_RESULT = {
    (OperationType.STEP, OperationAction.SUCCEED),
    (OperationType.STEP, OperationAction.RETRY),  # the state of a wait for a condition
    (OperationType.CONTEXT, OperationAction.SUCCEED),
}


TooLarge = Callable[[str, str | None], str | None]
"""Says what is wrong with the size of the result of an execution, by its ARN, if anything is."""


def any_size(arn: str, result: str | None) -> str | None:  # noqa: ARG001 - as TooLarge has it
    """Have nothing against any result."""
    return None


class ValidationException(AwsApiException):
    """What AWS answers to a request whose shape is not the documented one."""

    http_status_code = 400

    def to_dict(self) -> dict[str, Any]:
        """The error as the SDK's web server writes it."""
        return {"Type": type(self).__name__, "message": str(self)}


class QuotaDispatcher(CheckpointRequestDispatcher):
    """Applies a checkpoint if AWS would."""

    def __init__(self, too_large: TooLarge = any_size, **options: Any) -> None:
        """`options` are the SDK's."""
        super().__init__(**options)
        self._too_large = too_large

    def apply_updates(
        self,
        execution: Execution,
        updates: list[OperationUpdate],
        client_token: str | None,
        touch: Callable[[str], None],
        now: datetime,
    ) -> list[CheckpointEffect]:
        """Apply the updates, all or none.

        Raises:
            ValidationException: a field is not as the API has it.
            InvalidParameterValueException: a quota of the execution is used up, or a result is
                too large.
        """
        require_within_quotas(execution, updates)
        self._require_small_output(execution, updates)
        effects: list[CheckpointEffect] = super().apply_updates(
            execution, updates, client_token, touch, now
        )
        return effects

    def _require_small_output(self, execution: Execution, updates: list[OperationUpdate]) -> None:
        for update in updates:
            if update.operation_type is OperationType.EXECUTION:
                wrong = self._too_large(execution.durable_execution_arn, update.payload)
                if wrong:
                    raise InvalidParameterValueException(wrong)


def as_lambda_refuses(
    checkpoint: Callable[[str, Sequence[OperationUpdate]], CheckpointOutput],
    token: str,
    updates: Sequence[OperationUpdate],
) -> CheckpointOutput:
    """Make a checkpoint in the process; a refusal is raised as the SDK's client of Lambda does.

    Otherwise the SDK would take a refusal for a crash and have the invocation repeated.
    """
    try:
        return checkpoint(token, updates)
    except AwsApiException as error:
        raise CheckpointError.from_exception(_client_error(error)) from error


class Utf8ChildDispatcher(InProcessChildDispatcher):
    """Measures what a plain function answers as Lambda's runtime writes it: in UTF-8.

    The SDK's in-process dispatcher escapes all that is not ASCII, which makes a Cyrillic letter six
    bytes of two.
    """

    def __init__(self, original: Any) -> None:
        """In the place of the dispatcher that the SDK's test runner has made."""
        self.__dict__.update(vars(original))

    def _run_single_invocation(
        self, handler: Callable[..., Any], request: ChainedInvokeRequest
    ) -> ChildOutcome:
        answers: list[Any] = []

        def keeping(event: Any, context: Any) -> Any:
            answers.append(handler(event, context))
            return answers[0]

        outcome: ChildOutcome = super()._run_single_invocation(keeping, request)
        error = outcome.error
        if answers and (error is None or error.message == CHAINED_INVOKE_OUTPUT_TOO_LARGE_MESSAGE):
            return result_outcome(json.dumps(answers[0], ensure_ascii=False))
        return outcome


def enforce(
    executor: Executor,
    processor: CheckpointProcessor,
    too_large: TooLarge = any_size,
) -> None:
    """Hold every checkpoint to the quotas, whether it comes by HTTP or in the process."""
    dispatcher = QuotaDispatcher(
        too_large, chained_invoke_preflight=executor.preflight_chained_invoke
    )
    # Neither takes a dispatcher of ours.
    executor._dispatcher = dispatcher
    processor._dispatcher = dispatcher


def require_within_quotas(execution: Execution, updates: list[OperationUpdate]) -> None:
    """Refuse a checkpoint that AWS would refuse; nothing is changed.

    Raises:
        ValidationException: a field is not as the API has it.
        InvalidParameterValueException: a quota of the execution is used up, or a result is too
            large.
    """
    for position, update in enumerate(updates, start=1):
        _require_shape(position, update)
    for update in updates:
        _require_small_result(update)
    _require(
        "operations", operations_of(execution), _added(execution, updates), quotas.MAX_OPERATIONS
    )
    _require(
        "bytes of stored data",
        stored_bytes_of(execution),
        sum(map(_stored_bytes, updates)),
        quotas.MAX_STORED_BYTES,
    )


def operations_of(execution: Execution) -> int:
    """Operations so far: the execution itself, every other one, and every retry of a step."""
    return len(execution.operations) + _retries(execution.updates)


def stored_bytes_of(execution: Execution) -> int:
    """Bytes so far: the input, what was checkpointed, and what invokes and callbacks brought."""
    return (
        utf8_length(execution.start_input.input or "")
        + sum(map(_stored_bytes, execution.updates))
        + sum(_delivered_bytes(operation) for operation in execution.operations)
    )


def _require(what: str, used: int, added: int, maximum: int) -> None:
    # Who adds nothing is not held up: an execution has to be able to end.
    if added and used + added > maximum:
        raise InvalidParameterValueException(
            f"The durable execution has {used:,} {what} and cannot add {added:,}: the maximum of a "
            f"durable execution is {maximum:,}."
        )


def _require_shape(position: int, update: OperationUpdate) -> None:
    fields = {
        "id": update.operation_id,
        "parentId": update.parent_id,
        "name": update.name,
        "subType": update.sub_type,
    }
    for field, value in fields.items():
        maximum, pattern = quotas.OPERATION_FIELDS[field]
        if value is not None and len(value) > maximum:
            _not_valid(position, field, f"have length less than or equal to {maximum}")
        if value is not None and not re.fullmatch(pattern, value):
            _not_valid(position, field, f"satisfy regular expression pattern: {pattern}")
    if utf8_length(update.payload or "") > quotas.MAX_PAYLOAD_BYTES:
        limit = quotas.MAX_PAYLOAD_BYTES
        _not_valid(position, "payload", f"have length less than or equal to {limit}")


def _not_valid(position: int, field: str, constraint: str) -> None:
    raise ValidationException(
        f"1 validation error detected: Value at 'updates.{position}.member.{field}' failed to "
        f"satisfy constraint: Member must {constraint}"
    )


def _require_small_result(update: OperationUpdate) -> None:
    if (update.operation_type, update.action) not in _WITH_RESULT:
        return
    if utf8_length(update.payload or "") > quotas.MAX_RESULT_BYTES:
        raise InvalidParameterValueException(
            f"{update.operation_type.value} output payload size must be less than or equal to "
            f"{quotas.MAX_RESULT_BYTES} bytes."
        )


def _added(execution: Execution, updates: list[OperationUpdate]) -> int:
    known = {operation.operation_id for operation in execution.operations}
    named = {
        update.operation_id
        for update in updates
        # The end of the execution is an update and no operation.
        if update.operation_type is not OperationType.EXECUTION
    }
    return len(named - known) + _retries(updates)


def _retries(updates: Iterable[OperationUpdate]) -> int:
    return sum(update.action is OperationAction.RETRY for update in updates)


def _stored_bytes(update: OperationUpdate) -> int:
    return utf8_length(update.payload or "") + _error_bytes(update.error)


def _delivered_bytes(operation: Operation) -> int:
    """Bytes of what no checkpoint brought: the result of an invoke or of a callback."""
    return sum(
        utf8_length(details.result or "") + _error_bytes(details.error)
        for details in _delivered(operation)
    )


def _delivered(operation: Operation) -> Iterator[Any]:
    if operation.chained_invoke_details:
        yield operation.chained_invoke_details
    if operation.callback_details:
        yield operation.callback_details


def _error_bytes(error: ErrorObject | None) -> int:
    return utf8_length(json.dumps(error.to_dict(), ensure_ascii=False)) if error else 0


def _client_error(error: AwsApiException) -> ClientError:
    document = error.to_dict()
    message = document.get("message", document.get("Message", str(error)))
    return ClientError(
        {
            "Error": {"Code": document.get("Type", "ServiceException"), "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": error.http_status_code},  # type: ignore[typeddict-item]  # all that the SDK reads
        },
        "CheckpointDurableExecution",
    )
