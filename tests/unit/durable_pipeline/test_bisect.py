"""Whatever the records come to, no invoke is sent that AWS would refuse."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from durable_pipeline.bisect import MAX_PAYLOAD_BYTES, Stage, StageRunner
from durable_pipeline.calls import Budget, Deadline, Tally
from pipeline_core.contract import StageRecord, ok
from tests.unit.durable_pipeline.fake_context import START, FakeContext, LambdaError

PLENTY = 10**9


def run(records: list[StageRecord], stage: Any, budget: Budget) -> tuple[Any, FakeContext]:
    context: Any = FakeContext({"arn": stage})
    chunk = StageRunner(context, Deadline(context, 900, 60), Tally(), budget)
    return chunk.run(Stage("validate", "arn"), records), context


def accept(payload: Any) -> Any:
    results = [ok(record["id"]) for record in payload["records"]]
    return {"results": results, "completed_at": START.isoformat()}


def crash(_: Any) -> Any:
    raise LambdaError("Runtime.ExitError")


texts = st.builds(
    lambda text, times: text * times,
    st.sampled_from(["x", "ж", "數", "\U0001f469", '"', "\\", "\x01", "\n", "\u2028"]),
    st.integers(0, MAX_PAYLOAD_BYTES // 2),
)


@settings(max_examples=40)
@given(st.lists(texts, max_size=12))
def test_every_record_has_one_result_and_every_invoke_fits(bodies: list[str]) -> None:
    records: list[StageRecord] = [{"id": str(n), "body": body} for n, body in enumerate(bodies)]

    answer, _ = run(records, accept, Budget(PLENTY, PLENTY))  # an invoke too large would raise

    assert answer.results.keys() == {record["id"] for record in records}
    rejected = {key for key, result in answer.results.items() if result["outcome"] != "ok"}
    for key in rejected:
        assert answer.results[key]["reason"]["type"] == "RecordTooLarge"
        assert "S3" in answer.results[key]["reason"]["message"]


def test_a_record_that_no_invoke_takes_is_rejected_and_its_neighbours_are_not() -> None:
    records: list[StageRecord] = [
        {"id": "small", "body": "x"},
        {"id": "large", "body": "x" * 10**6},
    ]

    answer, context = run(records, accept, Budget(PLENTY, PLENTY))

    assert [answer.results[key]["outcome"] for key in ("small", "large")] == ["ok", "rejected"]
    assert context.invokes == ["arn"]


def test_letters_of_any_script_count_as_the_sdk_counts_them() -> None:
    records: list[StageRecord] = [{"id": str(n), "body": "ж" * 100_000} for n in range(3)]

    _, context = run(records, accept, Budget(PLENTY, PLENTY))

    # 600,000 bytes on the wire; but the SDK counts them escaped, and would never send 1,800,000.
    assert context.invokes == ["arn", "arn", "arn"]


@given(st.integers(1, 60), st.integers(0, 200))
def test_a_broken_stage_costs_its_budget_and_no_more(count: int, operations: int) -> None:
    records: list[StageRecord] = [{"id": str(n), "body": ""} for n in range(count)]

    answer, context = run(records, crash, Budget(operations, PLENTY))

    assert len(context.operations) <= 2 + operations
    assert {result["reason"]["type"] for result in answer.results.values()} == {"Runtime.ExitError"}


def test_bytes_of_state_are_a_budget_too() -> None:
    records: list[StageRecord] = [{"id": str(n), "body": "x" * 10_000} for n in range(90)]

    _, context = run(records, crash, Budget(PLENTY, 2_000_000))

    assert context.state_bytes <= 900_000 + 2_000_000


def test_what_failed_in_company_is_told_from_what_failed_alone() -> None:
    def poison(payload: Any) -> Any:
        return (
            crash(payload) if any(r["id"] == "3" for r in payload["records"]) else accept(payload)
        )

    records: list[StageRecord] = [{"id": str(n), "body": ""} for n in range(8)]

    enough, _ = run(records, poison, Budget(PLENTY, PLENTY))
    scarce, _ = run(records, poison, Budget(8, PLENTY))

    assert (enough.results["3"]["outcome"], enough.in_company) == ("failed", frozenset())
    assert "3" in scarce.in_company
    assert len(scarce.in_company) > 1


def test_no_stage_is_asked_where_no_record_is_left() -> None:
    answer, _ = run([], crash, Budget(PLENTY, PLENTY))

    assert answer.results == {}
