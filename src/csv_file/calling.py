"""Calls a stage from within a range of a file, with records that no checkpoint has.

Whoever is to blame for a failure is found by bisecting, as for documents. But what becomes of a
range is final. So a record for which another attempt may succeed leaves its range unfinished, and
with it the file, which comes back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from pipeline_core.contract import (
    MAX_ERROR_CHARACTERS,
    MAX_MESSAGE_CHARACTERS,
    ContractViolation,
    Reason,
    Result,
    StageRecord,
    StageRequest,
    check_response,
    shortened,
)
from pipeline_core.own_stage import VIOLATION, CalledStage, Took
from pipeline_core.sizes import wire_json

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

TRIES = 2
"""Of a block that failed as a whole, before it is bisected."""

PAUSES = (1.0, 2.0)
"""Seconds before each time that records are sent again that the stage answered as failed."""

TIMES_LONGER = 2
"""No invoke is begun unless there is time for one of so many times the longest so far."""


class Unfinished(Exception):
    """The range is not finished, because of ``stage``; ``reason`` names the rows."""

    def __init__(self, stage: str, reason_type: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage
        self.reason: Reason = {
            "type": shortened(reason_type, MAX_ERROR_CHARACTERS),
            "message": shortened(message, MAX_MESSAGE_CHARACTERS),
        }


class InvokeFailed(Exception):
    """An invocation failed as a whole: by the function's own error, which fewer rows may cure."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.type = error_type


@cache
def client(seconds: int) -> LambdaClient:
    """Lambda, waiting so long for an answer; once per execution environment."""
    # Slow to import, and rows of most files go through no other function.
    from botocore.config import Config

    from pipeline_core import clients

    retries: Any = {"mode": "standard", "total_max_attempts": 4}
    return clients.client("lambda", config=Config(read_timeout=seconds + 5, retries=retries))


@dataclass
class Calling:
    """A stage as one range of a file calls it; ``name`` is the stage's.

    ``seconds_left`` tells how long this invocation may go on; ``check`` is what the answer for a
    record is held to beside the contract.
    """

    name: str
    client: LambdaClient
    stage: CalledStage
    seconds_left: Callable[[], float]
    durable_execution_arn: str = ""
    check: Callable[[Result], Result] = lambda result: result
    sleep: Callable[[float], None] = time.sleep
    times: list[float] = field(default_factory=list)

    @property
    def took(self) -> Took:
        """What it took so far."""
        return {
            "function_arn": self.stage["function_arn"],
            "invokes": len(self.times),
            "seconds": round(sum(self.times), 3),
        }

    def results(self, records: Sequence[StageRecord]) -> dict[str, Result]:
        """The result of each record by its id, none of which is failed.

        Raises:
            Unfinished: records failed, or the time is used up.
        """
        results = self._contain(records)
        for pause in PAUSES:
            if failed := [r for r in records if results[r["id"]]["outcome"] == "failed"]:
                self.sleep(pause)
                results |= self._contain(failed)
        for record in records:
            if (result := results[record["id"]])["outcome"] == "failed":
                reason = result["reason"]
                raise self.unfinished([record], reason["type"], reason["message"])
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
                return {key: self.check(r) for key, r in self._invoke(records).items()}
            except InvokeFailed as error:
                problem = error.type, str(error)
            except ContractViolation as error:
                problem = VIOLATION, str(error)
            if not self._has_time():
                raise self.unfinished(records, *problem)
        if len(records) == 1:
            raise self.unfinished(records, *problem)
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
            raise self.unfinished(
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
            code = error.response["Error"]["Code"]
            raise self.unfinished(records, code, str(error)) from None
        except BotoCoreError as error:
            raise self.unfinished(records, type(error).__name__, str(error)) from None
        finally:
            self.times.append(time.monotonic() - began)
        if "FunctionError" in answer:
            raise _of_function(content)
        return check_response(_json(content), [record["id"] for record in records])

    def unfinished(
        self, records: Sequence[StageRecord], reason_type: str, message: str
    ) -> Unfinished:
        """What to raise because of ``records``, which it names by their rows."""
        numbers = [record["id"].removeprefix(ROW) for record in records]
        rows = f"row {numbers[0]}" if len(numbers) == 1 else f"rows {numbers[0]} to {numbers[-1]}"
        return Unfinished(self.name, reason_type, f"{rows}: {message}")


ROW = "row-"


def id_of(number: int) -> str:
    """The id, among its range's records, of the row with this number."""
    return f"{ROW}{number}"


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
