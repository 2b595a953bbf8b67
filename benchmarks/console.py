"""Times the console's pages: ``python -m benchmarks.console``, or ``make bench-console``.

On the local cloud of this folder, with 10,000 items and 1,000 dead letters more than it has. They
are put where the pipeline puts them, and taken away again.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from durable_pipeline.dead_letters import attributes
from durable_pipeline.intake import read
from durable_pipeline.records import Outcome
from durable_pipeline.settings import Settings
from pipelinectl.commands.context import Pipeline, local_pipeline

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "benchmarks" / "console.md"
PIPELINECTL = Path(sys.executable).with_name("pipelinectl")
ITEMS, DEAD_LETTERS = 10_000, 1_000
TIMES = 20
PROMISED_MILLISECONDS = 300
_PREFIX = "bench-console-"
_BATCH = 25  # of BatchWriteItem
_ENTRIES = 10
_PATIENCE = 600.0
_QUEUES = "https://sqs/000000000000/durable-pipeline"


@dataclass(frozen=True)
class Timing:
    """How long a page took, in milliseconds."""

    page: str
    milliseconds: Sequence[float]
    size: int

    @property
    def median(self) -> float:
        """Half of them were faster."""
        return statistics.median(self.milliseconds)

    @property
    def slowest(self) -> float:
        """The slowest of all."""
        return max(self.milliseconds)


def main() -> int:
    """Measure, write the table; 1 if a page took longer than is promised."""
    pipeline = local_pipeline()
    with _planted(pipeline), _console() as browser:
        record = f"{_PREFIX}{ITEMS // 2}"
        arn = next(iter(pipeline.executions.newest(limit=1))).arn
        timings = [
            _timed(browser, name, path)
            for name, path in (
                ("Overview", "/overview"),
                ("Dead letters", "/dead-letters"),
                ("Dead letters, filtered", "/dead-letters?stage=store"),
                ("Dry run of a redrive of all", "/dead-letters/redrive"),
                ("Dead letter", f"/dead-letters/show?id={_first_letter(browser)}"),
                ("Executions", "/executions"),
                ("Execution", f"/executions/show?arn={arn}"),
                ("Record", f"/record?id={record}"),
                ("Files", "/files"),
                ("Cost", "/cost"),
                ("Local", "/local"),
            )
        ]
        text = report(timings, len(list(pipeline.executions.newest())))
    OUT.write_text(text)
    print(text)
    return int(any(timing.slowest > PROMISED_MILLISECONDS for timing in timings))


_HOW = (
    "Written by `make bench-console` on {machine}, with the local cloud on the same cores: "
    f"{ITEMS:,} items and {DEAD_LETTERS:,} dead letters planted, {{executions:,}} executions. Each "
    f"page {TIMES} times, one after another, in one run; {PROMISED_MILLISECONDS} ms are promised."
)
_WHAT = (
    "What takes longer than a page may take is asked for beside it, and shown with its age: the "
    "dead-letter queue, the doctor's checks, the histories behind the costs, a record's life. "
    "Whoever opens one of these first sees it follow."
)


def report(timings: Iterable[Timing], executions: int) -> str:
    """The page of the figures."""
    rows = [
        f"| {one.page} | {one.median:.0f} | {one.slowest:.0f} | {one.size / 1024:.0f} |"
        for one in timings
    ]
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    return "\n".join(
        [
            "# How long the console takes",
            "",
            _HOW.format(machine=machine, executions=executions),
            "",
            "| page | median ms | slowest ms | KiB |",
            "|---|---|---|---|",
            *rows,
            "",
            _WHAT,
            "",
        ]
    )


@contextmanager
def _planted(pipeline: Pipeline) -> Iterator[None]:
    """What is counted, there for as long as the block lasts."""
    keys = [f"{_PREFIX}{number}" for number in range(ITEMS)]
    try:
        _write(pipeline, [{"PutRequest": {"Item": _item(key)}} for key in keys])
        _give_up(pipeline)
        yield
    finally:
        delete = [{"DeleteRequest": {"Key": {"execution_id": {"S": key}}}} for key in keys]
        _write(pipeline, delete)
        _take_back(pipeline)


def _item(key: str) -> dict[str, Any]:
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
    order = {"sku": {"S": "mug-07"}, "quantity": {"N": "2"}, "unit_price": {"S": "7.90"}}
    return {
        "execution_id": {"S": key},
        "message_id": {"S": str(uuid.uuid4())},
        "data_source": {"S": "BENCH"},
        "processing_type": {"S": "order"},
        "original_data": {"M": order},
        "transformed_data": {"M": order},
        "processed_at": {"S": now},
        "stored_at": {"S": now},
    }


def _write(pipeline: Pipeline, requests: Sequence[Any]) -> None:
    for batch in _batches(requests, _BATCH):
        left = {pipeline.stack.table_name: batch}
        while left:
            left = pipeline.connection.dynamodb.batch_write_item(RequestItems=left)[
                "UnprocessedItems"
            ]


def _give_up(pipeline: Pipeline) -> None:
    """Dead letters by the pipeline's own code, of three kinds."""
    kinds = (("validate", "ValidationError"), ("store", "NotStorable"), ("transform", "KeyError"))
    entries = [_letter(number, *kinds[number % len(kinds)]) for number in range(DEAD_LETTERS)]
    for batch in _batches(entries, _ENTRIES):
        pipeline.connection.sqs.send_message_batch(
            QueueUrl=pipeline.stack.dead_letter_queue_url, Entries=batch
        )


def _letter(number: int, stage: str, error_type: str) -> Any:
    body = json.dumps({"data_source": "bench", "record_id": f"{_PREFIX}dead-{number}"})
    message = {
        "messageId": str(uuid.uuid4()),
        "receiptHandle": "",
        "body": body,
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:durable-pipeline-data-processing",
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1772354400000"},
        "messageAttributes": {},
    }
    (record,) = read({"Records": [message]}, _SETTINGS).all_records
    errors = [f"reason {number} of the benchmark"]
    outcome: Outcome = {
        "outcome": "rejected",
        "stage": stage,
        "reason": {"type": error_type, "message": errors[0], "errors": errors},
    }
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {
        "Id": str(number),
        "MessageBody": body,
        "MessageAttributes": attributes(record, outcome, "uuid/uuid", moment),
    }


_SETTINGS = Settings(
    environment="local",
    stack_name="durable-pipeline",
    processed_data_table="",
    validation_function_arn="",
    transformation_function_arn="",
    storage_function_arn="",
    csv_file_function_arn="",
    data_processing_queue_url=f"{_QUEUES}-data-processing",
    objects_queue_url=f"{_QUEUES}-objects",
    internal_queue_url=f"{_QUEUES}-internal",
    files_queue_url=f"{_QUEUES}-files",
    dead_letter_queue_url=f"{_QUEUES}-dead-letters",
    processing_events_topic_arn="",
    input_bucket="",
    payload_bucket="",
    max_receive_count=3,
    execution_timeout=60,
    stage_timeout=20,
    files_timeout=20,
    retry_delay=1,
    max_retry_delay=1,
    range_size=1,
    ranges_per_execution=1,
    range_concurrency=1,
)
"""What dead letters are made by: of all this, the names of the queues count."""


def _take_back(pipeline: Pipeline) -> None:
    held = pipeline.dead_letters.hold(60)
    try:
        for letters in held.receives():
            held.delete([one for one in letters if _PREFIX in one.body])
    finally:
        held.release()


def _batches(entries: Iterable[T], count: int) -> Iterator[list[T]]:
    left = iter(entries)
    while batch := list(itertools.islice(left, count)):
        yield batch


@dataclass
class Browser:
    """Asks one console, as whoever opened it."""

    address: str
    cookie: str = ""

    def get(self, path: str) -> bytes:
        """The page."""
        place = urlsplit(self.address)
        connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=_PATIENCE)
        connection.request("GET", path, headers={"Cookie": self.cookie})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != http.HTTPStatus.OK:
            sys.exit(f"{path} was answered with {answer.status}: {content[:500].decode()}")
        self.cookie = (answer.headers["Set-Cookie"] or self.cookie).partition(";")[0]
        connection.close()
        return content


@contextmanager
def _console() -> Iterator[Browser]:
    command = [str(PIPELINECTL), "console", "--show-content", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - this project's own command
        assert process.stdout  # noqa: S101 - it was asked for
        try:
            address = json.loads(process.stdout.readline())["address"]
            browser = Browser(address)
            browser.get(address.removeprefix(f"http://{urlsplit(address).netloc}"))
            yield browser
        finally:
            process.send_signal(signal.SIGINT)


def _first_letter(browser: Browser) -> str:
    """A dead letter, once the queue was read."""
    found: list[dict[str, Any]] = json.loads(browser.get("/dead-letters.json"))["dead_letters"]
    if len(found) < DEAD_LETTERS:
        sys.exit(f"the console has read {len(found):,} dead letters, not {DEAD_LETTERS:,}")
    return str(found[0]["message_id"])


def _timed(browser: Browser, name: str, path: str) -> Timing:
    milliseconds = []
    content = b""
    for _ in range(TIMES):
        began = time.perf_counter()
        content = browser.get(path)
        milliseconds.append((time.perf_counter() - began) * 1000)
    return Timing(name, milliseconds, len(content))


if __name__ == "__main__":
    sys.exit(main())
