"""Metrics and log lines of a batch, once per batch: by the invocation that completes it.

Comes last, so that a replay does not count again, unless the very answer of this invocation is
lost; nothing in it costs an operation. All that it tells was counted from checkpoints, the time
included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from aws_durable_execution_sdk_python import DurableContext
from aws_durable_execution_sdk_python.lambda_service import Operation, OperationType
from aws_durable_execution_sdk_python.state import CheckpointedResult
from aws_lambda_powertools.metrics import MetricUnit

from durable_pipeline.calls import (
    BACK_OFF_ERRORS,
    CLOCK_STEP,
    NOTHING_HELPS_ERRORS,
    TIMEOUT_ERRORS,
    TOO_LARGE_ERRORS,
    Tally,
)
from durable_pipeline.dead_letters import UNTOLD
from durable_pipeline.records import Batch, Outcome, OutcomeName, Outcomes, Record
from durable_pipeline.settings import Settings
from pipeline_core import own_stage
from pipeline_core.objects import Pointer
from pipeline_core.telemetry import emit

# The types of reasons that metrics tell apart.
#
# Each value of a dimension is a metric that is paid for, so the list is closed: what is not in
# it, such as an exception of a function's own code, counts as "Other", and the logs say what it
# was.

OTHER = "Other"

OF_RECORDS = frozenset(
    {
        "ForeignBucket",
        "InvalidEvent",
        "InvalidJson",
        "InvalidPointer",
        "NotStorable",
        "NotUtf8",
        "PayloadChanged",
        "PayloadMissing",
        "PayloadTooLarge",
        "RecordTooLarge",
        "ReservedId",
        "UnknownProcessingType",
        "UnsupportedEvent",
        "UnsupportedType",
        "ValidationError",
    }
)

OF_FILES = frozenset(
    {
        "InvalidDelimiter",
        "InvalidHeader",
        "InvalidMetadata",
        "RowTooLarge",
        "UnknownFormat",
        "WrongEncoding",
    }
)

OF_STAGES = frozenset(
    {
        "ContractViolation",
        "BucketUnavailable",
        "DeadlineExceeded",
        "QueueUnavailable",
        "HeldBack",
        "QuotaReached",
        "Runtime.ExitError",
        "TopicUnavailable",
    }
)

OF_SERVICES = frozenset(
    {
        "AccessDenied",
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "EndpointConnectionError",
        "InternalServerError",
        "ProvisionedThroughputExceededException",
        "ReadTimeoutError",
        "SlowDown",
        "UnprocessedItems",
    }
)

KNOWN = (
    OF_RECORDS
    | OF_FILES
    | OF_STAGES
    | OF_SERVICES
    | BACK_OFF_ERRORS
    | NOTHING_HELPS_ERRORS
    | TIMEOUT_ERRORS
    | TOO_LARGE_ERRORS
)


def known_reason(error_type: str) -> str:
    """``error_type``, if metrics tell it apart."""
    return error_type if error_type in KNOWN else OTHER


LINE_RECORDS = 25
"""So many records, at most, in one log line: each has up to six fields, and Logs Insights finds 200
in a line. https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax-Parse.html"""

COUNTERS: dict[OutcomeName, str] = {
    "stored": "RecordsStored",
    "rejected": "RecordsRejected",
    "failed": "RecordsFailed",
    "handed_over": "RecordsHandedOver",
    "superseded": "RecordsSuperseded",
    "ignored": "RecordsIgnored",
}


def report_received(context: DurableContext, batch: Batch) -> None:
    """Log whose records the execution is about; a replay does not log it again."""
    told = [_identity(record) for record in batch.all_records]
    for start in range(0, len(told), LINE_RECORDS):
        records = told[start : start + LINE_RECORDS]
        context.logger.info("batch received", extra={"records": records})


def report(
    context: DurableContext, batch: Batch, outcomes: Outcomes, tally: Tally, settings: Settings
) -> None:
    """Count what became of the batch, and log of each record that was not stored why."""
    base = {"service": "durable-pipeline", "stack": settings.stack_name}
    counts = Counter(outcome["outcome"] for outcome in outcomes.values())
    until = tally.until or _started(context)
    emit(_of_batch(batch, outcomes, counts, tally, until) | _of_execution(context, tally), base)
    for (outcome, reason), count in _reasons(outcomes).items():
        emit(_count("RecordsByReason", count), base | {"outcome": outcome, "reason": reason})
    for seconds in tally.own_stage_seconds:
        took = {"StageDuration": (MetricUnit.Milliseconds, seconds * 1000)}
        emit(took, base | {"service": own_stage.NAME})
    for name, count in _objects(batch, outcomes).items():
        emit(_count("ObjectsByOutcome", count), base | {"outcome": name})
    _log(context, batch, outcomes, counts, tally)


def _of_batch(
    batch: Batch,
    outcomes: Outcomes,
    counts: Counter[OutcomeName],
    tally: Tally,
    until: datetime | None,
) -> dict[str, tuple[MetricUnit, float]]:
    values = _count("BatchSize", len(outcomes))
    for outcome, name in COUNTERS.items():
        values |= _count(name, counts[outcome])
    values |= _count("ChainedInvokes", tally.invokes)
    values |= _count("Retries", tally.retries)
    values |= _count("Bisects", tally.bisects)
    if (age := _age_of_oldest(batch.all_records, until)) is not None:
        values["OldestRecordAge"] = (MetricUnit.Seconds, age)
    for rows in _files(outcomes):
        values |= rows
    return values


def _of_execution(context: DurableContext, tally: Tally) -> dict[str, tuple[MetricUnit, float]]:
    """How many operations the execution has, itself included, and how many bytes are in them.

    Bytes are those that this last invocation holds in memory: what came in, results and errors. Not
    what was sent to the stages, nor what a map hides that an earlier invocation finished. Nothing
    is read or serialised for it.
    """
    operations = context.state.operations.values()
    size = sum(map(_size, operations))
    return _count("ExecutionOperations", len(operations) + _hidden(operations, tally)) | {
        "ExecutionStateBytes": (MetricUnit.Bytes, size)
    }


def _hidden(operations: Iterable[Operation], tally: Tally) -> int:
    """Operations that a finished map hides: those that were counted, and are not to be seen."""
    visible = sum(
        operation.operation_type in (OperationType.CHAINED_INVOKE, OperationType.WAIT)
        or operation.name == CLOCK_STEP
        for operation in operations
    )
    return max(0, tally.operations - visible)


def _size(operation: Operation) -> int:
    """Bytes of what an operation holds, as UTF-8; text that is all ASCII says so at once."""
    found = CheckpointedResult.create_from_operation(operation)
    texts = [found.result]
    if operation.execution_details:
        texts.append(operation.execution_details.input_payload)
    if found.error:
        texts += [found.error.message, found.error.data, *(found.error.stack_trace or ())]
    return sum(len(t) if t.isascii() else len(t.encode()) for t in texts if t)


def _count(name: str, value: int) -> dict[str, tuple[MetricUnit, float]]:
    return {name: (MetricUnit.Count, value)}


def _age_of_oldest(records: Sequence[Record], until: datetime | None) -> float | None:
    """Seconds since the oldest record was sent; the event of S3 alone does not say when it was."""
    sent = [record.sent_timestamp for record in records if record.sent_timestamp]
    if not sent or until is None:
        return None
    return max(0.0, round(until.timestamp() - min(sent) / 1000, 3))


def _started(context: DurableContext) -> datetime | None:
    """When the execution started: the latest time that is known where no stage was asked."""
    operation = context.state.get_execution_operation()
    if operation is None or operation.start_timestamp is None:
        return None
    return operation.start_timestamp.astimezone(UTC)


def _files(outcomes: Outcomes) -> Iterator[dict[str, tuple[MetricUnit, float]]]:
    """Rows of the file that was finished, if any: a file has an execution of its own."""
    for outcome in outcomes.values():
        if "summary" in outcome:
            rows = outcome["summary"]["counts"]
            yield _count("FileRows", rows["rows"])
            yield _count("FileResults", rows["results"])
            yield _count("FileRejects", rows["rejects"])


def _reasons(outcomes: Outcomes) -> Counter[tuple[OutcomeName, str]]:
    """Why records were not stored; and of what is untold, which may be stored, that it is."""
    reasons = [
        (outcome["outcome"], known_reason(outcome["reason"]["type"]))
        for outcome in outcomes.values()
        if outcome["reason"]
    ]
    untold = [
        (outcome["outcome"], UNTOLD["type"]) for outcome in outcomes.values() if "untold" in outcome
    ]
    return Counter(reasons + untold)


def _objects(batch: Batch, outcomes: Outcomes) -> Counter[OutcomeName]:
    return Counter(outcomes[r.id]["outcome"] for r in batch.all_records if r.state)


def _log(
    context: DurableContext,
    batch: Batch,
    outcomes: Outcomes,
    counts: Counter[OutcomeName],
    tally: Tally,
) -> None:
    for record in batch.all_records:
        if outcomes[record.id]["reason"]:
            extra = _identity(record) | _why(outcomes[record.id])
            context.logger.warning("record not stored", extra=extra)
    context.logger.info(
        "batch processed",
        extra={
            "outcomes": dict(counts),
            "chained_invokes": tally.invokes,
            "retries": tally.retries,
            "bisects": tally.bisects,
        },
    )


def _why(outcome: Outcome) -> dict[str, Any]:
    """Where and of what type; the message may quote the record, and is not for logs."""
    error_type = outcome["reason"]["type"] if outcome["reason"] else None
    return {"outcome": outcome["outcome"], "stage": outcome["stage"], "error_type": error_type}


def _identity(record: Record) -> dict[str, Any]:
    identity: dict[str, Any] = {
        "message_id": record.id,
        "execution_id": record.execution_id,
        "receive_count": record.receive_count,
    }
    if record.message_group_id:
        identity["message_group_id"] = record.message_group_id
    if record.pointer is not None:
        identity["object"] = _object(record.pointer)
    return identity


def _object(pointer: Pointer) -> dict[str, Any]:
    return {name: pointer[name] for name in ("bucket", "key", "version_id") if name in pointer}


# AWS's telemetry exporter for durable executions, where it is wanted.
#
# It writes one record of each execution to the function's log: its operations by name, how often
# each ran and how long it took. Neither what came in nor an operation's error: both may quote a
# record. Of an execution that fails as a whole it has the error, which Lambda logs anyway.

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
