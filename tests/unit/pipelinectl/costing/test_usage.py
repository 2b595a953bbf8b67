from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline_core.objects import ObjectState
from pipelinectl.costing.usage import Calls, Usage, usage_of
from tests.events import s3_event, sqs_event_of, standard
from tests.unit.pipelinectl.costing.samples import (
    DURABLE,
    event,
    invocation,
    started,
    started_with,
    used,
)
from tests.unit.pipelinectl.histories import recorded_events

BOOM = {"Payload": {"ErrorType": "Boom", "ErrorMessage": "boom"}}


def usage(*events: dict[str, Any]) -> Usage:
    found = usage_of([started_with(standard()), *events], DURABLE)
    assert found is not None
    return found


def recorded_usage(name: str) -> Usage:
    """A recorded history, as if it had begun with a batch of two messages."""
    _, *rest = recorded_events(name)
    payload = json.dumps(sqs_event_of([standard(), standard()]))
    first = recorded_events(name)[0] | {"ExecutionStartedDetails": {"Input": {"Payload": payload}}}
    found = usage_of([first, *rest], DURABLE)
    assert found is not None
    return found


def test_every_kind_of_operation_is_counted_as_it_is_metered() -> None:
    assert recorded_usage("repeated.json").operations == {
        "execution": 1,
        "chained invoke": 7,
        "wait": 1,
        "context": 2,
        "step attempt": 3,
    }


def test_a_failed_execution_costs_what_it_came_to() -> None:
    found = recorded_usage("failed.json")

    assert found.operations == {"execution": 1, "chained invoke": 2}
    assert found.calls["pipe-worse"].count == 1
    assert found.calls[DURABLE].count == 3


def test_a_failed_invoke_and_its_repetition_are_two_operations() -> None:
    transform = recorded_usage("repeated.json").calls["pipe-transform"]

    assert transform.count == 2


def test_a_step_is_counted_when_an_attempt_has_ended() -> None:
    running = [event("StepStarted", 1, "s")]
    again = [*running, event("StepFailed", 2, "s", Error=BOOM), event("StepStarted", 3, "s")]

    assert usage(*running).operations["step attempt"] == 0
    assert usage(*again).operations["step attempt"] == 1


def test_an_invocation_that_lambda_repeats_is_an_operation() -> None:
    found = usage(invocation(0, 1, Error=BOOM), invocation(2, 3), invocation(4, 5))

    assert found.operations["repeated invocation"] == 1


def test_a_last_invocation_that_failed_is_not_repeated_yet() -> None:
    found = usage(invocation(0, 1), invocation(2, 3, Error=BOOM))

    assert "repeated invocation" not in found.operations


def test_an_event_type_not_known_yet_costs_nothing() -> None:
    assert usage(event("ExecutionPaused", 1)).operation_count == 1


def test_inputs_results_and_errors_are_written_in_bytes_not_characters() -> None:
    start = started_with(standard())
    found = usage(
        event("ChainedInvokeStarted", 1, "a", FunctionName="f", Input={"Payload": "é"}),
        event("ChainedInvokeSucceeded", 2, "a", Result={"Payload": "123"}),
        event("StepFailed", 3, "b", Error=BOOM),
    )

    own = len(start["ExecutionStartedDetails"]["Input"]["Payload"])
    assert found.bytes_written == own + 2 + 3 + len(json.dumps(BOOM["Payload"]))
    assert not found.truncated


def test_a_truncated_payload_is_said() -> None:
    cut = event("StepSucceeded", 1, "b", Result={"Payload": "x", "Truncated": True})

    assert usage(cut).truncated


def test_data_is_kept_for_as_long_as_the_execution_runs() -> None:
    found = usage(event("ExecutionSucceeded", 10, "e", Result={"Payload": "{}"}))

    assert found.byte_seconds == found.bytes_written * 10


def test_a_stage_takes_from_its_invoke_to_its_answer_whatever_that_is() -> None:
    arn = "arn:aws:lambda:us-east-1:123456789012:function:pipe-store:live"
    found = usage(
        event("ChainedInvokeStarted", 1, "a", FunctionName=arn),
        event("ChainedInvokeFailed", 1.5, "a", Error=BOOM),
        event("ChainedInvokeStarted", 2, "b", FunctionName=arn),
        event("ChainedInvokeTimedOut", 4, "b", Error=BOOM),
        event("ChainedInvokeStarted", 5, "c", FunctionName=arn),
    )

    assert found.calls["pipe-store"] == Calls(3, 2.5, untimed=1)


def test_the_durable_functions_invocations_take_what_the_history_says() -> None:
    assert usage(invocation(0, 0.25), invocation(3, 3.5)).calls[DURABLE] == Calls(2, 0.75)


def test_items_are_written_in_units_of_a_kilobyte() -> None:
    records = [{"id": str(n), "transformed": "x" * size} for n, size in enumerate((10, 1100))]
    store = event(
        "ChainedInvokeStarted",
        1,
        "a",
        FunctionName="pipe-store",
        Input={"Payload": json.dumps({"records": records})},
    )

    assert usage(store).write_units == 1 + 2


STATE: ObjectState = {
    "bucket": "b",
    "key": "direct/people.csv",
    "version_id": "1",
    "sequencer": "0A",
    "etag": "e",
    "size": 1,
}


def test_rows_of_a_file_are_its_records() -> None:
    part = {"outcome": "ok", "part": {"rows": 250, "results": 240, "rejects": 10}}
    found = usage_of(
        [
            started(s3_event(STATE)),
            event("ChainedInvokeStarted", 1, "a", FunctionName="pipe-csv-file"),
            event("ChainedInvokeSucceeded", 2, "a", Result={"Payload": json.dumps(part)}),
        ],
        DURABLE,
    )

    assert found is not None
    assert (found.records, found.rows, found.record_ids) == (250, 250, frozenset())


@pytest.mark.parametrize("payload", [{"no": "records"}, {"Records": [1]}, "text", []])
def test_what_is_no_event_is_no_usage(payload: object) -> None:
    assert usage_of([started(payload)], DURABLE) is None


def test_a_history_without_its_start_is_no_usage() -> None:
    assert usage_of([], DURABLE) is None


def test_usage_adds_up_and_a_record_delivered_twice_is_one_record() -> None:
    together = used(10) + used(10, first=5)

    assert together.records == 15
    assert together.deliveries == 20
    assert together.executions == 2
    assert together.operation_count == 8
    assert together.calls[DURABLE] == Calls(8, 1.6)
    assert together.invocations == 14


def test_nothing_added_changes_nothing() -> None:
    assert Usage() + used() == used()
