"""Sends accepted rows through the own stage, in blocks of the size of a chunk of documents.

Whoever is to blame for a failure is found by bisecting, as for documents. But a range has results
and rejects only, and both are final. So a row for which another attempt may succeed leaves its
range unfinished, and with it the file, which comes back.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from csv_file.documents import Verdict, json_text
from csv_file.rows import Row
from pipeline_core import exact_json, own_stage
from pipeline_core.contract import (
    MAX_ERROR_CHARACTERS,
    MAX_MESSAGE_CHARACTERS,
    ContractViolation,
    InvalidRecord,
    Reason,
    Result,
    StageRecord,
    StageRequest,
    check_response,
    shortened,
)
from pipeline_core.own_stage import OwnStage, Took
from pipeline_core.sizes import MAX_CHUNK_BYTES, MAX_CHUNK_RECORDS, batches, wire_json, wire_size

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

CONCURRENT_BLOCKS = 4
"""Of a range: more would not make a function faster that waits for a service, but throttle it."""

MAX_REQUEST_BYTES = 6_000_000
"""Of the records in one invoke, which is no checkpoint. Lambda takes 6 MiB in and out."""

TRIES = 2
"""Of a block that failed as a whole, before it is bisected."""

PAUSES = (1.0, 2.0)
"""Seconds before each time that rows are sent again that the own stage answered as failed."""

TIMES_LONGER = 2
"""No invoke is begun unless there is time for one of so many times the longest so far."""


class Unfinished(Exception):  # noqa: N818 - reads as what it is, in answers and logs
    """The range is not finished, because of the own stage; ``reason`` names the rows."""

    def __init__(self, reason_type: str, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = {
            "type": shortened(reason_type, MAX_ERROR_CHARACTERS),
            "message": shortened(message, MAX_MESSAGE_CHARACTERS),
        }


class InvokeFailed(Exception):  # noqa: N818 - reads as what it is
    """An invocation failed as a whole: by the function's own error, which fewer rows may cure."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.type = error_type


@cache
def client(seconds: int) -> LambdaClient:
    """Lambda, waiting so long for an answer; once per execution environment."""
    import boto3  # slow to import, and most pipelines have no own stage
    from botocore.config import Config

    retries: Any = {"mode": "standard", "total_max_attempts": 4}
    return boto3.client("lambda", config=Config(read_timeout=seconds + 5, retries=retries))


@dataclass
class Enriching:
    """The own stage as one range of a file uses it.

    ``folder`` is that of the file's results; with the number of a row it is the row's identity,
    however often the range is repeated. ``seconds_left`` tells how long this invocation may go on.
    """

    client: LambdaClient
    stage: OwnStage
    folder: str
    seconds_left: Callable[[], float]
    durable_execution_arn: str = ""
    sleep: Callable[[float], None] = time.sleep
    times: list[float] = field(default_factory=list)

    @property
    def took(self) -> Took:
        """What it took so far."""
        arn = self.stage["function_arn"]
        return {
            "function_arn": arn,
            "invokes": len(self.times),
            "seconds": round(sum(self.times), 3),
        }

    def through(self, verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
        """``verdicts`` in their order, those of accepted rows as the own stage has it.

        Raises:
            Unfinished: rows failed, or the time is used up.
        """
        blocks = batches(verdicts, _size, max_bytes=MAX_CHUNK_BYTES, max_entries=MAX_CHUNK_RECORDS)
        waiting: deque[Future[list[Verdict]]] = deque()
        pool = ThreadPoolExecutor(CONCURRENT_BLOCKS)
        try:
            for block in blocks:
                waiting.append(pool.submit(self._block, block))
                if len(waiting) >= CONCURRENT_BLOCKS:
                    yield from waiting.popleft().result()
            for done in waiting:
                yield from done.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _block(self, verdicts: Sequence[Verdict]) -> list[Verdict]:
        records = {v.row.number: self._record(v) for v in verdicts if v.invalid is None}
        results = self._results(list(records.values()))
        return [
            _verdict(verdict.row, results[records[verdict.row.number]["id"]], verdict)
            if verdict.row.number in records
            else verdict
            for verdict in verdicts
        ]

    def _record(self, verdict: Verdict) -> StageRecord:
        identity = f"row-{verdict.row.number}"
        return {
            "id": identity,
            "body": verdict.row.raw.decode(),
            "execution_id": f"{self.folder}{identity}",
            "transformed": verdict.record,
        }

    def _results(self, records: Sequence[StageRecord]) -> dict[str, Result]:
        """The result of each record, none of which is failed."""
        results = {r["id"]: _too_large(r) for r in records if wire_size(r) > MAX_REQUEST_BYTES}
        fitting = [record for record in records if record["id"] not in results]
        results |= self._contain(fitting)
        for pause in PAUSES:
            if failed := [r for r in fitting if results[r["id"]]["outcome"] == "failed"]:
                self.sleep(pause)
                results |= self._contain(failed)
        for record in fitting:
            if (result := results[record["id"]])["outcome"] == "failed":
                reason = result["reason"]
                raise _unfinished([record], reason["type"], reason["message"])
        return results

    def _contain(self, records: Sequence[StageRecord], tries: int = TRIES) -> dict[str, Result]:
        """The result of each record; of one that brings its block down, none.

        Raises:
            Unfinished: it names that record, or those for which there was no time.
        """
        if not records:
            return {}
        for _ in range(tries):
            try:
                return {i: own_stage.checked(r) for i, r in self._invoke(records).items()}
            except InvokeFailed as error:
                problem = error.type, str(error)
            except ContractViolation as error:
                problem = own_stage.VIOLATION, str(error)
            if not self._has_time():
                raise _unfinished(records, *problem)
        if len(records) == 1:
            raise _unfinished(records, *problem)
        # Within a bisection the other half is the second attempt.
        middle = len(records) // 2
        left = self._contain(records[:middle], tries=1)
        return left | self._contain(records[middle:], tries=1)

    def _has_time(self) -> bool:
        return self.seconds_left() > TIMES_LONGER * max(self.times, default=0.0)

    def _invoke(self, records: Sequence[StageRecord]) -> Mapping[str, Result]:
        """The results by record id.

        Raises:
            InvokeFailed, ContractViolation: the function failed, or answered something else.
            Unfinished: Lambda or the role did not let it run, or there is no time.
        """
        if not self._has_time():
            advice = "deploy with a smaller RangeSize, or a longer FilesTimeout"
            raise _unfinished(
                records, "DeadlineExceeded", f"the range's time was used up; {advice}"
            )
        request: StageRequest = {
            "durable_execution_arn": self.durable_execution_arn,
            "records": records,
        }
        began = time.monotonic()
        try:
            answer = self.client.invoke(
                FunctionName=self.stage["function_arn"], Payload=wire_json(request).encode()
            )
            content = answer["Payload"].read()
        except ClientError as error:
            raise _unfinished(records, error.response["Error"]["Code"], str(error)) from None
        except BotoCoreError as error:
            raise _unfinished(records, type(error).__name__, str(error)) from None
        finally:
            self.times.append(time.monotonic() - began)
        if "FunctionError" in answer:
            raise _of_function(content)
        return check_response(_json(content), [record["id"] for record in records])


def _size(verdict: Verdict) -> int:
    return 0 if verdict.invalid else len(verdict.row.raw) + len(verdict.record)


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        raise ContractViolation("the answer is no JSON") from None


def _of_function(content: bytes) -> InvokeFailed:
    match _json(content):
        case {"errorType": str(error_type), "errorMessage": str(message)}:
            return InvokeFailed(error_type, message)
        case {"errorMessage": str(message)}:
            # Lambda's own words have no type.
            timed_out = "timed out" in message
            return InvokeFailed("Sandbox.Timedout" if timed_out else "Unhandled", message)
    return InvokeFailed("Unhandled", "the function failed, and Lambda does not say why")


def _unfinished(records: Sequence[StageRecord], reason_type: str, message: str) -> Unfinished:
    numbers = [record["id"].removeprefix("row-") for record in records]
    rows = f"row {numbers[0]}" if len(numbers) == 1 else f"rows {numbers[0]} to {numbers[-1]}"
    return Unfinished(reason_type, f"{rows}: {message}")


def _too_large(record: StageRecord) -> Result:
    message = f"{own_stage.NAME} is sent at most {MAX_REQUEST_BYTES} bytes of a row"
    reason: Reason = {"type": "RecordTooLarge", "message": message, "errors": [message]}
    return {"id": record["id"], "outcome": "rejected", "reason": reason}


def _verdict(row: Row, result: Result, before: Verdict) -> Verdict:
    if result["outcome"] == "rejected":
        reason = result["reason"]
        errors = reason.get("errors") or [reason["message"]]
        return Verdict(row, "", InvalidRecord(reason["type"], errors))
    if "pointer" in result:
        message = (
            f"{own_stage.NAME} answered a pointer; what is made of a row stands in its results"
        )
        return Verdict(row, "", InvalidRecord("RecordTooLarge", [message]))
    if "data" not in result:
        return before
    return Verdict(row, json_text(exact_json.loads(result["data"])))
