from __future__ import annotations

import pytest
from aws_durable_execution_sdk_python import InvokeError
from aws_durable_execution_sdk_python_testing import child_dispatcher

from durable_pipeline.problems import Problem, Remedy
from durable_pipeline.reasons import known_reason
from shared.contracts import ContractViolation


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (InvokeError("rate", error_type="TooManyRequestsException"), Remedy.BACK_OFF),
        (InvokeError("oops", error_type="ServiceException"), Remedy.BACK_OFF),
        (InvokeError("no", error_type="AccessDeniedException"), Remedy.NONE),
        (InvokeError("no", error_type="ResourceNotFoundException"), Remedy.NONE),
        (InvokeError("big", error_type="RequestTooLargeException"), Remedy.BISECT),
        (InvokeError("The result is too large."), Remedy.BISECT),
        (InvokeError("died", error_type="Runtime.ExitError"), Remedy.TRY_ONCE_MORE),
        (InvokeError("late", error_type="Sandbox.Timedout"), Remedy.TRY_ONCE_MORE),
        (InvokeError("bug", error_type="KeyError"), Remedy.TRY_ONCE_MORE),
        (InvokeError("who knows"), Remedy.TRY_ONCE_MORE),
        (ContractViolation("wrong"), Remedy.BISECT),
    ],
)
def test_each_error_has_its_remedy(error: Exception, remedy: Remedy) -> None:
    assert Problem.of(error).remedy is remedy


def test_a_problem_is_named_as_the_stage_named_it() -> None:
    problem = Problem.of(InvokeError("poisoned", error_type="MemoryError"))

    assert (problem.type, problem.message) == ("MemoryError", "poisoned")


# Each type and each text by which AWS's service says that a chained invoke came to nothing.
OF_CHAINED_INVOKES = {
    "CHAINED_INVOKE_TIMEOUT_ERROR_TYPE": Remedy.TRY_ONCE_MORE,
    "FUNCTION_TIMEOUT_ERROR_TYPE": Remedy.TRY_ONCE_MORE,
    "FUNCTION_NOT_FOUND_ERROR_TYPE": Remedy.NONE,
    "CHAINED_INVOKE_INPUT_TOO_LARGE_MESSAGE": Remedy.BISECT,
    "CHAINED_INVOKE_OUTPUT_TOO_LARGE_MESSAGE": Remedy.BISECT,
    "CHILD_EXECUTION_OUTPUT_TOO_LARGE_MESSAGE": Remedy.BISECT,
    "CHAINED_INVOKE_UTF8_DECODING_MESSAGE": Remedy.TRY_ONCE_MORE,
    # Of a name that cannot be invoked, which the template cannot give.
    "INVALID_FUNCTION_ARN_MESSAGE_FORMAT": Remedy.TRY_ONCE_MORE,
    "INVALID_TENANT_ID_MESSAGE": Remedy.TRY_ONCE_MORE,
    "CHAINED_INVOKE_DIFFERENT_ACCOUNT_MESSAGE": Remedy.TRY_ONCE_MORE,
    "CHAINED_INVOKE_DIFFERENT_REGION_MESSAGE": Remedy.TRY_ONCE_MORE,
}


@pytest.mark.parametrize(
    "name",
    [n for n in vars(child_dispatcher) if n.endswith(("_ERROR_TYPE", "_MESSAGE", "_FORMAT"))],
)
def test_each_error_that_the_service_has_for_a_chained_invoke_has_its_remedy(name: str) -> None:
    said: str = getattr(child_dispatcher, name)
    error = InvokeError("", error_type=said) if name.endswith("_ERROR_TYPE") else InvokeError(said)

    assert Problem.of(error).remedy is OF_CHAINED_INVOKES[name]


@pytest.mark.parametrize("name", [n for n in OF_CHAINED_INVOKES if n.endswith("_ERROR_TYPE")])
def test_each_type_that_the_service_has_for_a_chained_invoke_is_told_apart(name: str) -> None:
    said: str = getattr(child_dispatcher, name)

    assert known_reason(said) == said
