from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pipelinectl.executions import Executions

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class FakeLambda:
    """Lists so many executions, one a page, in the order that AWS documents."""

    count: int

    def list_durable_executions_by_function(self, **options: Any) -> dict[str, Any]:
        numbers = sorted(range(self.count), reverse=not options["ReverseOrder"])
        index = int(options.get("Marker", 0))
        more = {"NextMarker": str(index + 1)} if index + 1 < self.count else {}
        return {"DurableExecutions": [_summary(n) for n in numbers[index : index + 1]]} | more


def _summary(number: int) -> dict[str, Any]:
    return {
        "DurableExecutionArn": f"arn/{number}",
        "DurableExecutionName": f"run-{number}",
        "Status": "SUCCEEDED",
        "StartTimestamp": NOON + timedelta(seconds=number),
    }


def test_the_newest_come_first() -> None:
    executions = Executions(FakeLambda(3), "pipeline")  # type: ignore[arg-type]  # a fake of what it uses

    assert [execution.name for execution in executions.newest()] == ["run-2", "run-1", "run-0"]
    assert executions.resolve("last") == "arn/2"
