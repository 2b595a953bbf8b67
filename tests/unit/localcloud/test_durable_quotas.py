"""A checkpoint at a quota of a durable execution passes, one more is refused, all of it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aws_durable_execution_sdk_python import DurableContext, StepContext, durable_execution
from aws_durable_execution_sdk_python.config import StepConfig
from aws_durable_execution_sdk_python.lambda_service import (
    ChainedInvokeOptions,
    ErrorObject,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
    StepOptions,
)
from aws_durable_execution_sdk_python.retries import RetryPresets
from aws_durable_execution_sdk_python_testing.exceptions import InvalidParameterValueException
from aws_durable_execution_sdk_python_testing.execution import Execution
from aws_durable_execution_sdk_python_testing.model import StartDurableExecutionInput
from aws_durable_execution_sdk_python_testing.stores.sqlite import SQLiteExecutionStore

from faults.harness import Harness
from localcloud import durable_quotas, quotas
from localcloud.durable_quotas import QuotaDispatcher, ValidationException

KIB = 1024
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
START, SUCCEED, RETRY = OperationAction.START, OperationAction.SUCCEED, OperationAction.RETRY
STEP, CONTEXT = OperationType.STEP, OperationType.CONTEXT


def execution(payload: str = "{}") -> Execution:
    started = Execution.new(
        StartDurableExecutionInput(
            account_id="000000000000",
            function_name="function",
            function_qualifier="1",
            execution_name="name",
            execution_timeout_seconds=60,
            execution_retention_period_days=1,
            invocation_id="invocation",
            input=payload,
        )
    )
    started.start(NOW)
    return started


def step(number: int, action: OperationAction = START, **more: Any) -> OperationUpdate:
    return OperationUpdate(f"step-{number}", STEP, action, **more)


def retry(number: int) -> OperationUpdate:
    failed = ErrorObject(message="m", type="t", data=None, stack_trace=None)
    options = StepOptions(next_attempt_delay_seconds=1)
    return step(number, RETRY, error=failed, step_options=options)


def apply(to: Execution, *updates: OperationUpdate) -> None:
    QuotaDispatcher().apply_updates(to, list(updates), None, to.touch_operation, NOW)


def steps(numbers: Iterable[int]) -> list[OperationUpdate]:
    return [step(number) for number in numbers]


def test_an_execution_has_3_000_operations_itself_included() -> None:
    full = execution()
    apply(full, *steps(range(2_999)))
    assert durable_quotas.operations_of(full) == quotas.MAX_OPERATIONS
    with pytest.raises(InvalidParameterValueException, match=r"has 3,000 operations .* add 1"):
        apply(full, step(2_999))
    assert len(full.operations) == 3_000


def test_a_checkpoint_that_goes_beyond_is_refused_as_a_whole() -> None:
    nearly = execution()
    apply(nearly, *steps(range(2_998)))
    with pytest.raises(InvalidParameterValueException, match="cannot add 2"):
        apply(nearly, *steps([2_998, 2_999]))
    apply(nearly, step(2_998))


def test_an_operation_that_goes_on_is_no_other_one_and_a_full_execution_can_end() -> None:
    full = execution()
    apply(full, *steps(range(2_999)))
    apply(full, step(0, SUCCEED, payload="1"))
    apply(full, OperationUpdate("end", OperationType.EXECUTION, SUCCEED, payload="{}"))


def test_every_retry_of_a_step_is_an_operation() -> None:
    nearly = execution()
    apply(nearly, *steps(range(2_998)))
    apply(nearly, retry(0))
    with pytest.raises(InvalidParameterValueException, match="3,000 operations"):
        apply(nearly, retry(1))


def test_an_execution_stores_100_mb_with_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "MAX_STORED_BYTES", 1_000)
    assert durable_quotas.stored_bytes_of(execution("ы" * 10)) == 20, "in UTF-8"
    for size, fits in ((600, True), (601, False)):
        used = execution('"' + "x" * 98 + '"')
        apply(used, step(1), step(1, SUCCEED, payload="x" * 300))
        if fits:
            apply(used, step(2), step(2, SUCCEED, payload="x" * size))
            continue
        with pytest.raises(
            InvalidParameterValueException, match="has 400 bytes of stored data and cannot add 601"
        ):
            apply(used, step(2), step(2, SUCCEED, payload="x" * size))


def test_what_comes_of_a_chained_invoke_is_stored_too() -> None:
    invoking = execution("")
    options = ChainedInvokeOptions(function_name="stage")
    kind = OperationType.CHAINED_INVOKE
    apply(
        invoking,
        OperationUpdate("i", kind, START, payload="input", chained_invoke_options=options),
    )
    invoking.complete_chained_invoke("i", OperationStatus.SUCCEEDED, result="result")
    assert durable_quotas.stored_bytes_of(invoking) == len("input") + len("result")


def test_the_quota_of_storage_is_the_documented_one() -> None:
    used = execution("x" * (quotas.MAX_STORED_BYTES - 1))
    apply(used, step(1), step(1, SUCCEED, payload="x"))
    assert durable_quotas.stored_bytes_of(used) == 100_000_000
    with pytest.raises(InvalidParameterValueException, match=r"maximum .* is 100,000,000"):
        apply(used, step(2), step(2, SUCCEED, payload="x"))


@pytest.mark.parametrize(
    ("update", "words"),
    [
        (step(1, SUCCEED), "STEP"),
        (step(1, RETRY, step_options=StepOptions(next_attempt_delay_seconds=1)), "STEP"),
        (OperationUpdate("context", CONTEXT, SUCCEED), "CONTEXT"),
    ],
)
@pytest.mark.parametrize("unit", ["x", "ы"])
def test_a_result_has_256_kib(update: OperationUpdate, words: str, unit: str) -> None:
    fits = unit * (256 * KIB // len(unit.encode()))
    durable_quotas.require_within_quotas(execution(), [replace(update, payload=fits)])
    with pytest.raises(
        InvalidParameterValueException,
        match=f"{words} output payload size must be less than or equal to 262144 bytes",
    ):
        durable_quotas.require_within_quotas(execution(), [replace(update, payload=fits + "x")])


@pytest.mark.parametrize(
    ("fits", "refused", "field"),
    [
        (OperationUpdate("a" * 64, STEP, START), OperationUpdate("a" * 65, STEP, START), "id"),
        (step(1), OperationUpdate("a.b", STEP, START), "id"),
        (step(1, name="n" * 256), step(1, name="n" * 257), "name"),
        (step(1, name=" ~"), step(1, name="имя"), "name"),
        (step(1, name="n"), step(1, name=""), "name"),
        (step(1, sub_type="s" * 32), step(1, sub_type="s" * 33), "subType"),
        (step(1, parent_id="p"), step(1, parent_id="p q"), "parentId"),
        (
            OperationUpdate("end", OperationType.EXECUTION, SUCCEED, payload="x" * 6_291_456),
            OperationUpdate("end", OperationType.EXECUTION, SUCCEED, payload="x" * 6_291_457),
            "payload",
        ),
    ],
)
def test_the_fields_of_an_operation_are_as_the_api_has_them(
    fits: OperationUpdate, refused: OperationUpdate, field: str
) -> None:
    durable_quotas.require_within_quotas(execution(), [fits])
    with pytest.raises(ValidationException, match=rf"'updates\.2\.member\.{field}'") as caught:
        durable_quotas.require_within_quotas(execution(), [fits, refused])
    assert caught.value.to_dict()["Type"] == "ValidationException"


def test_what_was_used_is_remembered_by_the_store(tmp_path: Path) -> None:
    used = execution("x" * 50)
    apply(used, *steps(range(2_998)), step(0, SUCCEED, payload="x" * 50))
    apply(used, retry(1))
    SQLiteExecutionStore.create_and_initialize(tmp_path / "file").save(used)
    # As after a restart: another store, another dispatcher.
    arn = used.durable_execution_arn
    loaded = SQLiteExecutionStore.create_and_initialize(tmp_path / "file").load(arn)
    assert durable_quotas.stored_bytes_of(loaded) == durable_quotas.stored_bytes_of(used)
    with pytest.raises(InvalidParameterValueException, match="3,000 operations"):
        apply(loaded, retry(2))


# In one process, with the SDK between.


@durable_execution
def counting(event: dict[str, Any], context: DurableContext) -> int:
    for number in range(event["steps"]):
        context.step(lambda _: None, name=f"step-{number}")
    return int(event["steps"])


@durable_execution
def answering(event: dict[str, Any], context: DurableContext) -> int:
    once = StepConfig(retry_strategy=RetryPresets.none())

    def step(_: StepContext) -> str:
        return "x" * int(event["size"])

    return len(context.step(step, name="large", config=once))


@durable_execution
def invoking(event: dict[str, Any], context: DurableContext) -> int:
    return len(context.invoke("stage", event, name="stage"))


def result_of(harness: Harness, event: Any) -> Any:
    return json.loads(str(harness.run(event).result))


def test_an_execution_at_its_operations_fails_at_once_and_says_why(
    durable_harness: type[Harness], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "MAX_OPERATIONS", 10)
    assert result_of(durable_harness(counting, {}), {"steps": 9}) == 9
    harness = durable_harness(counting, {})
    result = harness.run({"steps": 10})
    assert result.status.value == "FAILED"
    assert result.error
    assert "the maximum of a durable execution is 10" in str(result.error.message)
    assert harness.invocations == 1, "what is refused is not tried again"


def test_a_step_answers_at_most_256_kib(durable_harness: type[Harness]) -> None:
    fits = 256 * KIB - len('""')
    assert result_of(durable_harness(answering, {}), {"size": fits}) == fits
    result = durable_harness(answering, {}).run({"size": fits + 1})
    assert result.status.value == "FAILED"
    assert result.error
    assert "STEP output payload size must be less than or equal to 262144 bytes" in str(
        result.error.message
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("ы" * (512 * KIB - 1), None),
        ("ы" * (512 * KIB), "CHAINED_INVOKE output payload size must be less than or equal to"),
        ("x" * 6_291_556, "Response payload size exceeded maximum allowed payload size"),
    ],
)
def test_a_stage_answers_at_most_1_mib_in_utf8(
    durable_harness: type[Harness], answer: str, words: str | None
) -> None:
    result = durable_harness(invoking, {"stage": lambda *_: answer}).run({})
    if words is None:
        assert json.loads(str(result.result)) == len(answer)
        return
    assert result.error
    assert words in str(result.error.message)


def test_a_stage_takes_at_most_1_mib(durable_harness: type[Harness]) -> None:
    stage = {"stage": lambda *_: ""}
    fits = quotas.MIB - len(json.dumps({"b": ""}))
    assert result_of(durable_harness(invoking, stage), {"b": "x" * fits}) == 0
    result = durable_harness(invoking, stage).run({"b": "x" * (fits + 1)})
    assert result.error
    assert "CHAINED_INVOKE input payload size must be less than or equal to 1048576" in str(
        result.error.message
    )
