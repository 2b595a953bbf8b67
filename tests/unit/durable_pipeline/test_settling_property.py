"""Whatever the stages answer and however they fail: each record is settled exactly once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from durable_pipeline import already_stored, chunks, settle
from durable_pipeline.chunks import process
from durable_pipeline.containment import MAX_BISECT_INVOKES
from durable_pipeline.reader import read
from durable_pipeline.records import Batch, Outcomes
from durable_pipeline.tally import Tally
from shared.contracts import failed, ok, rejected
from tests.events import sqs_event, sqs_message
from tests.unit.durable_pipeline.fake_context import START, FakeContext, LambdaError
from tests.unit.durable_pipeline.settings import SETTINGS

STAGES = ("validate", "transform", "store")
REASON = {"type": "T", "message": "m", "errors": ["m"]}

record_fates = st.fixed_dictionaries(
    {
        "receive_count": st.integers(1, 4),
        "stage": st.sampled_from(STAGES),
        "fate": st.sampled_from(
            ["fine"] * 6 + ["rejected", "failed", "poison", "unaccepted", "twice", "missing"]
        ),
    }
)
call_faults = st.lists(
    st.sampled_from(
        [None] * 5
        + ["Runtime.ExitError", "Sandbox.Timedout", "TooManyRequestsException", "KeyError"]
        + ["AccessDeniedException", "nonsense", "foreign"]
    ),
    max_size=40,
)


class Stages:
    """Three stages that treat each record by its fate, and fail whole by a script of faults."""

    def __init__(self, fates: list[dict[str, Any]], faults: list[str | None]) -> None:
        self.fates = {f"m-{n}": fate for n, fate in enumerate(fates)}
        self.faults: Iterator[str | None] = iter(faults)
        self.stored: list[str] = []

    def stage(self, name: str) -> Any:
        return lambda payload: self._answer(name, payload["records"])

    def _answer(self, stage: str, records: list[dict[str, Any]]) -> Any:
        fault = next(self.faults, None)
        if fault == "nonsense":
            return {"results": "?"}
        if fault and fault != "foreign":
            raise LambdaError(fault)
        results = [r for record in records for r in self._results(stage, record["id"])]
        if fault == "foreign":
            results.append(ok("someone-else", "{}"))
        return {"results": results, "completed_at": START.isoformat()}

    def _results(self, stage: str, key: str) -> list[Any]:
        fate = self.fates[key]["fate"] if self.fates[key]["stage"] == stage else "fine"
        match fate:
            case "rejected" | "unaccepted":
                return [rejected(key, REASON)]  # type: ignore[arg-type]  # a fake of what it uses
            case "failed":
                return [failed(key, "T", "m")]
            case "poison":
                raise LambdaError("Runtime.ExitError")
            case "missing":
                return []
            case "twice":
                return [ok(key, "{}"), ok(key, "{}")]
        if stage == "store":
            self.stored.append(key)
        return [ok(key, "{}")]


class FakeSqs:
    """Accepts dead letters, but for those of fate "unaccepted"; remembers all it was asked."""

    def __init__(self, stages: Stages) -> None:
        self.stages = stages
        self.letters: list[str] = []
        self.delayed: list[str] = []

    def send_message_batch(self, QueueUrl: str, Entries: list[Any]) -> Any:
        names = {e["Id"]: e["MessageAttributes"]["original_message_id"] for e in Entries}
        keys = {entry_id: name["StringValue"] for entry_id, name in names.items()}
        taken = {i: k for i, k in keys.items() if self.stages.fates[k]["fate"] != "unaccepted"}
        self.letters += taken.values()
        return {"Successful": [{"Id": entry_id} for entry_id in taken]}

    def change_message_visibility_batch(self, QueueUrl: str, Entries: list[Any]) -> Any:
        self.delayed += [entry["ReceiptHandle"].removeprefix("receipt-") for entry in Entries]
        return {"Successful": Entries}


class FakeDynamoDB:
    """Has the items that the store stage wrote."""

    def __init__(self, stages: Stages) -> None:
        self.stored = {f"dev-{key}": key for key in stages.stored}

    def batch_get_item(self, RequestItems: Any) -> Any:
        ((name, request),) = RequestItems.items()
        keys = [key["execution_id"]["S"] for key in request["Keys"]]
        items = [
            {"execution_id": {"S": key}, "message_id": {"S": self.stored[key]}}
            for key in keys
            if key in self.stored
        ]
        return {"Responses": {name: items}}


@pytest.fixture(params=[100, 4], ids=["one chunk", "many chunks"])
def chunk_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(chunks, "MAX_CHUNK_RECORDS", request.param)
    return int(request.param)


def run(fates: list[dict[str, Any]], faults: list[str | None]) -> tuple[Any, ...]:
    """One execution over a message per fate."""
    stages = Stages(fates, faults)
    sqs = FakeSqs(stages)
    context: Any = FakeContext({name: stages.stage(name) for name in STAGES})
    messages = [
        sqs_message("{}", f"m-{n}", receive_count=fate["receive_count"])
        for n, fate in enumerate(fates)
    ]
    batch = read(sqs_event(*messages), SETTINGS)
    outcomes = batch.unreadable | process(context, batch.records, SETTINGS, Tally())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settle, "sqs", lambda: sqs)
        patch.setattr(already_stored, "dynamodb", lambda: FakeDynamoDB(stages))
        outcomes |= already_stored.stored_before(context, batch, outcomes, SETTINGS)
        response = settle.settle(context, batch, outcomes, SETTINGS)
    return batch, outcomes, response, stages, sqs, context


@given(fates=st.lists(record_fates, max_size=20), faults=call_faults)
@pytest.mark.usefixtures("chunk_size")
def test_each_record_is_settled_exactly_once(
    fates: list[dict[str, Any]], faults: list[str | None]
) -> None:
    batch, outcomes, response, stages, sqs, _ = run(fates, faults)

    back = [failure["itemIdentifier"] for failure in response["batchItemFailures"]]
    acknowledged = {record.id for record in batch.all_records} - set(back)
    stored = {key for key, outcome in outcomes.items() if outcome["outcome"] == "stored"}
    event(f"stored: {bool(stored)}, dead: {bool(sqs.letters)}, back: {bool(back)}")
    assert outcomes.keys() == {f"m-{n}" for n in range(len(fates))}
    assert sorted([*stored, *sqs.letters, *back]) == sorted(outcomes)
    assert acknowledged == stored | set(sqs.letters)
    assert stored <= set(stages.stored)
    assert not set(sqs.letters) & set(stages.stored)
    assert set(sqs.delayed) <= set(back)


@given(fates=st.lists(record_fates, max_size=20), faults=call_faults)
@pytest.mark.usefixtures("chunk_size")
def test_a_rejected_record_and_one_on_its_last_delivery_never_come_back(
    fates: list[dict[str, Any]], faults: list[str | None]
) -> None:
    batch, outcomes, response, stages, _, _ = run(fates, faults)

    back = {failure["itemIdentifier"] for failure in response["batchItemFailures"]}
    for record in batch.all_records:
        final = outcomes[record.id]["outcome"] == "rejected" or record.receive_count >= 3
        if final and stages.fates[record.id]["fate"] != "unaccepted":
            assert record.id not in back


@given(fates=st.lists(record_fates, min_size=1, max_size=60), faults=call_faults)
def test_what_goes_wrong_costs_a_bounded_number_of_invokes(
    fates: list[dict[str, Any]], faults: list[str | None]
) -> None:
    context = run(fates, faults)[-1]

    for stage in STAGES:
        attempts = 4  # of each invoke, while Lambda throttles
        assert context.invokes.count(stage) <= attempts * (1 + MAX_BISECT_INVOKES)


@given(st.lists(st.just({"receive_count": 1, "stage": "store", "fate": "fine"}), max_size=30))
def test_a_healthy_batch_costs_its_chain_and_nothing_else(fates: list[dict[str, Any]]) -> None:
    _, _, response, _, sqs, context = run(fates, [])

    assert context.operations == (list(STAGES) if fates else [])
    assert response["batchItemFailures"] == []
    assert (sqs.letters, sqs.delayed) == ([], [])


bodies = st.text() | st.from_type(type(None)).map(json.dumps) | st.binary().map(repr)


@given(st.lists(st.tuples(st.text(min_size=1), bodies), unique_by=lambda pair: pair[0]))
def test_every_message_is_read_once(messages: list[tuple[str, str]]) -> None:
    batch: Batch = read(sqs_event(*(sqs_message(body, key) for key, body in messages)), SETTINGS)

    keys: list[str] = [record.id for record in batch.records]
    unreadable: Outcomes = batch.unreadable
    assert [*keys, *unreadable] == [key for key, _ in messages]
