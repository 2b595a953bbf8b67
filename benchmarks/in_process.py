"""What the orchestrators themselves cost: AWS's runner in one process, stages that do nothing.

Beside them the floor: a durable function with as many chained invokes of the same messages, and
nothing else. Runs as a process of its own, because the handlers log to its output: writes JSON to
the file it is given.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from aws_durable_execution_sdk_python import BatchResult, DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import CompletionConfig, MapConfig, NestingType

from benchmarks.cells import PIPELINE, REFERENCE, body
from faults.harness import Harness

FLOOR = "floor"

BATCHES = (1, 10, 100, 1000)
REFERENCE_BATCHES = (1, 10)
SECONDS = 120
SAMPLE_SECONDS = 0.001

ENVIRONMENT = {
    "ENVIRONMENT": "bench",
    "STACK_NAME": "bench",
    "VALIDATION_FUNCTION_ARN": "validate",
    "TRANSFORMATION_FUNCTION_ARN": "transform",
    "STORAGE_FUNCTION_ARN": "store",
    "VALIDATE": "validate",
    "TRANSFORM": "transform",
    "STORE": "store",
    "MAX_RECEIVE_COUNT": "5",
    "EXECUTION_TIMEOUT": "900",
    "STAGE_TIMEOUT": "60",
    "FILES_TIMEOUT": "300",
    "POWERTOOLS_LOG_LEVEL": "ERROR",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
} | dict.fromkeys(
    (
        *("PROCESSED_DATA_TABLE", "CSV_FILE_FUNCTION_ARN", "DATA_PROCESSING_QUEUE_URL"),
        *("OBJECTS_QUEUE_URL", "INTERNAL_QUEUE_URL", "FILES_QUEUE_URL", "DEAD_LETTER_QUEUE_URL"),
        *("PROCESSING_EVENTS_TOPIC_ARN", "INPUT_BUCKET", "PAYLOAD_BUCKET", "OUTPUT_BUCKET"),
        *("RETRY_DELAY", "MAX_RETRY_DELAY"),
        *("RANGE_SIZE", "RANGES_PER_EXECUTION", "RANGE_CONCURRENCY"),
    ),
    "1",
)

SOURCE = str(Path(__file__).parents[1] / "src")

Stage = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Cost:
    """Of one execution: real and processor seconds, chained invokes, invocations of its handler."""

    orchestrator: str
    batch: int
    seconds: float
    cpu_seconds: float
    invokes: int
    invocations: int


def answer_all(event: Any, _context: object) -> dict[str, Any]:
    """The least that the pipeline's contract asks of a stage."""
    results = [
        {"id": record["id"], "outcome": "ok", "data": record.get("body", "")}
        for record in event["records"]
    ]
    return {"results": results, "completed_at": datetime.now(UTC).isoformat()}


def pass_on(event: Any, _context: object) -> Any:
    """The least that the reference asks of a stage: what it was given."""
    return event


@durable_execution
def floor(event: dict[str, Any], context: DurableContext) -> int:
    """Invokes with the same bytes: three after another in each chunk, ten chunks at once."""
    records = [{"id": m["messageId"], "body": m["body"]} for m in event["Records"]]
    chunks = [records[first : first + 100] for first in range(0, len(records), 100)]
    if len(chunks) == 1:
        return _three_invokes(context, records)
    config: MapConfig[list[dict[str, str]]] = MapConfig(
        max_concurrency=10,
        completion_config=CompletionConfig.all_completed(),
        nesting_type=NestingType.FLAT,
    )
    result: BatchResult[int] = context.map(
        chunks, lambda inner, chunk, *_: _three_invokes(inner, chunk), name="chunks", config=config
    )
    return len(result.get_results())


def _three_invokes(context: DurableContext, records: list[dict[str, str]]) -> int:
    for stage in ("validate", "transform", "store"):
        context.invoke(stage, {"records": records}, name=stage)
    return 3


def sqs_event(messages: int) -> dict[str, Any]:
    """A batch, as an event source mapping delivers it."""
    return {
        "Records": [
            {
                "messageId": f"00000000-0000-4000-8000-{number:012d}",
                "receiptHandle": f"receipt-{number}",
                "body": body(number),
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": "1772354400000",
                    "ApproximateFirstReceiveTimestamp": "1772354400100",
                },
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:queue",
                "awsRegion": "us-east-1",
            }
            for number in range(messages)
        ]
    }


def measure(orchestrator: str, batch: int, repetitions: int) -> Cost:
    """The median by time of so many executions."""
    costs = sorted(
        (_run(orchestrator, batch) for _ in range(repetitions)), key=lambda cost: cost.seconds
    )
    return costs[len(costs) // 2]


def _run(orchestrator: str, batch: int) -> Cost:
    harness = _harness(orchestrator)
    event = sqs_event(batch)
    started, cpu_started = time.perf_counter(), time.process_time()
    result = harness.run(event)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    if result.status.value != "SUCCEEDED":
        raise RuntimeError(f"{orchestrator}, batch {batch}: {result.status.value} {result.error}")
    return Cost(orchestrator, batch, seconds, cpu_seconds, len(harness.calls), harness.invocations)


def _harness(orchestrator: str) -> Harness:
    # Imported when the environment is set.
    import durable_pipeline.handler
    from benchmarks.reference.src import orchestrator as reference

    handlers: Mapping[str, tuple[Stage, Stage]] = {
        PIPELINE: (durable_pipeline.handler.handler, answer_all),
        REFERENCE: (reference.handler, pass_on),
        FLOOR: (floor, answer_all),
    }
    handler, stage = handlers[orchestrator]
    stages = dict.fromkeys(("validate", "transform", "store"), stage)
    return Harness(handler, stages, seconds=SECONDS)


def all_costs() -> list[Cost]:
    """Of the pipeline and the floor at each batch, of the reference where it is not too slow."""
    costs = [measure(name, batch, 3) for batch in BATCHES for name in (PIPELINE, FLOOR)]
    return costs + [
        measure(REFERENCE, batch, 1 if batch > 10 else 3) for batch in REFERENCE_BATCHES
    ]


def hot_spots(batch: int, executions: int) -> dict[str, float]:
    """Shares of our own functions in the time that our code takes in so many executions."""
    with Sampler() as sampler:
        for _ in range(executions):
            _run(PIPELINE, batch)
    return sampler.shares()


class Sampler:
    """Looks at all threads' stacks, many times a second, while it is entered.

    Only what our functions do counts, not where they wait.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def shares(self) -> dict[str, float]:
        """Of all samples, the share of each place, largest first."""
        total = self._counts.total() or 1
        return {place: count / total for place, count in self._counts.most_common()}

    def _sample(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            for thread, frame in sys._current_frames().items():  # noqa: SLF001 - there is no other way
                if thread != threading.get_ident() and (place := place_of(frame)):
                    self._counts[place] += 1


def place_of(frame: FrameType | None) -> str | None:
    """Our innermost function on the stack; None if there is none, or it waits for the SDK."""
    while frame is not None:
        path = frame.f_code.co_filename
        if "/aws_durable_execution_sdk_python" in path:
            return None
        if path.startswith(SOURCE):
            return f"{Path(path).relative_to(SOURCE).with_suffix('')}.{frame.f_code.co_name}"
        frame = frame.f_back
    return None


def main(arguments: Sequence[str]) -> None:
    """Measure, and write what was found to the file that is named."""
    os.environ.update(ENVIRONMENT)
    _run(PIPELINE, 1)  # what is imported and compiled once does not count
    found = {"costs": [asdict(cost) for cost in all_costs()], "hot_spots": hot_spots(1000, 10)}
    Path(arguments[0]).write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
