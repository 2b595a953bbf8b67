"""The harness as a fixture.

Enable it with ``pytest_plugins = ["faults.pytest_plugin"]`` in the topmost ``conftest.py``.
"""

from __future__ import annotations

import pytest
from aws_durable_execution_sdk_python_testing.executor import Executor

from faults.harness import Harness


@pytest.fixture
def no_retry_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the test runner repeat a failed invocation at once, not after 5 real seconds."""
    monkeypatch.setattr(Executor, "RETRY_BACKOFF_SECONDS", 0)


@pytest.fixture
def durable_harness(no_retry_backoff: None) -> type[Harness]:  # noqa: ARG001 - has it set up
    """What makes a `Harness` of a durable handler and its stages."""
    return Harness
