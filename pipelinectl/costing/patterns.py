"""The same records in other ways, from what was measured: one chain a record, Step Functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipelinectl.costing.charges import Consumption, gb_seconds
from pipelinectl.costing.usage import EXECUTION, Calls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelinectl.costing.functions import Size
    from pipelinectl.costing.usage import Usage

STAGES = 3


@dataclass(frozen=True)
class Pattern:
    """A way to process the records, what it would use, and what was assumed."""

    name: str
    used: Consumption
    assumption: str


def patterns(
    usage: Usage, measured: Consumption, sizes: Mapping[str, Size], durable_function: str
) -> list[Pattern]:
    """What was measured first, then the others; all of the same records in the same batches."""
    others = _Others(usage, measured, sizes, durable_function)
    return [
        Pattern("this pipeline", measured, "as measured"),
        Pattern(
            "one chain a record",
            others.chain_a_record(),
            "each record through three chained invokes of its own, in the same executions; the "
            "durable function takes as long an invocation as measured, the stages as long in all",
        ),
        Pattern(
            "Step Functions, chunks",
            others.step_functions(measured.operations - usage.operations[EXECUTION]),
            "Standard; one state transition for each operation but the execution; no states for "
            "failures, no pipe from the queue",
        ),
        Pattern(
            "Step Functions, records",
            others.step_functions(STAGES * others.taken, STAGES * others.taken),
            "the same with three transitions a record; the stages take as long in all",
        ),
    ]


@dataclass(frozen=True)
class _Others:
    usage: Usage
    measured: Consumption
    sizes: Mapping[str, Size]
    durable_function: str

    @property
    def taken(self) -> int:
        """Records that were worked on, each as often as it was delivered."""
        return self.usage.deliveries + self.usage.rows

    def chain_a_record(self) -> Consumption:
        """31 operations and 31 invocations of the durable function for a batch of ten."""
        chained = STAGES * self.taken
        operations = chained + self.usage.executions
        own = self.usage.calls[self.durable_function]
        calls = {
            **self.usage.calls,
            self.durable_function: Calls(operations, _mean(own) * operations),
        }
        return replace(
            self.measured,
            operations=operations,
            requests=operations + chained,
            gb_seconds=gb_seconds(calls, self.sizes),
        )

    def step_functions(self, transitions: int, invocations: int | None = None) -> Consumption:
        """No durable function; `invocations` of stages, or else as many as measured."""
        stages = {n: c for n, c in self.usage.calls.items() if n != self.durable_function}
        measured = sum(calls.count for calls in stages.values())
        return replace(
            self.measured,
            operations=0,
            bytes_written=0,
            gb_months=0,
            requests=measured if invocations is None else invocations,
            gb_seconds=gb_seconds(stages, self.sizes),
            transitions=transitions,
        )


def _mean(calls: Calls) -> float:
    timed = calls.count - calls.untimed
    return calls.seconds / timed if timed else 0.0
