"""What the handlers of `parallels` and `maps` tell of a batch."""

from __future__ import annotations

from typing import Any

from aws_durable_execution_sdk_python import BatchResult

COUNTS = ("completionReason", "successCount", "failureCount", "totalCount")
OUTCOME = ("completionReason", "status", "successCount", "failureCount", "totalCount")


def told(batch: BatchResult[Any], fields: tuple[str, ...]) -> dict[str, Any]:
    """The given ``fields`` of all that there is to tell."""
    everything = {
        "completionReason": batch.completion_reason.value,
        "status": batch.status.value,
        "successCount": batch.success_count,
        "failureCount": batch.failure_count,
        "totalCount": batch.total_count,
    }
    return {field: everything[field] for field in fields}
