"""The reasons that metrics tell apart, against those that the code gives."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from durable_pipeline.problems import (
    BACK_OFF_ERRORS,
    NOTHING_HELPS_ERRORS,
    TIMEOUT_ERRORS,
    TOO_LARGE_ERRORS,
)
from durable_pipeline.reasons import KNOWN, OF_SERVICES, OTHER, known_reason
from store.table import PASSING

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
