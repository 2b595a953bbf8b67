"""All that there is to say about what executions cost."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelinectl.costing import quotas
from pipelinectl.costing.charges import Charge, Consumption, charges, consumption
from pipelinectl.costing.forecast import Forecast, Sample, Volume, forecast
from pipelinectl.costing.functions import sizes
from pipelinectl.costing.patterns import Pattern, patterns
from pipelinectl.costing.usage import Usage, usage_of
from pipelinectl.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipelinectl.costing.functions import Size
    from pipelinectl.costing.prices import Prices
    from pipelinectl.executions import Executions

ESTIMATES = (
    (
        "Lambda compute: the times in the history, not the billed ones, with the memory that "
        "functions have now; a stage's time is from its invoke to its answer"
    ),
    "data retained: the executions' running times and the stack's ExecutionRetentionInDays",
    "SQS requests: each message sent alone, received and deleted by tens; no empty receives",
    "DynamoDB write units: the size of what was sent to the store stage",
    (
        "chained invokes: AWS's list of metered operations does not name them; each counts as one "
        "operation, its input and its result as written"
    ),
)
NOT_INCLUDED = (
    "free tiers and discounts, data transfer, S3, CloudWatch, SNS, KMS, DynamoDB reads and "
    "storage, dead letters, and the functions beside the stages"
)


@dataclass(frozen=True)
class Deployment:
    """The pipeline that ran the executions; `is_local` says that it was not at AWS.

    `retention_days` is how long it keeps an execution that has ended.
    """

    stack_name: str
    region: str
    is_local: bool
    retention_days: int


@dataclass(frozen=True)
class Measured:
    """What each execution used; `left_out` are ARNs of those whose input tells of no records."""

    usages: tuple[Usage, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """What executions used and cost, other ways to do the same, and a month's forecast."""

    prices: Prices
    deployment: Deployment
    measured: Measured
    usage: Usage
    sizes: Mapping[str, Size]
    used: Consumption
    charges: Sequence[Charge]
    patterns: Sequence[Pattern]
    forecast: Forecast | None
    warnings: Sequence[str]


def measure(executions: Executions, arns: Sequence[str], done: Callable[[int], None]) -> Measured:
    """Read the histories of `arns`; `done` hears of each."""
    usages: list[Usage] = []
    left_out: list[str] = []
    for arn in arns:
        usage = usage_of(executions.history(arn), executions.function_name)
        if usage is None:
            left_out.append(arn)
        else:
            usages.append(usage)
        done(1)
        executions.breathe()
    return Measured(tuple(usages), tuple(left_out))


def report(
    executions: Executions,
    measured: Measured,
    prices: Prices,
    deployment: Deployment,
    volume: Volume | None,
) -> Report:
    """Put together what was measured.

    Raises:
        NotFoundError: no record was taken in, or none that a forecast could be made from.
    """
    usage = _total(measured.usages)
    if not usage.records:
        msg = "these executions took in no records: send some, or name others"
        raise NotFoundError(msg)
    found = sizes(executions.lambda_, usage.calls)
    used = consumption(usage, found, deployment.retention_days)
    month = None
    if volume is not None:
        month = forecast(volume, _sample(executions, measured, found, deployment.retention_days))
    return Report(
        prices=prices,
        deployment=deployment,
        measured=measured,
        usage=usage,
        sizes=found,
        used=used,
        charges=charges(used, prices),
        patterns=patterns(usage, used, found, executions.function_name),
        forecast=month,
        warnings=_warnings(measured.usages),
    )


def _sample(
    executions: Executions, measured: Measured, found: Mapping[str, Size], retention_days: int
) -> Sample:
    """The executions that took documents through the stages."""
    name = executions.function_name
    documents = [
        u for u in measured.usages if u.record_ids and not u.rows and u.calls.keys() - {name}
    ]
    if not documents:
        msg = "no forecast: none of these executions took messages through the stages; name others"
        raise NotFoundError(msg)
    return Sample(_total(documents), found, name, retention_days)


def _total(usages: Sequence[Usage]) -> Usage:
    return functools.reduce(operator.add, usages, Usage())


def _warnings(usages: Sequence[Usage]) -> list[str]:
    """Quotas that the largest of the executions came near to."""
    return quotas.warnings(
        quotas.of_execution(
            max(usage.operation_count for usage in usages),
            max(usage.bytes_written for usage in usages),
        )
    )
