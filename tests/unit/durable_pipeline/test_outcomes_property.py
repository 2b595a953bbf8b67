"""Whatever the stages answer and however all else fails: each record is settled exactly once.

The whole way of a batch is run, with the topic, the table and the queues failing at random; and
again delivery by delivery, until the queues are empty.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import event, given, settings
from hypothesis import strategies as st

from durable_pipeline import outcomes, requeue, stages
from durable_pipeline.calls import LARGEST_SHARE, Tally
from durable_pipeline.intake import read
from durable_pipeline.records import MAX_HANDED_OVER, Record
from durable_pipeline.stages import process
from pipeline_core.contract import Reason, failed, ok, rejected
from pipeline_core.objects import ObjectState
from pipeline_core.sizes import MAX_OPERATIONS, MAX_STATE_BYTES
from tests.events import s3_event, sqs_event, sqs_message, standard
from tests.unit.durable_pipeline.fake_context import START, FakeContext, LambdaError
from tests.unit.durable_pipeline.settings import SETTINGS, WITH_OWN_STAGE

STAGES = ("validate", "transform", "store")
OWN_STAGES = ("validate", "transform", "enrich", "store")
REASON: Reason = {"type": "T", "message": "m", "errors": ["m"]}

record_fates = st.fixed_dictionaries(
    {
        "receive_count": st.integers(1, 4),
        "stage": st.sampled_from(OWN_STAGES),
        "fate": st.sampled_from(
            ["fine"] * 6 + ["rejected", "failed", "poison", "unaccepted", "twice", "missing"]
        ),
        "object": st.booleans(),
        "stored before": st.booleans(),
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
outages = st.sets(st.sampled_from(["topic", "table", "internal", "dead letters", "visibility"]))


class Stages:
    """Stages that treat each record by its fate, and fail whole by a script of faults."""

    def __init__(self, fates: dict[str, dict[str, Any]], faults: list[str | None]) -> None:
        self.fates = fates
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
                return [rejected(key, REASON)]
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
            self.fates[key]["stored before"] = True  # whatever becomes of the answer
        return [ok(key)] if stage == "enrich" else [ok(key, "{}")]


@dataclass
class World:
    """SQS, SNS and DynamoDB, of which some are out of order; what they were told."""

    fates: dict[str, dict[str, Any]]
    out: set[str]
    letters: dict[str, dict[str, str]] = field(default_factory=dict)
    onwards: list[dict[str, Any]] = field(default_factory=list)
    delayed: list[str] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    requests: int = 0

    def send_message_batch(self, QueueUrl: str, Entries: list[Any]) -> Any:
        if QueueUrl != "dlq":
            return self._send_onwards(Entries)
        if "dead letters" in self.out:
            raise _unavailable()
        taken = []
        for entry in Entries:
            values = {k: v["StringValue"] for k, v in entry["MessageAttributes"].items()}
            key = values["original_message_id"]
            if self.fates[key]["fate"] != "unaccepted":
                self.letters[key] = values
                taken.append({"Id": entry["Id"]})
        return {"Successful": taken}

    def _send_onwards(self, entries: list[Any]) -> Any:
        self.requests += 1
        if "internal" in self.out:
            raise _unavailable()
        self.onwards += entries
        return {"Successful": entries}

    def change_message_visibility_batch(self, QueueUrl: str, Entries: list[Any]) -> Any:
        if "visibility" in self.out:
            raise _unavailable()
        self.delayed += [entry["ReceiptHandle"].removeprefix("receipt-") for entry in Entries]
        return {"Successful": Entries}

    def batch_get_item(self, RequestItems: Any) -> Any:
        """Answers for one key at a time, and leaves the rest unprocessed."""
        ((name, request),) = RequestItems.items()
        if "table" in self.out:
            raise _unavailable()
        first, *rest = [key["execution_id"]["S"] for key in request["Keys"]]
        items = [
            {"execution_id": {"S": first}, "message_id": {"S": key}}
            for key, fate in self.fates.items()
            if fate["stored before"] and first == fate["execution_id"]
        ]
        left = {name: {"Keys": [{"execution_id": {"S": key}} for key in rest]}} if rest else {}
        return {"Responses": {name: items}, "UnprocessedKeys": left}

    def publish_batch(self, TopicArn: str, PublishBatchRequestEntries: list[Any]) -> Any:
        if "topic" in self.out:
            raise _unavailable()
        self.told += [json.loads(entry["Message"]) for entry in PublishBatchRequestEntries]
        return {"Successful": PublishBatchRequestEntries}


def _unavailable() -> ClientError:
    return ClientError({"Error": {"Code": "ServiceUnavailable"}}, "Any")


chunkings = st.sampled_from([(100, False), (4, False), (4, True)])
"""How many records are in a chunk; also, whether there is an own stage."""


def run_chunked(
    chunking: tuple[int, bool],
    fates: list[dict[str, Any]],
    faults: list[str | None],
    out: set[str],
) -> Run:
    size, own_stage = chunking
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "MAX_CHUNK_RECORDS", size)
        if own_stage:
            have_own_stage(patch)
        return run(fates, faults, out)


def have_own_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "SETTINGS", WITH_OWN_STAGE)


def state(number: int) -> ObjectState:
    return {"bucket": "input", "key": f"input/{number}.json", "sequencer": "0A" + "0" * 30}


@dataclass
class Run:
    """One execution, and all that it came to."""

    batch: Any
    outcomes: Any
    back: list[str]
    summary: dict[str, int]
    stages: Stages
    world: World
    context: Any

    @property
    def records(self) -> dict[str, Record]:
        return {record.id: record for record in self.batch.all_records}


def execute(messages: list[dict[str, Any]], stages: Stages, world: World) -> Run:
    """All that the handler does with a batch, in its order."""
    context: Any = FakeContext({name: stages.stage(name) for name in OWN_STAGES})
    batch = read(sqs_event(*messages), SETTINGS)
    came = batch.unreadable | process(context, batch.records, SETTINGS, Tally())
    with pytest.MonkeyPatch.context() as patch:
        for module, client in (
            (outcomes, "sqs"),
            (requeue, "sqs"),
            (outcomes, "dynamodb"),
            (outcomes, "sns"),
        ):
            patch.setattr(module, client, lambda: world)
        for record in batch.all_records:
            world.fates[record.id]["execution_id"] = record.execution_id
        came |= outcomes.stored_before(context, batch, came, SETTINGS)
        came |= outcomes.announce(context, batch, came, SETTINGS)
        response = outcomes.settle(context, batch, came, SETTINGS)
    back = [failure["itemIdentifier"] for failure in response["batchItemFailures"]]
    return Run(batch, came, back, response["summary"], stages, world, context)


def run(fates: list[dict[str, Any]], faults: list[str | None], out: set[str]) -> Run:
    """One execution over a message per fate."""
    by_id = {f"m-{n}": dict(fate) for n, fate in enumerate(fates)}
    messages = [
        sqs_message(
            json.dumps(s3_event(state(n))) if fate["object"] else standard(),
            f"m-{n}",
            receive_count=fate["receive_count"],
            queue="objects" if fate["object"] else "queue",
        )
        for n, fate in enumerate(fates)
    ]
    return execute(messages, Stages(by_id, faults), World(by_id, out))


batches_of_fates = st.lists(record_fates, max_size=20)

# Most batches fit into one chunk under each chunking: each needs no hundred examples of its own.
of_each_chunking = settings(max_examples=150)


@of_each_chunking
@given(chunking=chunkings, fates=batches_of_fates, faults=call_faults, out=outages)
def test_each_record_is_settled_exactly_once(
    chunking: tuple[int, bool], fates: list[dict[str, Any]], faults: list[str | None], out: set[str]
) -> None:
    found = run_chunked(chunking, fates, faults, out)

    world, outcomes = found.world, found.outcomes
    onwards = len(world.onwards)
    done = {
        key
        for key, outcome in outcomes.items()
        if outcome["outcome"] == "stored" and key not in [*found.back, *world.letters]
    }
    event(f"dead: {bool(world.letters)}, back: {bool(found.back)}, onwards: {bool(onwards)}")
    assert outcomes.keys() == {f"m-{n}" for n in range(len(fates))}
    assert not set(world.letters) & set(found.back)
    assert len(done) + len(world.letters) + len(found.back) >= len(outcomes) - onwards
    assert sum(found.summary.values()) == len(outcomes)
    assert found.summary["dead_letters"] == len(world.letters)
    assert found.summary["back_to_queue"] == len(found.back)
    assert found.summary.get("handed_over", 0) == onwards
    assert set(world.delayed) <= set(found.back)


@of_each_chunking
@given(chunking=chunkings, fates=batches_of_fates, faults=call_faults, out=outages)
def test_what_is_stored_is_never_a_failure_to_anybody(
    chunking: tuple[int, bool], fates: list[dict[str, Any]], faults: list[str | None], out: set[str]
) -> None:
    """Neither to the topic nor in a letter, whichever delivery stored it."""
    found = run_chunked(chunking, fates, faults, out - {"table"})

    before = {key for key, fate in found.stages.fates.items() if fate["stored before"]}
    stored = before | set(found.stages.stored)
    told = {told["execution_id"]: told["event"] for told in found.world.told}
    for key, record in found.records.items():
        if key in stored:
            assert told.get(record.execution_id) in (None, "done", "rejected")
            letter = found.world.letters.get(key, {"error_type": "TopicUnavailable"})
            assert letter["error_type"] in ("TopicUnavailable", "T")


@of_each_chunking
@given(chunking=chunkings, fates=batches_of_fates, faults=call_faults, out=outages)
def test_no_object_is_acknowledged_of_which_nobody_was_told(
    chunking: tuple[int, bool], fates: list[dict[str, Any]], faults: list[str | None], out: set[str]
) -> None:
    found = run_chunked(chunking, fates, faults, out | {"topic"})

    for key, record in found.records.items():
        if record.state:
            acknowledged = key not in [*found.back, *found.world.letters]
            assert not acknowledged or found.world.onwards


@of_each_chunking
@given(chunking=chunkings, fates=batches_of_fates, out=outages)
def test_a_letter_has_the_reason_that_its_stage_gave(
    chunking: tuple[int, bool], fates: list[dict[str, Any]], out: set[str]
) -> None:
    found = run_chunked(chunking, fates, [], out)

    for key, letter in found.world.letters.items():
        reason = found.outcomes[key]["reason"]
        assert letter["error_type"] == (reason["type"] if reason else "TopicUnavailable")


@of_each_chunking
@given(chunking=chunkings, fates=batches_of_fates, faults=call_faults)
def test_a_rejected_record_and_one_given_up_never_come_back(
    chunking: tuple[int, bool], fates: list[dict[str, Any]], faults: list[str | None]
) -> None:
    found = run_chunked(chunking, fates, faults, set())

    for key, record in found.records.items():
        final = found.outcomes[key]["outcome"] == "rejected" or record.receive_count >= 3
        if final and found.stages.fates[key]["fate"] != "unaccepted":
            assert key not in found.back


@given(fates=st.lists(record_fates, min_size=1, max_size=60), faults=call_faults)
def test_what_goes_wrong_costs_a_bounded_number_of_operations(
    fates: list[dict[str, Any]], faults: list[str | None]
) -> None:
    found = run(fates, faults, set())

    parts = len(list(stages.chunked(found.batch.records)))
    most = stages.chunk_operations(SETTINGS) + LARGEST_SHARE
    assert len(found.context.operations) <= parts * most + 10
    assert len(found.context.operations) <= MAX_OPERATIONS


# Each chunk of a hundred costs as much as any other: the largest batch shows no more of a stage
# than ten chunks do, and is tried where an execution costs most.
BROKEN = [(stage, False) for stage in STAGES] + [("enrich", True), ("store", True)]


@pytest.mark.parametrize("receive_count", [1, 3])
@pytest.mark.parametrize(
    ("count", "stage", "own_stage"),
    [
        *((count, *broken) for count in (1, 10, 100, 1000) for broken in BROKEN),
        (10_000, "store", True),
    ],
)
def test_a_stage_that_is_broken_for_all_stays_below_the_quota_of_an_execution(
    count: int,
    stage: str,
    own_stage: bool,
    receive_count: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if own_stage:
        have_own_stage(monkeypatch)
    fate = FINE | {"stage": stage, "fate": "poison", "receive_count": receive_count}

    found = run([fate] * count, [], set())

    assert len(found.context.operations) <= MAX_OPERATIONS
    assert found.context.state_bytes <= MAX_STATE_BYTES
    ends = len(found.back) + len(found.world.letters) + len(found.world.onwards)
    assert ends == count
    # In the time that is set aside for settling there is none for a request each.
    assert found.world.requests <= count / 10 + 1
    assert {found.outcomes[key]["reason"]["type"] for key in found.outcomes} == {
        "Runtime.ExitError"
    }


FINE: dict[str, Any] = {
    "receive_count": 1,
    "stage": "store",
    "fate": "fine",
    "object": False,
    "stored before": False,
}


@given(st.integers(0, 30), st.booleans())
def test_a_healthy_batch_costs_its_chain_and_nothing_else(count: int, own_stage: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if own_stage:
            have_own_stage(patch)
        found = run([FINE] * count, [], set())

    stages_of_it = OWN_STAGES if own_stage else STAGES
    assert found.context.operations == (list(stages_of_it) if count else [])
    assert (found.back, found.world.letters, found.world.delayed) == ([], {}, [])


# --- Delivery by delivery -------------------------------------------------------------------------

mixtures = st.lists(
    st.fixed_dictionaries(
        {
            "stage": st.sampled_from(OWN_STAGES),
            "fate": st.sampled_from(["fine", "fine", "poison", "missing", "twice", "rejected"]),
        }
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=100)
@given(
    mixture=mixtures,
    batch_size=st.sampled_from([1, 7, 40]),
    scarce=st.booleans(),
    seed=st.integers(),
)
def test_no_healthy_record_becomes_a_dead_letter_while_its_stages_work(
    mixture: list[dict[str, str]], batch_size: int, scarce: bool, seed: int
) -> None:
    """However many of its neighbours bring a stage down, and however little there is to bisect."""
    chance = random.Random(seed)
    fates = {f"m-{n}": FINE | fate for n, fate in enumerate(mixture)}
    queue = [sqs_message(standard(), key) for key in fates]
    letters: dict[str, Any] = {}
    stored: set[str] = set()
    deliveries = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "MAX_ALONE", 2 if scarce else 100)
        patch.setattr("durable_pipeline.calls.LARGEST_SHARE", 3 if scarce else LARGEST_SHARE)
        while queue:
            deliveries += 1
            chance.shuffle(queue)
            batch, queue = queue[:batch_size], queue[batch_size:]
            found = execute(batch, Stages(fates, []), World(fates, set()))
            letters |= found.world.letters
            stored |= set(found.stages.stored)
            again = [message for message in batch if message["messageId"] in found.back]
            queue += [_received_again(message) for message in again]
            queue += [_sent_on(fates, entry) for entry in found.world.onwards]
            assert deliveries < 60 * len(mixture), "it must come to an end"

    healthy = {key for key, fate in fates.items() if fate["fate"] == "fine"}
    assert not healthy & letters.keys()
    # Each of the messages that there were is stored or a dead letter, by itself or as it went on.
    ends = {fates[key].get("origin", key) for key in stored | letters.keys()}
    assert ends == {f"m-{n}" for n in range(len(mixture))}


def _received_again(message: dict[str, Any]) -> dict[str, Any]:
    count = int(message["attributes"]["ApproximateReceiveCount"]) + 1
    return {
        **message,
        "attributes": {**message["attributes"], "ApproximateReceiveCount": str(count)},
    }


def _sent_on(fates: dict[str, dict[str, Any]], entry: dict[str, Any]) -> dict[str, Any]:
    """The message that a record goes on in, under its own id and with the fate that it had."""
    attributes = {
        name: {"stringValue": value["StringValue"], "dataType": "String"}
        for name, value in entry["MessageAttributes"].items()
    }
    (carried,) = [json.loads(value["stringValue"]) for value in attributes.values()]
    assert carried["handed_over"] <= MAX_HANDED_OVER
    origin = carried["execution_id"].removeprefix("dev-")
    key = f"{origin}+{carried['handed_over']}"
    fates[key] = fates[origin] | {"origin": origin}
    return sqs_message(entry["MessageBody"], key, attributes=attributes, queue="internal")
