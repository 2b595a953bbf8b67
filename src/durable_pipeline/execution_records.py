"""AWS's telemetry exporter for durable executions, where it is wanted.

It writes one record of each execution to the function's log: its operations by name, how often each
ran and how long it took. Neither what came in nor an operation's error: both may quote a record. Of
an execution that fails as a whole it has the error, which Lambda logs anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LOGS = "logs"


def exporters(environment: Mapping[str, str]) -> list[Any]:
    """The plugin that EXECUTION_RECORDS asks for; none, and nothing is imported, as a rule."""
    if environment.get("EXECUTION_RECORDS") != LOGS:
        return []
    from aws_durable_execution_sdk_python_telemetry_exporter import (
        ContentConfig,
        ContentOperations,
        DurableExecutionTelemetryConfig,
        durable_execution_telemetry,
    )

    content = ContentConfig(
        input=False, output=False, operations=ContentOperations(include_errors=False)
    )
    return [durable_execution_telemetry(DurableExecutionTelemetryConfig(content=content))]
