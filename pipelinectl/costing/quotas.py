"""The quotas of Lambda's durable executions, and how near something comes to them.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_OPERATIONS = 3_000
MAX_STATE_BYTES = 100_000_000
MAX_STARTS_PER_SECOND = 300
MAX_CHECKPOINTS_PER_SECOND = 10_000
"""20,000 in US East (N. Virginia), US West (Oregon) and Europe (Ireland)."""

MAX_EVENT_BYTES = 6 * 1024 * 1024
"""Of the event that an event source mapping invokes with: it makes smaller batches above that."""

_NEAR = 0.8


@dataclass(frozen=True)
class Load:
    """How much of a quota is used."""

    name: str
    value: float
    limit: int
    unit: str = ""

    @property
    def warning(self) -> str | None:
        """One line where it is more than four fifths of the quota; None below."""
        if self.value <= self.limit * _NEAR:
            return None
        what = "above" if self.value > self.limit else "near"
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.name}: {self.value:,.0f}{unit} is {what} the quota of {self.limit:,}{unit}"


def of_execution(operations: float, state_bytes: float) -> list[Load]:
    """The quotas of one execution, which nobody can raise."""
    return [
        Load("operations of an execution", operations, MAX_OPERATIONS),
        Load("state of an execution", state_bytes, MAX_STATE_BYTES, "bytes"),
    ]


def of_account(starts: float, checkpoints: float) -> list[Load]:
    """The quotas of an account in a region, per second."""
    return [
        Load("durable executions started a second", starts, MAX_STARTS_PER_SECOND),
        Load("checkpoints a second", checkpoints, MAX_CHECKPOINTS_PER_SECOND),
    ]


def warnings(loads: list[Load]) -> list[str]:
    """The warnings of those that have one."""
    return [load.warning for load in loads if load.warning]
