"""What came of AWS's requirements, beside what is on record, and the page that tells it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FAILING: Mapping[str, str] = {}
"""The requirements that are not met, by their ids, and why. All others have to be."""

_INTRODUCTION = """
AWS has tests (`aws-durable-execution-conformance-tests`) of what the history of a durable function shows for each operation
of an SDK. `make conformance` runs them against the local cloud, with
[handlers](../conformance/src/handlers) of our own, and writes this page ([why so](decisions/0014-conformance.md)).
""".strip()  # noqa: E501 - a page's lines


class ConformanceError(Exception):
    """The tests could not be run; the message says why."""


@dataclass(frozen=True)
class Result:
    """What came of one requirement; the errors are in the words of AWS's runner."""

    id: str
    suite: str
    description: str
    passed: bool
    errors: tuple[str, ...] = ()


def read(report: Path, ids: Iterable[str]) -> list[Result]:
    """The results of the requirements ``ids`` in a report (JSON) of AWS's runner, in their order.

    One that no function is said to meet is there too, and has not passed.

    Raises:
        ConformanceError: one of them is not there: nobody knows what came of it.
    """
    entries = json.loads(report.read_text("utf-8"))["results"]
    wanted = set(ids)
    found = [_result(entry) for entry in entries if entry["id"] in wanted]
    if missing := wanted - {result.id for result in found}:
        raise ConformanceError(
            f"{report} says nothing of {', '.join(sorted(missing, key=order))}: AWS's runner has "
            f"not tried them; {report.with_name('log')} may say why."
        )
    return sorted(found, key=lambda result: order(result.id))


def _result(entry: Mapping[str, object]) -> Result:
    status, errors = str(entry["status"]), entry["errors"]
    told = [str(error) for error in errors] if isinstance(errors, list) else []
    return Result(
        id=str(entry["id"]),
        suite=str(entry["suite"]),
        description=str(entry["description"]),
        passed=status == "PASSED",
        errors=tuple(told) if told or status == "PASSED" else (status,),
    )


def order(requirement: str) -> tuple[int, ...]:
    """By what to sort ids: ``2-1``, ``2-10``, ``10-1``."""
    return tuple(int(part) for part in requirement.split("-"))


def is_as_recorded(result: Result, failing: Mapping[str, str]) -> bool:
    """Whether a requirement is met that should be, or is not that need not be."""
    return result.passed != (result.id in failing)


def surprises(results: Iterable[Result], failing: Mapping[str, str]) -> Iterator[str]:
    """A line for each result that is not as recorded: which, what is wrong, what to do."""
    for result in results:
        if is_as_recorded(result, failing):
            continue
        if result.passed:
            yield (
                f"{result.id} passes now: take it out of FAILING in conformance/results.py "
                f"({result.description})"
            )
        else:
            why = "; ".join(result.errors[:3])
            yield f"{result.id} fails: {why} ({result.description})"


def page(results: Sequence[Result], failing: Mapping[str, str], versions: Mapping[str, str]) -> str:
    """The page of a whole run, which says nothing that would differ in the next one.

    ``versions`` are those of the packages by their names.
    """
    passed = sum(result.passed for result in results)
    parts = [
        "# Conformance",
        _INTRODUCTION,
        f"**{passed} of {len(results)}** requirements are met.",
        _table(("suite", "passed", "failed"), _by_suite(results)),
        *_of_failing(results, failing),
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
    ]
    return "\n\n".join(parts) + "\n"


def _by_suite(results: Sequence[Result]) -> Iterator[tuple[str, str, str]]:
    for suite in dict.fromkeys(result.suite for result in results):
        passed = [result.passed for result in results if result.suite == suite]
        yield suite, str(sum(passed)), str(len(passed) - sum(passed) or "")


def _of_failing(results: Iterable[Result], failing: Mapping[str, str]) -> Iterator[str]:
    rows = [(r.id, r.description, failing[r.id]) for r in results if not r.passed]
    if rows:
        yield "## What is not met"
        yield _table(("requirement", "is", "not met, because"), rows)


def _table(heading: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    cells = [heading, ("---",) * len(heading), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
