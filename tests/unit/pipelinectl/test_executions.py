from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelinectl.executions import Executions

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class FakeLambda:
    """Lists so many executions, one a page; `reverse` is what it takes to list the newest first."""

    count: int
    newest_first: bool

    def list_durable_executions_by_function(self, **options: Any) -> dict[str, Any]:
        reverse = options["ReverseOrder"] is self.newest_first
        numbers = sorted(range(self.count), reverse=reverse)
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


@pytest.mark.parametrize("newest_first", [True, False])
def test_the_newest_come_first_whichever_way_the_service_turns(newest_first: bool) -> None:
    executions = Executions(FakeLambda(3, newest_first), "pipeline")  # type: ignore[arg-type]  # a fake of what it uses

    assert [execution.name for execution in executions.newest()] == ["run-2", "run-1", "run-0"]
    assert executions.resolve("last") == "arn/2"


@pytest.mark.parametrize("count", [0, 1])
def test_few_executions_have_no_order(count: int) -> None:
    executions = Executions(FakeLambda(count, newest_first=False), "pipeline")  # type: ignore[arg-type]  # a fake of what it uses

    assert len(list(executions.newest())) == count
