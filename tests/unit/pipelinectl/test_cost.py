"""What is counted of an execution, what it is charged as, and what a month comes to."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud import quotas
from pipeline_core import sizes
from pipeline_core.objects import ObjectState
from pipeline_core.sizes import MAX_CHUNK_RECORDS
from pipelinectl import cost
from pipelinectl.cost import (
    BATCHES,
    CHECKPOINTS,
    CONCURRENCY,
    IN_FLIGHT,
    MILLION,
    MONTH,
    PRICES,
    STARTS,
    WRITES,
    Calls,
    Size,
    Usage,
    bill,
    chain_a_record,
    execution_warnings,
    forecast,
    gb_seconds,
    month_of,
    needs,
    operations_of,
    taken_in,
    usage_of,
)
from pipelinectl.timeline import build_timeline
from tests.events import s3_event, sns_envelope, sqs_event, sqs_event_of, sqs_message, standard
from tests.unit.pipelinectl.cost_samples import (
    DURABLE,
    PLACE,
    SIZES,
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
    assert usage(event("ExecutionPaused", 1)).operations.total() == 1


def test_inputs_results_and_errors_are_written_in_bytes_not_characters() -> None:
    start = started_with(standard())
    found = usage(
        event("ChainedInvokeStarted", 1, "a", FunctionName="f", Input={"Payload": "é"}),
        event("ChainedInvokeSucceeded", 2, "a", Result={"Payload": "123"}),
        event("StepFailed", 3, "b", Error=BOOM),
    )

    own = len(start["ExecutionStartedDetails"]["Input"]["Payload"])
    assert found.bytes_written == own + 2 + 3 + len(json.dumps(BOOM["Payload"]))
    assert not found.cut


def test_a_truncated_payload_is_said() -> None:
    cut = event("StepSucceeded", 1, "b", Result={"Payload": "x", "Truncated": True})

    assert usage(cut).cut


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
    enrich = {"Payload": json.dumps({"records": records})}  # an own stage, which writes none
    store = {"Payload": json.dumps({"records": [{"message_id": "m", **r} for r in records]})}

    invokes = [
        event("ChainedInvokeStarted", 1, name, FunctionName=f"pipe-{name}", Input=payload)
        for name, payload in (("enrich", enrich), ("store", store))
    ]

    assert usage(*invokes).write_units == 1 + 2


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
    assert (found.records, found.rows, found.documents) == (250, 250, {})


def test_invokes_of_an_own_stage_that_the_file_function_makes_are_counted() -> None:
    took = {"function_arn": "arn:aws:lambda:r:1:function:mine:live", "invokes": 3, "seconds": 1.5}
    answer = {"outcome": "ok", "part": {"rows": 250}, "own_stage": took}
    ranges = [
        event("ChainedInvokeSucceeded", 2, id_, Result={"Payload": json.dumps(answer)})
        for id_ in ("a", "b")
    ]

    found = usage_of([started(s3_event(STATE)), *ranges], DURABLE)

    assert found is not None
    assert found.calls["mine"] == Calls(6, 3.0)


def test_what_rows_take_that_become_items_is_counted_beside_the_files_own_item() -> None:
    arn = "arn:aws:lambda:r:1:function:pipe-store"
    took = {"function_arn": arn, "invokes": 3, "seconds": 1.5, "write_units": 500}
    answer = {"outcome": "ok", "part": {"rows": 250}, "store": took}

    found = usage_of(
        [
            started(s3_event(STATE)),
            event("ChainedInvokeSucceeded", 2, "a", Result={"Payload": json.dumps(answer)}),
            event("ChainedInvokeStarted", 3, "b", FunctionName="pipe-store"),
            event("ChainedInvokeSucceeded", 4, "b", Result={"Payload": "{}"}),
        ],
        DURABLE,
    )

    assert found is not None
    assert found.calls["pipe-store"] == Calls(4, 2.5)
    assert found.write_units == 500


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
    assert together.operations.total() == 8
    assert together.calls[DURABLE] == Calls(8, 1.6)
    assert together.invocations == 14


def test_nothing_added_changes_nothing() -> None:
    assert Usage() + used() == used()


def state(key: str) -> ObjectState:
    return {
        "bucket": "b",
        "key": key,
        "version_id": "1",
        "sequencer": "0A",
        "etag": "e",
        "size": 1,
    }


def taken(*bodies: str) -> Usage:
    found = taken_in(json.dumps(sqs_event_of(bodies)))
    assert found is not None
    return found


def test_each_message_is_a_record() -> None:
    found = taken(standard(), "not JSON at all")

    assert found.documents.keys() == {"m-0", "m-1"}
    assert found.travelling_bytes == len(standard()) + len("not JSON at all")


@pytest.mark.parametrize("wrap", [lambda text: text, sns_envelope])
def test_a_document_in_s3_is_a_record_and_a_file_is_none(wrap: object) -> None:
    assert callable(wrap)
    document, file = (
        wrap(json.dumps(s3_event(state(key)))) for key in ("input/one.json", "input/MANY rows.CSV")
    )

    assert taken(document).documents.keys() == {"m-0"}
    assert taken(file).documents == {}


def test_a_message_that_tells_of_several_objects_is_no_record_they_come_back_one_by_one() -> None:
    event = s3_event(state("input/one.json"))
    event["Records"] *= 2

    assert taken(json.dumps(event)).documents == {}


def test_objects_that_s3_tells_of_itself_need_no_queue() -> None:
    found = taken_in(json.dumps(s3_event(state("direct/one.json"))))

    assert found is not None
    assert len(found.documents) == 1
    assert found.queue_requests == 0


@pytest.mark.parametrize(
    ("bodies", "requests"),
    [
        (["x"], 1 + 1 + 1),
        (["x"] * 10, 10 + 1 + 1),
        (["x"] * 11, 11 + 2 + 2),
        (["x" * 65_536], 1 + 1 + 1),
        (["x" * 65_537], 2 + 2 + 1),
    ],
)
def test_messages_are_sent_alone_and_received_and_deleted_by_tens(
    bodies: list[str], requests: int
) -> None:
    assert taken(*bodies).queue_requests == requests


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "[]",
        '{"Records": []}',
        '{"Records": [{"eventSource": "aws:sns"}]}',
        '{"Records": [{"eventSource": "aws:sqs", "body": "x"}]}',
    ],
)
def test_what_is_no_event_has_no_intake(payload: str) -> None:
    assert taken_in(payload) is None


def test_what_lies_in_s3_counts_in_a_chunk_for_what_of_it_travels() -> None:
    event = json.dumps(s3_event(state("messages/one.json")))

    assert taken(event, event).travelling_bytes == 2 * sizes.POINTED_BYTES


def dollars(used: Usage) -> float:
    return float(bill(used, PLACE)["dollars"])


def quantities(bill: dict[str, Any]) -> dict[str, float]:
    return {line["name"]: line["quantity"] for line in bill["charges"]}


def test_the_bill_is_that_of_the_example_on_the_price_page() -> None:
    """A million claims: 4 operations and 104 KB each, 7 days of waiting, kept for 14 days more.

    https://aws.amazon.com/lambda/pricing/ without its free tier.
    """
    written = 104 * 10**9
    example = Usage(
        operations=Counter({"step attempt": 4_000_000}),
        bytes_written=written,
        byte_seconds=written * 7 * 86_400,
        calls={DURABLE: Calls(2_000_000, 32_000_000.0)},
    )
    kept = replace(PLACE, retention_days=14, sizes={DURABLE: Size(1024, "arm64")})

    found = bill(example, kept)

    assert {line["name"]: round(line["dollars"], 2) for line in found["charges"]} == {
        "durable operations": 32.00,
        "data written": 26.00,
        "data retained": 10.92,
        "Lambda requests": 0.40,
        "Lambda compute, arm64": 426.67,
    }
    assert found["dollars"] == pytest.approx(495.99, abs=0.01)


def test_what_is_used_is_charged_by_memory_and_kept_for_its_retention() -> None:
    usage = used(10)

    found = quantities(bill(usage, replace(PLACE, retention_days=30)))

    assert found["Lambda requests"] == 7
    assert found["Lambda compute, arm64"] == pytest.approx(0.8 / 2 + 3 * 0.2 / 4)
    running = usage.byte_seconds / 1e9 / 86_400 / 30
    assert found["data retained"] == pytest.approx(usage.bytes_written / 1e9 + running)


def test_architectures_are_charged_apart_by_their_prices() -> None:
    mixed = SIZES | {DURABLE: Size(1024, "x86_64")}

    lines = bill(used(10), replace(PLACE, sizes=mixed))["charges"]

    compute = {line["name"]: line for line in lines if line["unit"] == "GB-second"}
    assert list(compute) == ["Lambda compute, arm64", "Lambda compute, x86_64"]
    assert compute["Lambda compute, x86_64"]["quantity"] == pytest.approx(0.8)
    assert PRICES["per_gb_second_arm64"] < PRICES["per_gb_second_x86_64"]


def test_lines_of_nothing_are_left_out_and_what_is_estimated_says_so() -> None:
    one = Usage(operations=Counter({"wait": 1}))

    assert [line["name"] for line in bill(one, PLACE)["charges"]] == ["durable operations"]
    estimated = {line["name"] for line in bill(used(), PLACE)["charges"] if line["estimated"]}
    assert estimated == {
        "data retained",
        "Lambda compute, arm64",
        "SQS requests",
        "DynamoDB write units",
    }


def test_the_sum_is_that_of_the_lines() -> None:
    million = Usage(operations=Counter({"wait": MILLION}), queue_requests=MILLION)

    assert dollars(million) == pytest.approx(8.40)


def test_a_chain_a_record_takes_31_operations_and_31_invocations_of_its_own_for_ten() -> None:
    chains = chain_a_record(used(10), DURABLE)

    assert chains.operations.total() == 31
    assert chains.invocations == 31 + 30
    assert gb_seconds(chains, SIZES)["arm64"] == pytest.approx(31 * 0.2 / 2 + 3 * 0.2 / 4)
    assert chains.bytes_written == used(10).bytes_written
    assert chains.records == 10
    assert dollars(used(10)) < dollars(chains)


def test_a_record_that_was_delivered_twice_takes_two_chains() -> None:
    chains = chain_a_record(used(10) + used(10), DURABLE)

    assert chains.operations.total() == 62
    assert chains.records == 10


def month(records: int, batch_size: int, usage: Usage | None = None) -> dict[str, Any]:
    return forecast(records, batch_size, usage or used(10), PLACE)


@pytest.mark.parametrize(
    ("records", "operations"),
    [(1, 4), (100, 4), (101, 8), (1_000, 32), (1_100, 36), (10_000, 392)],
)
def test_operations_of_a_healthy_batch(records: int, operations: int) -> None:
    assert operations_of(math.ceil(records / MAX_CHUNK_RECORDS)).total() == operations


def test_an_own_stage_is_one_operation_more_a_chunk_and_no_other() -> None:
    found = forecast(1_100, 1_100, used(10), replace(PLACE, stages=4))

    assert found["operations_per_execution"] == 36 + 11
    assert chain_a_record(used(10), DURABLE, 4).operations.total() == 41


def test_the_rest_of_the_records_is_a_batch_of_its_own() -> None:
    found = month(1_001, 100)

    assert found["executions"] == 11
    assert found["operations"] == 44
    assert found["operations_per_execution"] == 4


def test_what_was_measured_comes_out_again_for_its_own_volume() -> None:
    usage = used(10)

    found = month(10, 10, usage)

    assert found["operations"] == usage.operations.total()
    assert quantities(found) == pytest.approx(quantities(bill(usage, PLACE)))


def test_a_stage_takes_longer_for_more_records_and_never_less_than_measured() -> None:
    sizes = (1, 10, 100)
    one, ten, hundred = (quantities(month(100, n))["Lambda compute, arm64"] for n in sizes)

    assert ten == pytest.approx(10 * (0.8 / 2 + 3 * 0.2 / 4))
    assert one == pytest.approx(100 * (0.8 / 2 + 3 * 0.2 / 4))
    assert hundred == pytest.approx(0.8 / 2 + 10 * 3 * 0.2 / 4)


def test_large_bodies_make_small_chunks() -> None:
    found = month(100, 100, used(10, body_bytes=30_000))

    assert found["operations_per_execution"] == 1 + 3 * 10 + 1


def needed(rate: int, batch_size: int) -> dict[str, float]:
    found = month_of(rate * MONTH, batch_size, used(batch_size), PLACE)
    return {need.quota.name: need.needed for need in needs(found)}


def test_what_is_needed_of_the_quotas_follows_from_rate_batch_and_times() -> None:
    # An execution of ten takes 2 s; its invocations 0.8 s in all, and each stage's one 0.2 s.
    found = needed(1_000, 10)

    assert found[STARTS.name] == pytest.approx(100)
    assert found[CHECKPOINTS.name] == pytest.approx(400)
    assert found[CONCURRENCY.name] == pytest.approx(100 * (0.8 + 3 * 0.2))
    assert found[BATCHES.name] == pytest.approx(100 * 2)
    assert found[IN_FLIGHT.name] == pytest.approx(1_000 * 2)
    assert found[WRITES.name] == pytest.approx(1_000)


def test_an_environment_takes_ten_requests_a_second_however_short_they_are() -> None:
    short = replace(used(10), calls={DURABLE: Calls(4, 0.004)})
    found = {n.quota: n.needed for n in needs(month_of(1_000 * MONTH, 10, short, PLACE))}

    assert found[CONCURRENCY] == pytest.approx(100 * 4 / 10)


def test_the_scarcest_quota_comes_first_and_a_forecast_says_so() -> None:
    quotas = month(10_000 * MONTH, 10)["quotas"]
    shares = [quota["needed"] / quota["value"] for quota in quotas]

    assert shares == sorted(shares, reverse=True)
    assert quotas[0]["name"] == STARTS.name
    assert shares[0] == pytest.approx(1_000 / 300)


@given(
    records=st.integers(1, 10**9),
    more=st.integers(0, 10**6),
    batch_size=st.integers(1, 10_000),
    body_bytes=st.integers(1, 1_000_000),
)
def test_more_records_never_cost_less(
    records: int, more: int, batch_size: int, body_bytes: int
) -> None:
    usage = used(10, body_bytes=body_bytes)
    fewer, most = (month(count, batch_size, usage) for count in (records, records + more))

    assert fewer["operations"] <= most["operations"]
    assert fewer["executions"] <= most["executions"]
    cheaper, dearer = fewer["dollars"], most["dollars"]
    assert cheaper <= dearer or math.isclose(cheaper, dearer)


@given(records=st.integers(1, 10**7), batch_size=st.integers(1, 10_000))
def test_a_batch_never_costs_more_operations_than_a_chain_a_record(
    records: int, batch_size: int
) -> None:
    found = month(records, batch_size)

    assert found["operations"] <= found["executions"] + 3 * records + 1


def warnings(records: int, batch_size: int, usage: Usage | None = None) -> str:
    return "\n".join(month(records, batch_size, usage)["warnings"])


def test_nothing_is_warned_of_at_a_small_volume() -> None:
    assert warnings(1_000_000, 10) == ""


@given(batch_size=st.integers(1, 10_000), body_bytes=st.integers(1, 400 * 1024))
def test_no_healthy_batch_comes_near_the_quota_of_operations(
    batch_size: int, body_bytes: int
) -> None:
    found = month(10**6, batch_size, used(10, body_bytes=body_bytes))

    assert found["operations_per_execution"] <= 392


def test_state_near_the_quota_of_an_execution_is_warned_of() -> None:
    heavy = replace(used(10), bytes_written=10 * 50_000)

    assert "state of an execution" in warnings(10_000, 2_000, heavy)
    assert "is above the quota of 100,000,000 bytes" in warnings(10_000, 5_000, heavy)


def test_starts_a_second_are_warned_of() -> None:
    a_month = 30 * 24 * 3600

    assert warnings(10 * 200 * a_month, 10) == ""
    assert "durable executions started a second: 250 is near" in warnings(10 * 250 * a_month, 10)
    assert "400 is above the quota of 300" in warnings(10 * 400 * a_month, 10)


def test_checkpoints_a_second_are_warned_of() -> None:
    assert "checkpoints a second" in warnings(10 * 3_000 * 30 * 24 * 3600, 10)


def test_a_batch_that_does_not_fit_into_an_event_is_made_smaller_and_said() -> None:
    found = month(10_000, 10_000, used(10, body_bytes=10_000))

    assert found["batch_size"] == 6 * 1024 * 1024 // 10_500
    assert f"{found['batch_size']:,} do" in found["warnings"][-1]


@pytest.mark.parametrize(
    ("operations", "said"),
    [
        (2_400, None),
        (2_401, "operations of an execution: 2,401 is near the quota of 3,000"),
        (3_000, "operations of an execution: 3,000 is near the quota of 3,000"),
        (3_001, "operations of an execution: 3,001 is above the quota of 3,000"),
    ],
)
def test_four_fifths_of_a_quota_are_near(operations: int, said: str | None) -> None:
    assert execution_warnings(operations, 0) == ((said,) if said else ())


def test_bytes_are_said_to_be_bytes() -> None:
    (warning,) = execution_warnings(0, 90e6)

    assert warning.endswith("90,000,000 bytes is near the quota of 100,000,000 bytes")


def test_the_quotas_are_those_that_the_local_cloud_holds_to() -> None:
    assert sizes.MAX_OPERATIONS == quotas.MAX_OPERATIONS
    assert sizes.MAX_STATE_BYTES == quotas.MAX_STORED_BYTES
    assert quotas.MAX_INPUT_BYTES["RequestResponse"] == cost.MAX_EVENT_BYTES


@pytest.mark.parametrize("name", ["repeated.json", "failed.json"])
def test_an_operation_is_the_same_here_and_in_the_timeline(name: str) -> None:
    events = [started_with(standard()), *recorded_events(name)[1:]]
    usage = usage_of(events, DURABLE)

    assert usage is not None
    assert usage.operations == build_timeline(events).metered


def test_requests_of_fair_queues_are_those_of_messages_in_groups() -> None:
    messages = [sqs_message("x", f"m-{n}", group="a" if n < 4 else "") for n in range(10)]
    found = taken_in(json.dumps(sqs_event(*messages)))

    assert found is not None
    assert found.queue_requests == 10 + 1 + 1
    assert found.fair_requests == 4 + 1 + 1
    assert taken("x").fair_requests == 0


def test_a_fair_queue_costs_a_line_of_its_own_and_nothing_where_there_is_none() -> None:
    assert dollars(Usage(queue_requests=MILLION)) == pytest.approx(0.40)
    fair = Usage(queue_requests=MILLION, fair_requests=MILLION)
    assert dollars(fair) == pytest.approx(0.50)
    assert quantities(bill(fair, PLACE)).keys() == {"SQS requests", "of fair queues"}
