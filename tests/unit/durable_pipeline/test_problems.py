from __future__ import annotations

import pytest
from aws_durable_execution_sdk_python import InvokeError

from durable_pipeline.problems import Problem, Remedy
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
