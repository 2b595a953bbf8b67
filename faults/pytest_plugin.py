"""The harness as a fixture.

pytest loads it in every project in whose environment this package is installed, with or without
what the harness needs; so that is imported by the fixtures, when a test asks for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from faults import FaultsError

if TYPE_CHECKING:
    from faults.harness import Harness


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
