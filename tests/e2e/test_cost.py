"""What `pipelinectl cost` counts, against the runner's own store, operation for operation."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from typing import Any

import pytest

from tests.e2e.conftest import STACK, Stack
from tests.e2e.operator import Operator
from tests.events import order, sqs_event_of, standard

ALIAS = f"{STACK}-durable-pipeline:live"
KINDS = {
    "EXECUTION": "execution",
    "STEP": "step attempt",
    "WAIT": "wait",
    "CHAINED_INVOKE": "chained invoke",
    "CONTEXT": "context",
}


def run(stack: Stack, bodies: list[str]) -> str:
    """ARN of an execution that took these messages as one batch, and has ended."""
    started = stack.client("lambda").invoke(
        FunctionName=ALIAS, Payload=json.dumps(sqs_event_of(bodies)), InvocationType="Event"
    )
    arn: str = started["DurableExecutionArn"]
    stack.cloud.wait_for_end(arn)
    return arn


def stored(stack: Stack, arn: str) -> dict[str, Any]:
    """The execution as the runner keeps it in SQLite."""
    path = stack.cloud.settings.executions_file
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as store:
        query = "SELECT data FROM executions WHERE durable_execution_arn = ?"
        (data,) = store.execute(query, (arn,)).fetchone()
    found: dict[str, Any] = json.loads(data)
    return found


def counted(execution: dict[str, Any]) -> Counter[str]:
    """Operations by kind, by the runner's own list of them; of a step each attempt is one."""
    kinds: Counter[str] = Counter()
    for operation in execution["Operations"]:
        attempts = operation.get("StepDetails", {}).get("Attempt", 1)
        kinds[KINDS[operation["Type"]]] += attempts
    return kinds


def written(execution: dict[str, Any]) -> int:
    """Bytes of the input, of what was checkpointed, of invokes' results, and of the result."""
    updates = execution["Updates"]
    results = (op.get("ChainedInvokeDetails", {}).get("Result") for op in execution["Operations"])
    payloads = [
        execution["StartInput"]["Input"],
        *(update.get("Payload") for update in updates),
        *results,
        execution["Result"]["Result"],
    ]
    return sum(len(payload.encode()) for payload in payloads if payload)


@pytest.mark.parametrize(("records", "rejected"), [(1, 0), (12, 1), (240, 1)])
def test_cost_agrees_with_the_runners_store(stack: Stack, records: int, rejected: int) -> None:
    good = [standard(record_id=f"cost-{records}-{n}") for n in range(records - rejected)]
    arn = run(stack, [*good, *(order(quantity=0) for _ in range(rejected))])

    shown = Operator.of(stack).json("cost", arn)

    kept = stored(stack, arn)
    assert shown["records"] == records
    assert shown["operations"]["by_kind"] == counted(kept)
    assert shown["operations"]["total"] == counted(kept).total()
    assert shown["bytes_written"] == written(kept)
    completions = kept["InvocationCompletions"]
    durable = shown["functions"][f"{STACK}-durable-pipeline"]
    assert durable["invocations"] == len(completions)
    assert durable["seconds"] == pytest.approx(
        sum(one["EndTimestamp"] - one["StartTimestamp"] for one in completions) / 1000,
        abs=0.001 * len(completions),  # the store has whole milliseconds
    )
    assert durable["invocations_without_times"] == 0
    assert (durable["memory_mb"], durable["architecture"]) == (512, "arm64")


def test_a_healthy_batch_costs_four_operations_and_a_chain_a_record_31(stack: Stack) -> None:
    arn = run(stack, [standard(record_id=f"cost-ten-{n}") for n in range(10)])

    shown = Operator.of(stack).json("cost", arn)

    here, chains, *_ = shown["patterns"]
    assert (here["operations"], chains["operations"]) == (4, 31)
    bill = {line["name"]: line["dollars"] for line in shown["charges"]}
    assert bill["durable operations"] == pytest.approx(4 * 8 / 1_000_000)
    assert here["dollars_per_million_records"] < chains["dollars_per_million_records"]


def test_the_newest_executions_and_a_forecast_in_words(stack: Stack) -> None:
    run(stack, [standard(record_id=f"cost-words-{n}") for n in range(10)])

    shown = Operator.of(stack).run("cost", "--limit", "1", "--records", "1000000").stdout

    assert "10 records in 1 execution" in shown
    assert "one chain a record" in shown
    assert "1,000,000 records a month in 100,000 executions of 10" in " ".join(shown.split())
