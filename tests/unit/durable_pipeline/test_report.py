"""The reasons that metrics tell apart, against those that the code gives.

What an execution has of operations and bytes, whatever of it the last invocation still sees.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aws_durable_execution_sdk_python.lambda_service import (
    ChainedInvokeDetails,
    ErrorObject,
    ExecutionDetails,
    Operation,
    OperationStatus,
    OperationType,
)

from durable_pipeline.calls import (
    BACK_OFF_ERRORS,
    NOTHING_HELPS_ERRORS,
    TIMEOUT_ERRORS,
    TOO_LARGE_ERRORS,
    Tally,
)
from durable_pipeline.records import Batch
from durable_pipeline.report import KNOWN, OF_SERVICES, OTHER, known_reason, report
from store.table import PASSING
from tests.unit.durable_pipeline.fake_context import FakeContext
from tests.unit.durable_pipeline.settings import SETTINGS

SRC = Path(__file__).parents[3] / "src"

# What gives a record or a file a reason, and which of its arguments is the type.
GIVERS = {
    **dict.fromkeys(("InvalidRecord", "InvalidFile", "Unavailable", "Problem", "_invalid"), 0),
    **dict.fromkeys(("rejection", "failure"), 1),
    "_failed": 0,
}

ROWS = SRC / "csv_file" / "documents.py"
"""Reasons of rows are in a file's rejects, and no outcome of a record."""


def given() -> Iterator[str]:
    for path in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id=name), args=args) if name in GIVERS and path != ROWS:
                    argument = args[GIVERS[name]] if len(args) > GIVERS[name] else None
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        yield argument.value
                case ast.Dict([ast.Constant("type"), *_], [ast.Constant(str(kind)), *_]):
                    yield kind


def test_the_list_is_that_of_the_code() -> None:
    of_invokes = BACK_OFF_ERRORS | NOTHING_HELPS_ERRORS | TIMEOUT_ERRORS | TOO_LARGE_ERRORS
    own = KNOWN - OF_SERVICES - of_invokes

    assert len(set(given())) > 15
    assert set(given()) <= KNOWN
    # Those that Lambda gives, and one that a class gives by its name.
    of_others = {"ContractViolation", "Runtime.ExitError"}
    assert own - set(given()) <= of_others


def test_a_producer_cannot_add_to_it() -> None:
    assert known_reason("ValidationError") == "ValidationError"
    assert known_reason("KeyError") == OTHER
    assert known_reason("x" * 1000) == OTHER


def test_want_of_throughput_is_told_apart() -> None:
    assert {"UnprocessedItems", "ProvisionedThroughputExceededException"} <= KNOWN & PASSING


@dataclass
class Finished(FakeContext):
    """A context whose execution has these operations."""

    has: list[Operation] = field(default_factory=list)

    @property
    def state(self) -> Any:
        """Where the operations are found."""
        operations = {operation.operation_id: operation for operation in self.has}
        return SimpleNamespace(operations=operations, get_execution_operation=lambda: self.has[0])


EXECUTION = Operation(
    "e",
    OperationType.EXECUTION,
    OperationStatus.STARTED,
    execution_details=ExecutionDetails('{"Records": []}'),
)


def invoke(name: str, result: str | None = None, error: ErrorObject | None = None) -> Operation:
    return Operation(
        name,
        OperationType.CHAINED_INVOKE,
        OperationStatus.FAILED if error else OperationStatus.SUCCEEDED,
        name=name,
        chained_invoke_details=ChainedInvokeDetails(result, error),
    )


def other(name: str, kind: OperationType) -> Operation:
    return Operation(name, kind, OperationStatus.SUCCEEDED, name=name)


def reported(
    operations: list[Operation], tally: Tally, capsys: pytest.CaptureFixture[str]
) -> tuple[float, float]:
    context = cast("Any", Finished({}, has=operations))
    report(context, Batch((), {}), {}, tally, SETTINGS)
    line = json.loads(capsys.readouterr().out.splitlines()[0])
    return line["ExecutionOperations"][0], line["ExecutionStateBytes"][0]


def test_operations_are_the_same_where_a_finished_map_hides_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    died = ErrorObject("died", "Runtime.ExitError", None, None)
    hidden = [
        invoke("rows 0-9", error=died),
        other("clock", OperationType.STEP),
        other("retry", OperationType.WAIT),
        invoke("rows 0-9 attempt 2", "{}"),
        invoke("rows 10-19", "{}"),
    ]
    plan, finish = invoke("plan", "{}"), invoke("finish", "{}")
    seen = [EXECUTION, plan, other("ranges", OperationType.CONTEXT), finish]
    tally = Tally(invokes=5, retries=1, operations=7)

    with_all, _ = reported([*seen, *hidden], tally, capsys)
    with_some, _ = reported(seen, tally, capsys)

    assert with_all == with_some == len([*seen, *hidden])


def test_bytes_are_those_of_what_came_in_of_results_and_of_errors(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = ErrorObject("zu groß", "ValueError", "data", ["in a", "in b"])
    operations = [EXECUTION, invoke("one", '"größer"'), invoke("two", error=error)]

    _, size = reported(operations, Tally(invokes=2), capsys)

    texts = ('{"Records": []}', '"größer"', "zu groß", "data", "in a", "in b")
    assert size == sum(len(text.encode()) for text in texts)
