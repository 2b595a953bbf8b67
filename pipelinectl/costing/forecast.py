"""What a month of so many records would use, in batches of such a size.

How many operations it takes follows from the pipeline's rules alone. Bytes and seconds are those of
executions that were measured, scaled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelinectl.costing import quotas
from pipelinectl.costing.charges import (
    DAYS_A_MONTH,
    Consumption,
    gb_months,
    gb_seconds,
)
from pipelinectl.costing.patterns import STAGES
from pipelinectl.costing.usage import Calls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelinectl.costing.functions import Size
    from pipelinectl.costing.usage import Usage

# The pipeline's rules, src/durable_pipeline/stages.py.
MAX_CHUNK_RECORDS = 100
MAX_CHUNK_BYTES = 300_000
MAX_CONCURRENT_CHUNKS = 10

MAX_BATCH_SIZE = 10_000
HOURS_A_DAY = 24
_SECONDS_AN_HOUR = 3600


@dataclass(frozen=True)
class Sample:
    """Executions that took documents through the stages, to scale from."""

    usage: Usage
    sizes: Mapping[str, Size]
    durable_function: str
    retention_days: int


@dataclass(frozen=True)
class Volume:
    """Records a month, in batches of `batch_size`, on `hours` of each day."""

    records: int
    batch_size: int
    hours: float = HOURS_A_DAY


@dataclass(frozen=True)
class Forecast:
    """A month of a volume. `batch_size` is what fits into one event, `warnings` are of quotas."""

    volume: Volume
    batch_size: int
    executions: int
    operations_per_execution: int
    used: Consumption
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Batch:
    """Healthy batches, `times` the same: what one of them takes."""

    records: int
    chunks: int
    times: int

    @property
    def chained(self) -> int:
        return STAGES * self.chunks

    @property
    def operations(self) -> int:
        """The execution, its invokes, a map over several chunks, a clock for those that wait."""
        several = 1 if self.chunks > 1 else 0
        return 1 + self.chained + several + max(0, self.chunks - MAX_CONCURRENT_CHUNKS)

    @property
    def invocations(self) -> int:
        """Of the durable function, at most: one to begin, one after each chained invoke."""
        return 1 + self.chained


def forecast(volume: Volume, sample: Sample) -> Forecast:
    """The month that `volume` describes."""
    batch_size = _batch_size(volume.batch_size, sample.usage)
    batches = _batches(volume.records, batch_size, _records_a_chunk(sample.usage))
    executions = sum(batch.times for batch in batches)
    operations = sum(batch.operations * batch.times for batch in batches)
    calls = _calls(batches, sample)
    largest = batches[0]
    return Forecast(
        volume=volume,
        batch_size=batch_size,
        executions=executions,
        operations_per_execution=largest.operations,
        used=_consumption(volume.records, operations, calls, sample),
        warnings=_warnings(volume, largest, executions, operations, sample.usage, batch_size),
    )


def _batch_size(wanted: int, usage: Usage) -> int:
    """Records in a batch: as many as wanted, or as fit into one event."""
    fits = int(quotas.MAX_EVENT_BYTES // (usage.event_bytes / usage.deliveries))
    return max(1, min(wanted, fits))


def _records_a_chunk(usage: Usage) -> int:
    """Records in a chunk: as many as its rules allow at the mean size of a body."""
    mean = max(1.0, usage.travelling_bytes / usage.deliveries)
    return max(1, min(MAX_CHUNK_RECORDS, int(MAX_CHUNK_BYTES // mean)))


def _batches(records: int, batch_size: int, records_a_chunk: int) -> list[_Batch]:
    """Full batches, and one with the rest; the largest first."""
    full, rest = divmod(records, batch_size)
    kinds = [(batch_size, full), (rest, 1)]
    return [_batch(size, records_a_chunk, times) for size, times in kinds if size and times]


def _batch(records: int, records_a_chunk: int, times: int) -> _Batch:
    return _Batch(records, math.ceil(records / records_a_chunk), times)


def _calls(batches: list[_Batch], sample: Sample) -> dict[str, Calls]:
    """Invocations and their seconds.

    A stage takes as long as measured, and where it gets more records at once than measured longer
    in proportion.
    """
    usage = sample.usage
    own = usage.calls[sample.durable_function]
    own_count = sum(batch.invocations * batch.times for batch in batches)
    calls = {sample.durable_function: Calls(own_count, own.seconds / own.count * own_count)}
    for name, stage in usage.calls.items():
        if name != sample.durable_function:
            count = sum(batch.chunks * batch.times for batch in batches)
            measured_size = usage.deliveries / stage.count
            mean = stage.seconds / stage.count
            seconds = sum(
                max(batch.chunks, batch.records / measured_size) * mean * batch.times
                for batch in batches
            )
            calls[name] = Calls(count, seconds)
    return calls


def _consumption(
    records: int, operations: int, calls: Mapping[str, Calls], sample: Sample
) -> Consumption:
    usage = sample.usage
    share = records / usage.deliveries
    written = usage.bytes_written * share
    return Consumption(
        records=records,
        operations=operations,
        bytes_written=written,
        gb_months=gb_months(written, usage.byte_seconds * share, sample.retention_days),
        requests=sum(of_function.count for of_function in calls.values()),
        gb_seconds=gb_seconds(calls, sample.sizes),
        queue_requests=usage.queue_requests * share,
        write_units=usage.write_units * share,
    )


def _warnings(
    volume: Volume,
    largest: _Batch,
    executions: int,
    operations: int,
    usage: Usage,
    batch_size: int,
) -> tuple[str, ...]:
    seconds = DAYS_A_MONTH * volume.hours * _SECONDS_AN_HOUR
    state = usage.bytes_written / usage.deliveries * largest.records
    found = quotas.warnings(
        quotas.of_execution(largest.operations, state)
        + quotas.of_account(executions / seconds, operations / seconds)
    )
    if batch_size < volume.batch_size:
        found.append(
            f"a batch of {volume.batch_size:,} records does not fit into the "
            f"{quotas.MAX_EVENT_BYTES:,} bytes of an event: {batch_size:,} do"
        )
    return tuple(found)
