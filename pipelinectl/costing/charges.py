"""From what was used to dollars."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipelinectl.costing.functions import Size
    from pipelinectl.costing.prices import Prices
    from pipelinectl.costing.usage import Calls, Usage

MILLION = 1_000_000
BYTES_A_GB = 1_000_000_000
DAYS_A_MONTH = 30
SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Consumption:
    """What AWS charges for: measured, of another pattern, or forecast.

    `gb_months` is data kept, `gb_seconds` is by architecture.
    """

    records: int
    operations: int = 0
    bytes_written: float = 0
    gb_months: float = 0
    requests: int = 0
    gb_seconds: Mapping[str, float] = field(default_factory=dict)
    queue_requests: float = 0
    write_units: float = 0
    transitions: int = 0


@dataclass(frozen=True)
class Charge:
    """One line of the bill; `estimated` where the history does not say the quantity."""

    name: str
    quantity: float
    unit: str
    dollars: float
    estimated: bool


def consumption(usage: Usage, sizes: Mapping[str, Size], retention_days: int) -> Consumption:
    """What `usage` is charged as; `retention_days` is how long an ended execution is kept."""
    return Consumption(
        records=usage.records,
        operations=usage.operation_count,
        bytes_written=usage.bytes_written,
        gb_months=gb_months(usage.bytes_written, usage.byte_seconds, retention_days),
        requests=usage.invocations,
        gb_seconds=gb_seconds(usage.calls, sizes),
        queue_requests=usage.queue_requests,
        write_units=usage.write_units,
    )


def gb_months(written: float, byte_seconds: float, retention_days: int) -> float:
    """Data kept while its execution ran (`byte_seconds`) and for `retention_days` after."""
    kept = byte_seconds + written * retention_days * SECONDS_A_DAY
    return kept / BYTES_A_GB / SECONDS_A_DAY / DAYS_A_MONTH


def gb_seconds(calls: Mapping[str, Calls], sizes: Mapping[str, Size]) -> dict[str, float]:
    """GB-seconds of all functions, by architecture."""
    total: dict[str, float] = {}
    for name, of_function in calls.items():
        size = sizes[name]
        used = size.gb_seconds(of_function.seconds)
        total[size.architecture] = total.get(size.architecture, 0.0) + used
    return total


def charges(used: Consumption, prices: Prices) -> list[Charge]:
    """The bill for `used`, without lines of nothing."""
    lines = [
        _per_million("durable operations", used.operations, prices.per_million_durable_operations),
        _per_gb("data written", used.bytes_written, prices.per_gb_written),
        Charge(
            "data retained",
            used.gb_months,
            "GB-month",
            used.gb_months * prices.per_gb_month_retained,
            estimated=True,
        ),
        _per_million("state transitions", used.transitions, prices.per_million_state_transitions),
        _per_million("Lambda requests", used.requests, prices.per_million_lambda_requests),
        *(
            Charge(
                f"Lambda compute, {architecture}",
                quantity,
                "GB-second",
                quantity * prices.per_gb_second(architecture),
                estimated=True,
            )
            for architecture, quantity in sorted(used.gb_seconds.items())
        ),
        _per_million(
            "SQS requests", used.queue_requests, prices.per_million_sqs_requests, estimated=True
        ),
        _per_million(
            "DynamoDB write units",
            used.write_units,
            prices.per_million_dynamodb_write_units,
            estimated=True,
        ),
    ]
    return [line for line in lines if line.quantity]


def dollars(lines: Sequence[Charge]) -> float:
    """The sum of a bill."""
    return sum(line.dollars for line in lines)


def dollars_per_million_records(used: Consumption, prices: Prices) -> float:
    """What a million records cost at this rate."""
    return dollars(charges(used, prices)) / used.records * MILLION


def _per_million(name: str, count: float, price: float, *, estimated: bool = False) -> Charge:
    return Charge(name, count, "", count / MILLION * price, estimated)


def _per_gb(name: str, count: float, price: float) -> Charge:
    return Charge(name, count / BYTES_A_GB, "GB", count / BYTES_A_GB * price, estimated=False)
