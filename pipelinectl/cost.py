"""What executions used, what AWS charges for it, and what a month of records would come to.

What an operation is, `timeline.operations_in` says. The input and the result of a chained invoke
are data written.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from pipeline_core import exact_json
from pipeline_core.files import FILE_SUFFIXES
from pipeline_core.messages import (
    Inline,
    Objects,
    Pointed,
    Unreadable,
    anything_in,
    message_group_id_in,
)
from pipeline_core.sizes import (
    MAX_CHUNK_BYTES,
    MAX_CHUNK_RECORDS,
    MAX_CONCURRENT_CHUNKS,
    MAX_OPERATIONS,
    MAX_STATE_BYTES,
    POINTED_BYTES,
    text_size,
)
from pipelinectl.errors import NotFoundError
from pipelinectl.exact_json import dumps
from pipelinectl.timeline import operations_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mypy_boto3_lambda.client import LambdaClient

    from pipelinectl.executions import Executions

OUR_STAGES = 3

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: of an execution, of an
# account a second (checkpoints are 20,000 in us-east-1, us-west-2 and eu-west-1), and of the event
# that an event source mapping invokes with, which makes smaller batches above that.
MAX_STARTS, MAX_CHECKPOINTS = 300, 10_000
MAX_EVENT_BYTES = 6 * 1024 * 1024

PRICES_REGION = "us-east-1"
PRICES_AS_OF = "2026-09-20"
"""When Lambda's page was read for durable operations; the others were read in older copies."""

PRICES = {
    # https://aws.amazon.com/lambda/pricing/: a GB of data is 10^9 bytes, one of memory 1,024 MB.
    "per_million_durable_operations": 8.00,
    "per_gb_written": 0.25,
    "per_gb_month_retained": 0.15,
    "per_million_lambda_requests": 0.20,
    "per_gb_second_arm64": 0.0000133334,
    "per_gb_second_x86_64": 0.0000166667,
    # https://aws.amazon.com/sqs/pricing/, standard queues: each 64 KiB of a request count as one.
    "per_million_sqs_requests": 0.40,
    # More, for messages in groups; by what others report of the same page.
    "per_million_fair_queue_requests": 0.10,
    # https://aws.amazon.com/dynamodb/pricing/on-demand/: a unit writes 1 KB.
    "per_million_dynamodb_write_units": 0.625,
}
"""What AWS charges, in dollars, without free tiers and discounts."""

MILLION, _GB = 1_000_000, 1_000_000_000
_DAY = 86_400
MONTH = 30 * _DAY
"""In seconds."""

_REQUEST_BYTES, _MESSAGES_A_REQUEST = 64 * 1024, 10
_WRITE_UNIT_BYTES = 1024

ESTIMATES = (
    "Lambda compute by the times in histories, of a stage from invoke to answer",
    "data retained by the executions' times and ExecutionRetentionInDays",
    "SQS requests as if each message was sent alone, received and deleted by tens",
    "DynamoDB write units by what is sent to the store stage",
    "each chained invoke as one operation, which AWS's list does not name",
)
_ASSUMPTION = (
    "each record through chained invokes of its own, in the same executions; the durable "
    "function takes as long an invocation as measured, the stages as long in all"
)
NOT_INCLUDED = (
    "free tiers and discounts, data transfer, S3, CloudWatch, SNS, KMS, DynamoDB reads and "
    "storage, dead letters, and the functions beside the stages"
)

_INVOKE_ENDED = {f"ChainedInvoke{end}" for end in ("Succeeded", "Failed", "TimedOut", "Stopped")}


@dataclass(frozen=True)
class Calls:
    """Invocations of one function and their seconds together; `untimed` of them have no times."""

    count: int = 0
    seconds: float = 0.0
    untimed: int = 0

    def __add__(self, other: Calls) -> Calls:
        return Calls(
            self.count + other.count, self.seconds + other.seconds, self.untimed + other.untimed
        )


@dataclass(frozen=True)
class Usage:
    """What an execution used, or several together, or would use.

    `documents` counts the deliveries of each; `rows` are those of files; `calls` is by function.
    `byte_seconds` is data written times how long its execution ran; `cut` counts the payloads that
    the history does not hold whole; `travelling_bytes` is what documents count for in a chunk.
    `fair_requests` are those among `queue_requests` that are for messages in groups.
    """

    executions: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    bytes_written: float = 0
    byte_seconds: float = 0
    cut: int = 0
    calls: Mapping[str, Calls] = field(default_factory=dict)
    documents: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    event_bytes: int = 0
    travelling_bytes: int = 0
    queue_requests: float = 0
    fair_requests: float = 0
    write_units: float = 0

    @property
    def records(self) -> int:
        """Documents, each once however often it was delivered, and rows."""
        return len(self.documents) + self.rows

    @property
    def deliveries(self) -> int:
        """Documents, each as often as it was delivered."""
        return self.documents.total()

    @property
    def invocations(self) -> int:
        """Invocations of all functions."""
        return sum(calls.count for calls in self.calls.values())

    def __add__(self, other: Usage) -> Usage:
        calls = dict(self.calls)
        for name, more in other.calls.items():
            calls[name] = calls.get(name, Calls()) + more
        rest = {n: mine + getattr(other, n) for n, mine in vars(self).items() if n != "calls"}
        return Usage(calls=calls, **rest)


@dataclass(frozen=True)
class Size:
    """A function's memory and architecture, `arm64` or `x86_64`."""

    memory_mb: int
    architecture: str

    def gb_seconds(self, seconds: float) -> float:
        """What so many seconds of the function are charged as."""
        return seconds * self.memory_mb / 1024


@dataclass(frozen=True)
class Deployment:
    """The pipeline that ran the executions; `is_local` says that it was not at AWS.

    `retention_days` is how long it keeps an execution that has ended; `sizes` is by function;
    `stages` are those that it chains, an own one included.
    """

    stack_name: str
    region: str
    is_local: bool
    retention_days: int
    durable_function: str
    sizes: Mapping[str, Size] = field(default_factory=dict)
    stages: int = OUR_STAGES


def measure(
    executions: Executions, arns: Iterable[str], done: Callable[[int], None]
) -> dict[str, Usage | None]:
    """What each of `arns` used, None where its input tells of no records; `done` hears of each."""
    measured = {}
    for arn in arns:
        measured[arn] = usage_of(executions.history(arn), executions.function_name)
        done(1)
        executions.breathe()
    return measured


def usage_of(events: Iterable[Mapping[str, Any]], durable_function: str) -> Usage | None:
    """What the execution with this history used; None where its input tells of no records.

    `events` are those of GetDurableExecutionHistory with execution data, oldest first.
    """
    told = [(e["EventType"], e, e.get(f"{e['EventType']}Details") or {}) for e in events]
    starts = (details for kind, _, details in told if kind == "ExecutionStarted")
    intake = taken_in(next(starts, {}).get("Input", {}).get("Payload", ""))
    if intake is None:
        return None
    parts = [details.get(part) for _, _, details in told for part in ("Input", "Result", "Error")]
    written = sum(_payload_bytes(part) for part in parts if part)
    times = [event["EventTimestamp"] for _, event, _ in told]
    return intake + Usage(
        executions=1,
        operations=operations_in(event for _, event, _ in told),
        bytes_written=written,
        byte_seconds=written * (max(times) - min(times)).total_seconds(),
        cut=sum(bool(part.get("Truncated")) for part in parts if part),
        calls=_together(_calls(told, durable_function), _calls_of_rows(told)),
        rows=sum(_rows(details) for kind, _, details in told if kind == "ChainedInvokeSucceeded"),
        write_units=sum(
            _write_units(details) for kind, _, details in told if kind == "ChainedInvokeStarted"
        )
        + _units_of_rows(told),
    )


def _calls(told: Sequence[tuple[str, Any, Any]], durable_function: str) -> dict[str, Calls]:
    """The durable function's invocations by their times, a stage's from invoke to answer."""
    answers = {e["Id"]: e["EventTimestamp"] for kind, e, _ in told if kind in _INVOKE_ENDED}
    calls = {durable_function: Calls()}
    for kind, event, details in told:
        if kind == "InvocationCompleted":
            name = durable_function
            start, end = details.get("StartTimestamp"), details.get("EndTimestamp")
        elif kind == "ChainedInvokeStarted":
            name = _function_name(details["FunctionName"])
            start, end = event["EventTimestamp"], answers.get(event["Id"])
        else:
            continue
        seconds = (end - start) / timedelta(seconds=1) if start and end else 0.0
        untimed = int(not (start and end))
        calls[name] = calls.get(name, Calls()) + Calls(1, seconds, untimed)
    return calls


def _together(one: Mapping[str, Calls], other: Mapping[str, Calls]) -> dict[str, Calls]:
    return {
        name: one.get(name, Calls()) + other.get(name, Calls())
        for name in dict.fromkeys([*one, *other])
    }


def _calls_of_rows(told: Sequence[tuple[str, Any, Any]]) -> dict[str, Calls]:
    """Those of other stages that the file function made itself, as its answers tell of them."""
    calls: dict[str, Calls] = {}
    for took in _took(told):
        match took:
            case {"function_arn": str(arn), "invokes": int(n), "seconds": s} if n:
                name = _function_name(arn)
                calls[name] = calls.get(name, Calls()) + Calls(n, float(s))
    return calls


def _units_of_rows(told: Sequence[tuple[str, Any, Any]]) -> int:
    """DynamoDB's write units for the items of rows, as the same answers tell."""
    return sum(took.get("write_units", 0) for took in _took(told))


def _took(told: Sequence[tuple[str, Any, Any]]) -> Iterator[Mapping[str, Any]]:
    for kind, _, details in told:
        answer = _json(details.get("Result")) if kind == "ChainedInvokeSucceeded" else None
        if isinstance(answer, dict):
            yield from (answer[name] for name in ("own_stage", "store") if name in answer)


def _function_name(function: str) -> str:
    """Of a name or an ARN; a version or an alias may stand behind it."""
    return function.split(":function:", 1)[-1].split(":", 1)[0]


def _rows(details: Mapping[str, Any]) -> int:
    """Rows of the range of a file, where this is the result of one."""
    match _json(details.get("Result")):
        case {"part": {"rows": int(rows)}}:
            return rows
    return 0


def _write_units(details: Mapping[str, Any]) -> int:
    """DynamoDB's write units for the items, where this asks the store stage for some."""
    match _json(details.get("Input")):
        case {"records": [{"transformed": _, "message_id": _}, *_] as records}:
            sizes = (text_size(json.dumps(record, ensure_ascii=False)) for record in records)
            return sum(math.ceil(size / _WRITE_UNIT_BYTES) for size in sizes)
    return 0


def _json(payload: Mapping[str, Any] | None) -> Any:
    try:
        return json.loads((payload or {}).get("Payload") or "null")
    except ValueError:
        return None


def _payload_bytes(payload: Mapping[str, Any]) -> int:
    content = payload.get("Payload") or ""
    return text_size(content if isinstance(content, str) else json.dumps(content))


def taken_in(payload: str) -> Usage | None:
    """The documents in an execution's input; None where that is no event of SQS or S3.

    Files are none, and neither are messages that tell of several objects.
    """
    try:
        event = exact_json.loads(payload)
    except exact_json.JsonError:
        return None
    match event:
        case {"Records": [{"eventSource": "aws:s3"}, *_] as entries}:
            found = Counter({_object_id(entry) for entry in entries if not _is_file(entry)})
            travelling, sizes, fair = len(found) * POINTED_BYTES, [], []
        case {"Records": [{"eventSource": "aws:sqs"}, *_] as messages} if all(
            map(_is_message, messages)
        ):
            read = {message["messageId"]: _document(message["body"]) for message in messages}
            found = Counter({id_ for id_, (is_document, _) in read.items() if is_document})
            travelling = sum(travelling for _, travelling in read.values())
            sizes = [text_size(message["body"]) for message in messages]
            fair = [n for n, one in zip(sizes, messages, strict=True) if _is_in_group(one)]
        case _:
            return None
    return Usage(
        documents=found,
        event_bytes=text_size(payload),
        travelling_bytes=travelling,
        queue_requests=_requests(sizes),
        fair_requests=_requests(fair),
    )


def _is_message(entry: object) -> bool:
    match entry:
        case {"messageId": str(), "body": str()}:
            return True
    return False


def _is_in_group(message: Mapping[str, Any]) -> bool:
    return bool(message_group_id_in(message.get("attributes")))


def _document(body: str) -> tuple[bool, int]:
    """Whether a message is a document, and what it counts for in a chunk."""
    try:
        envelope = anything_in(body)
    except Unreadable:
        return True, text_size(body)
    match envelope:
        case Pointed():
            return True, POINTED_BYTES
        case Objects(events):
            is_file = events[0].state["key"].lower().endswith(FILE_SUFFIXES)
            return len(events) == 1 and not is_file, POINTED_BYTES
        case Inline():
            return True, text_size(body)
    return False, 0  # S3 tries whether it may send


def _requests(sizes: Sequence[int]) -> int:
    """Of SQS: each message sent alone, all received and deleted by tens, by 64 KiB."""
    tens = math.ceil(len(sizes) / _MESSAGES_A_REQUEST)
    sent = sum(max(1, math.ceil(size / _REQUEST_BYTES)) for size in sizes)
    return sent + max(tens, math.ceil(sum(sizes) / _REQUEST_BYTES)) + tens


def _is_file(entry: object) -> bool:
    return unquote_plus(_object_id(entry)).lower().endswith(FILE_SUFFIXES)


def _object_id(entry: object) -> str:
    match entry:
        case {"s3": {"bucket": {"name": str(bucket)}, "object": {"key": str(key), **rest}}}:
            return f"{rest.get('sequencer', '')} {bucket}/{key}"
    return dumps(entry, indent=None)


def gb_seconds(used: Usage, sizes: Mapping[str, Size]) -> dict[str, float]:
    """GB-seconds of all functions, by architecture."""
    total: dict[str, float] = {}
    for name, calls in used.calls.items():
        if calls.seconds:
            architecture, more = sizes[name].architecture, sizes[name].gb_seconds(calls.seconds)
            total[architecture] = total.get(architecture, 0.0) + more
    return total


def bill(used: Usage, deployment: Deployment) -> dict[str, Any]:
    """What `used` is charged as, without lines of nothing, and its sum in dollars.

    A line is `estimated` where histories do not say its quantity.
    """
    kept = used.byte_seconds + used.bytes_written * deployment.retention_days * _DAY
    compute = sorted(gb_seconds(used, deployment.sizes).items())
    charges = [
        _charge("durable operations", used.operations.total(), "million_durable_operations"),
        _charge("data written", used.bytes_written / _GB, "gb_written", "GB"),
        _charge("data retained", kept / _GB / MONTH, "gb_month_retained", "GB-month", "~"),
        _charge("Lambda requests", used.invocations, "million_lambda_requests"),
        *(
            _charge(f"Lambda compute, {a}", n, f"gb_second_{a}", "GB-second", "~")
            for a, n in compute
        ),
        _charge("SQS requests", used.queue_requests, "million_sqs_requests", "", "~"),
        _charge("of fair queues", used.fair_requests, "million_fair_queue_requests", "", "~"),
        _charge("DynamoDB write units", used.write_units, "million_dynamodb_write_units", "", "~"),
    ]
    charges = [line for line in charges if line["quantity"]]
    return {"charges": charges, "dollars": _rounded(sum(line["dollars"] for line in charges))}


def _charge(
    name: str, quantity: float, price: str, unit: str = "", mark: str = ""
) -> dict[str, Any]:
    priced = quantity / MILLION if price.startswith("million_") else quantity
    return {
        "name": name,
        "quantity": _rounded(quantity),
        "unit": unit,
        "dollars": _rounded(priced * PRICES[f"per_{price}"]),
        "estimated": bool(mark),
    }


def _rounded(value: float) -> float:
    return round(value, 12)


def chain_a_record(usage: Usage, durable_function: str, stages: int = OUR_STAGES) -> Usage:
    """The same with an invoke a stage for each record: 31 operations for a batch of ten."""
    own = usage.calls[durable_function]
    chained = stages * (usage.deliveries + usage.rows)
    count = chained + usage.executions
    seconds = own.seconds / max(1, own.count - own.untimed) * count
    functions = {name: replace(calls, count=0) for name, calls in usage.calls.items()}
    return replace(
        usage,
        operations=Counter({"execution": usage.executions, "chained invoke": chained}),
        calls={**functions, durable_function: Calls(count, seconds), "all stages": Calls(chained)},
    )


@dataclass(frozen=True)
class Month:
    """What a month of records would use, in batches of ``size`` that are full and healthy.

    ``operations_each`` are those of the largest execution, and ``bytes_each`` what it writes.
    """

    used: Usage
    size: int
    operations_each: int
    bytes_each: float


def month_of(records: int, batch_size: int, sample: Usage, deployment: Deployment) -> Month:
    """A month of so many records in full and healthy batches, or as many as an event has room for.

    Operations follow from the pipeline's rules alone. Bytes and seconds are those of `sample`,
    executions that took documents through the stages, scaled.
    """
    stages, share = deployment.stages, records / sample.deliveries
    size = min(batch_size, max(1, int(MAX_EVENT_BYTES // (sample.event_bytes / sample.deliveries))))
    bytes_each = max(1.0, sample.travelling_bytes / sample.deliveries)
    a_chunk = max(1, min(MAX_CHUNK_RECORDS, int(MAX_CHUNK_BYTES // bytes_each)))
    full, rest = divmod(records, size)
    # Records of a batch, its chunks, and how many such batches there are; the largest first.
    batches = [(n, math.ceil(n / a_chunk), of) for n, of in ((size, full), (rest, 1)) if n and of]
    operations: Counter[str] = Counter()
    for _, chunks, times in batches:
        operations += Counter(
            {kind: n * times for kind, n in operations_of(chunks, stages).items()}
        )
    used = Usage(
        executions=operations["execution"],
        operations=operations,
        bytes_written=sample.bytes_written * share,
        byte_seconds=sample.byte_seconds * share,
        calls=_scaled_calls(batches, sample, deployment),
        queue_requests=sample.queue_requests * share,
        fair_requests=sample.fair_requests * share,
        write_units=sample.write_units * share,
    )
    largest, chunks, _ = batches[0]
    each = operations_of(chunks, stages).total()
    return Month(used, size, each, sample.bytes_written / sample.deliveries * largest)


def forecast(
    records: int, batch_size: int, sample: Usage, deployment: Deployment
) -> dict[str, Any]:
    """A month of so many records, as --json prints it."""
    month = month_of(records, batch_size, sample, deployment)
    used, size = month.used, month.size
    checkpoints = used.operations.total()
    warnings = [
        *execution_warnings(month.operations_each, month.bytes_each),
        *_near("durable executions started a second", used.executions / MONTH, MAX_STARTS),
        *_near("checkpoints a second", checkpoints / MONTH, MAX_CHECKPOINTS),
    ]
    if size < batch_size:
        rule = f"does not fit into the {MAX_EVENT_BYTES:,} bytes of an event: {size:,} do"
        warnings.append(f"a batch of {batch_size:,} records {rule}")
    return {
        "records_a_month": records,
        "batch_size": size,
        "executions": used.executions,
        "operations_per_execution": month.operations_each,
        "operations": checkpoints,
        **bill(used, deployment),
        "quotas": [{**asdict(need.quota), "needed": need.needed} for need in needs(month)],
        "warnings": warnings,
    }


@dataclass(frozen=True)
class Quota:
    """A quota of an account in a region, as AWS sets it at first; ``ask`` is how to get more."""

    name: str
    value: int
    ask: str
    source: str


_LAMBDA_QUOTAS = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"
_RAISE = "Service Quotas"

STARTS = Quota("durable executions started a second", MAX_STARTS, _RAISE, _LAMBDA_QUOTAS)
CHECKPOINTS = Quota("checkpoints a second", MAX_CHECKPOINTS, _RAISE, _LAMBDA_QUOTAS)
CONCURRENCY = Quota("Lambda's concurrent executions", 1000, _RAISE, _LAMBDA_QUOTAS)
BATCHES = Quota(
    "batches at once of an event source mapping",
    1000,
    "provisioned mode, or a second stack with a queue of its own",
    "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html",
)
IN_FLIGHT = Quota(
    "messages in flight of a queue",
    120_000,
    "Service Quotas, or a second stack with a queue of its own",
    "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html",
)
WRITES = Quota(
    "write units a second of a table",
    40_000,
    _RAISE,
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html",
)

MOST_A_SECOND = 10
"""Synchronous requests that an environment of a function takes a second, however short they are."""


@dataclass(frozen=True)
class Need:
    """How much of a quota is needed; a ``share`` above 1 is more than there is at first."""

    quota: Quota
    needed: float

    @property
    def share(self) -> float:
        """Of the quota."""
        return self.needed / self.quota.value


def needs(month: Month) -> list[Need]:
    """What a month of records that come evenly needs of each quota, the scarcest first."""
    used = month.used
    starts, seconds = used.executions / MONTH, used.byte_seconds / max(1.0, used.bytes_written)
    busy = sum(max(calls.seconds, calls.count / MOST_A_SECOND) for calls in used.calls.values())
    found = (
        Need(STARTS, starts),
        Need(CHECKPOINTS, used.operations.total() / MONTH),
        Need(CONCURRENCY, busy / MONTH),
        # The mapping waits for the execution, and its messages are in flight until it ends.
        Need(BATCHES, starts * seconds),
        Need(IN_FLIGHT, starts * seconds * month.size),
        Need(WRITES, used.write_units / MONTH),
    )
    return sorted(found, key=lambda need: -need.share)


def operations_of(chunks: int, stages: int = OUR_STAGES) -> Counter[str]:
    """Of a healthy batch: a map over several chunks, a clock for those that wait for their turn."""
    waiting = max(0, chunks - MAX_CONCURRENT_CHUNKS)
    of_chunks = {"chained invoke": stages * chunks, "context": int(chunks > 1)}
    return Counter({"execution": 1, **of_chunks, "step attempt": waiting})


def _scaled_calls(
    batches: Sequence[tuple[int, int, int]], sample: Usage, deployment: Deployment
) -> dict[str, Calls]:
    """A stage takes as long as measured, and in proportion longer where it gets more records."""
    begun = sum((1 + deployment.stages * chunks) * times for _, chunks, times in batches)
    invokes = sum(chunks * times for _, chunks, times in batches)
    calls = {}
    for name, of in sample.calls.items():
        count = max(1, of.count)
        at_once = sample.deliveries / count
        times_longer = sum(max(chunks, n / at_once) * times for n, chunks, times in batches)
        own = name == deployment.durable_function
        seconds = of.seconds / count * (begun if own else times_longer)
        calls[name] = Calls(begun if own else invokes, seconds)
    return calls


def execution_warnings(operations: float, state_bytes: float) -> tuple[str, ...]:
    """Quotas of one execution, which nobody can raise, that this is near to or above."""
    return (
        *_near("operations of an execution", operations, MAX_OPERATIONS),
        *_near("state of an execution", state_bytes, MAX_STATE_BYTES, " bytes"),
    )


def _near(name: str, value: float, quota: int, unit: str = "") -> tuple[str, ...]:
    """A warning of more than four fifths of a quota; none below."""
    if value <= quota * 0.8:
        return ()
    what = "above" if value > quota else "near"
    return (f"{name}: {value:,.0f}{unit} is {what} the quota of {quota:,}{unit}",)


def report(
    lambda_: LambdaClient,
    measured: Mapping[str, Usage | None],
    deployment: Deployment,
    month: tuple[int, int] | None,
) -> dict[str, Any]:
    """What was measured, as --json prints it: bytes, seconds and dollars.

    `month` is records and batch size of a forecast.

    Raises:
        NotFoundError: no record was taken in, or none that a forecast could be made from.
    """
    usages = [usage for usage in measured.values() if usage]
    total = sum(usages, Usage())
    if not total.records:
        raise NotFoundError("these executions took in no records: send some, or name others")
    here = replace(deployment, sizes=sizes_of(lambda_, total.calls))
    sample = [u for u in usages if u.documents and not u.rows and len(u.calls) > 1]
    if month and not sample:
        msg = "no forecast: none of these executions took messages through the stages; name others"
        raise NotFoundError(msg)
    chains = chain_a_record(total, here.durable_function, here.stages)
    patterns = [
        _pattern("this pipeline", "as measured", total, here),
        _pattern("one chain a record", _ASSUMPTION, chains, here),
    ]
    per_record = {
        "operations": total.operations.total(),
        "bytes_written": total.bytes_written,
        "invocations": total.invocations,
        "gb_seconds": sum(gb_seconds(total, here.sizes).values()),
    }
    return {
        "stack": here.stack_name,
        "region": here.region,
        "is_local": here.is_local,
        "prices": {"region": PRICES_REGION, "as_of": PRICES_AS_OF, "dollars": PRICES},
        "executions": {
            "counted": total.executions,
            "durable_execution_arns": list(measured),
            "left_out": [arn for arn, usage in measured.items() if usage is None],
        },
        "records": total.records,
        "deliveries": total.deliveries,
        "rows_of_files": total.rows,
        "operations": {"total": total.operations.total(), "by_kind": dict(total.operations)},
        "bytes_written": total.bytes_written,
        "bytes_written_are_at_least": bool(total.cut),
        "functions": {
            name: {
                "invocations": calls.count,
                "seconds": _rounded(calls.seconds),
                "invocations_without_times": calls.untimed,
                **asdict(here.sizes[name]),
                "gb_seconds": _rounded(here.sizes[name].gb_seconds(calls.seconds)),
            }
            for name, calls in total.calls.items()
        },
        "per_record": {name: _rounded(n / total.records) for name, n in per_record.items()},
        "retention_days": here.retention_days,
        **bill(total, here),
        "dollars_per_million_records": patterns[0]["dollars_per_million_records"],
        "patterns": patterns,
        "forecast": month and forecast(*month, sum(sample, Usage()), here),
        "warnings": execution_warnings(
            max(usage.operations.total() for usage in usages),
            max(usage.bytes_written for usage in usages),
        ),
        "estimates": ESTIMATES,
        "not_included": NOT_INCLUDED,
    }


def sizes_of(lambda_: LambdaClient, names: Iterable[str]) -> dict[str, Size]:
    """The size of each function."""
    return {name: _size_of(lambda_, name) for name in names}


def _size_of(lambda_: LambdaClient, name: str) -> Size:
    """As it is deployed now; Lambda's own defaults where its answer leaves them out."""
    found = lambda_.get_function_configuration(FunctionName=name)
    return Size(found.get("MemorySize", 128), (found.get("Architectures") or ["x86_64"])[0])


def _pattern(name: str, assumption: str, used: Usage, deployment: Deployment) -> dict[str, Any]:
    charged = bill(used, deployment)
    return {
        "pattern": name,
        "assumption": assumption,
        "operations": used.operations.total(),
        "invocations": used.invocations,
        **charged,
        "dollars_per_million_records": _rounded(charged["dollars"] / used.records * MILLION),
    }
