"""The harness and the contract of the stages as fixtures.

pytest loads them in every project in whose environment this package is installed, with or without
what they need; so that is imported by the fixtures, when a test asks for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from faults import FaultsError

if TYPE_CHECKING:
    from faults.harness import Harness
    from faults.stage_contract import StageContract


@pytest.fixture
def no_retry_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the test runner repeat a failed invocation at once, not after 5 real seconds."""
    try:
        from aws_durable_execution_sdk_python_testing.executor import Executor
    except ModuleNotFoundError as error:
        raise FaultsError(
            f"the harness needs {error.name}: install durable-pipeline[faults]"
        ) from error
    monkeypatch.setattr(Executor, "RETRY_BACKOFF_SECONDS", 0)


@pytest.fixture
def durable_harness(no_retry_backoff: None) -> type[Harness]:  # noqa: ARG001 - has it set up
    """What makes a `Harness` of a durable handler and its stages."""
    from faults.harness import Harness

    return Harness


@pytest.fixture
def stage_contract() -> type[StageContract]:
    """What makes a `StageContract` of a stage's handler and documents that it is meant for."""
    from faults.stage_contract import StageContract

    return StageContract
