"""The entry point has the SDK end invocations at once, as far as the SDK can be had."""

from __future__ import annotations

import importlib
import inspect

import pytest
from aws_durable_execution_sdk_python import state

import durable_pipeline.handler


def test_the_sdk_looks_for_the_end_as_often_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # Others in this process have it look more often still.
    monkeypatch.setattr(state, "_STOP_SIGNAL_POLL_SECONDS", 0.1)
    importlib.reload(durable_pipeline.handler)

    assert state._STOP_SIGNAL_POLL_SECONDS == 0.01
    source = inspect.getsource(state.ExecutionState._wait_for_first_operation)
    assert "timeout = _STOP_SIGNAL_POLL_SECONDS" in source, "a new SDK waits otherwise"
