"""What a history costs, where its time went, and when its messages were stored."""

from __future__ import annotations

import pytest

from benchmarks.histories import DURABLE, SUSPENDING, phases_of, run_of
from tests.unit.benchmarks.histories import (
    START,
    answered,
    at,
    ended,
    failed,
    invocation,
    invoked,
    records,
    started,
)

CHAIN = [
    started(["a", "b"]),
    invoked("validate", 1, records("a", "b")),
    answered("validate", 3),
    invocation(4),
    invoked("store", 6, records("a", "b")),
    invocation(7),
    answered("store", 9),
    invocation(10),
    ended(11),
]


def test_the_execution_itself_counts_as_an_operation() -> None:
    run = run_of(CHAIN)
    assert (run.operations, run.stage_invocations, run.durable_invocations) == (3, 2, 3)


def test_the_durable_functions_own_seconds_are_those_of_its_invocations() -> None:
    invoked_for = {"StartTimestamp": at(1), "EndTimestamp": at(3)}
    timed = [{**invocation(4), "InvocationCompletedDetails": invoked_for}, invocation(10)]

    assert run_of([started(["a"]), *timed, ended(11)]).durable_seconds == 2


def test_messages_are_stored_when_their_store_invoke_has_succeeded() -> None:
    assert run_of(CHAIN).stored == dict.fromkeys(["a", "b"], START.timestamp() + 9)


def test_a_message_whose_store_invoke_failed_is_not_stored() -> None:
    events = [started(["a"]), invoked("store", 1, records("a")), failed("store", 2), ended(3)]
    assert run_of(events).stored == {}


def test_the_reference_stores_one_record_in_each_of_its_invokes() -> None:
    events = [
        started(["a", "b"]),
        invoked("store", 1, {"message_id": "a"}, "1"),
        answered("store", 2, "1"),
        invoked("store", 3, {"message_id": "b"}, "2"),
        answered("store", 4, "2"),
        ended(5),
    ]
    begun = START.timestamp()
    assert run_of(events).stored == {"a": begun + 2, "b": begun + 4}


def test_a_store_invoke_of_one_of_several_chunks_counts() -> None:
    events = [
        started(["a"]),
        invoked("chunk-2 store", 1, records("a")),
        answered("chunk-2 store", 2),
        ended(3),
    ]
    assert list(run_of(events).stored) == ["a"]


def test_all_inputs_and_results_are_checkpointed_bytes() -> None:
    payloads = ['{"Records": []}', '{"records": []}', "{}", "{}"]
    events = [started([]), invoked("store", 1, records()), answered("store", 2), ended(3)]
    assert run_of(events).bytes == sum(map(len, payloads))


def test_each_second_belongs_to_what_the_execution_waits_for() -> None:
    assert phases_of(CHAIN) == {
        DURABLE: 1 + 2 + 1 + 1,
        "validate": 2,
        SUSPENDING: 1,
        "store": 3,
    }


def test_the_seconds_of_all_phases_are_those_of_the_execution() -> None:
    run = run_of(CHAIN)
    assert sum(run.phases.values()) == pytest.approx(run.ended_at - run.started_at)
