"""The intake is paused and resumed by its event source mappings, and it is waited until it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipelinectl.aws import Connection
from pipelinectl.commands.context import Pipeline
from pipelinectl.doors import NAMES
from tests.integration.pipelinectl.conftest import Deployed, InOrder
from tests.unit.pipelinectl.stories import Story, Told

QUEUES = {"messages": "in", "objects": "objects", "internal": "internal", "files": "files"}
IN_ORDER = {"fifo": "in.fifo", "fifo-internal": "internal.fifo"}


class Mappings:
    """The mappings of the function, each of which takes `reads` to become what it is set to."""

    def __init__(self, reads: int = 2) -> None:
        queues = (*QUEUES.values(), *IN_ORDER.values(), "foreign")
        self.states = dict.fromkeys(queues, "Enabled")
        self.updates: list[tuple[str, bool]] = []
        self.refuses = False
        self.refused = 0
        self._reads = reads
        self._pending: dict[str, list[str]] = {}

    def will_be(self, queue: str, state: str, then: str) -> None:
        """Somebody else changes it: it is in `state` for some reads, and `then` after."""
        self.states[queue] = state
        self._pending[queue] = [state] * self._reads + [then]

    def get_paginator(self, name: str) -> Any:
        assert name == "list_event_source_mappings"
        return self

    def paginate(self, FunctionName: str) -> Iterator[Any]:
        assert FunctionName.endswith(":test-durable-pipeline:live")
        for queue, coming in self._pending.items():
            if coming:
                self.states[queue] = coming.pop(0)
        mappings = [
            {"UUID": queue, "EventSourceArn": f"arn:aws:sqs:x:1:{queue}", "State": state}
            for queue, state in self.states.items()
        ]
        yield {"EventSourceMappings": mappings[:2]}
        yield {"EventSourceMappings": mappings[2:]}

    def update_event_source_mapping(self, UUID: str, Enabled: bool) -> None:
        self.refused += self.states[UUID] not in ("Enabled", "Disabled")
        if self.refuses or self.states[UUID] not in ("Enabled", "Disabled"):
            self.refuses = False
            raise ClientError(
                {"Error": {"Code": "ResourceInUseException", "Message": "it is being changed"}},
                "UpdateEventSourceMapping",
            )
        self.updates.append((UUID, Enabled))
        end = "Enabled" if Enabled else "Disabled"
        self._pending[UUID] = ["Updating"] * self._reads + [end]


@pytest.fixture
def mappings(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> Mappings:
    found = Mappings()
    monkeypatch.setattr(Connection, "lambda_", found)
    monkeypatch.setattr(Pipeline, "executions", Told([]))
    monkeypatch.setattr("pipelinectl.doors._PAUSE_SECONDS", 0)
    monkeypatch.setattr("pipelinectl.commands.doors._POLL_SECONDS", 0)
    return found


def test_all_doors_are_paused_and_resumed_and_none_else(
    deployed: Deployed, mappings: Mappings
) -> None:
    paused = deployed.run("pause", "--json").json
    states = dict(mappings.states)
    resumed = deployed.run("resume", "--json").json

    assert paused == {"doors": dict.fromkeys(QUEUES, "Disabled"), "running": 0}
    assert {queue for queue, state in states.items() if state == "Disabled"} == {*QUEUES.values()}
    assert resumed == {"doors": dict.fromkeys(QUEUES, "Enabled")}


def test_the_fifo_door_is_among_them_where_the_stack_has_it(
    deployed: Deployed, in_order: InOrder, mappings: Mappings
) -> None:
    paused = deployed.run("pause", "--json").json

    assert paused == {"doors": dict.fromkeys(NAMES, "Disabled"), "running": 0}
    assert {*QUEUES, *IN_ORDER} == {*NAMES}


@pytest.mark.parametrize("door", NAMES)
def test_one_door_is_paused_alone(
    deployed: Deployed, in_order: InOrder, mappings: Mappings, door: str
) -> None:
    assert deployed.run("pause", "--door", door).stdout.startswith(f"paused {door}\n")

    assert mappings.updates == [((QUEUES | IN_ORDER)[door], False)]


@pytest.mark.parametrize("door", IN_ORDER)
def test_a_door_that_the_stack_does_not_have_is_named_with_the_remedy(
    deployed: Deployed, mappings: Mappings, door: str
) -> None:
    result = deployed.run("pause", "--door", door)

    assert result.exit_code == 3
    assert "no FIFO door: deploy it with the parameter FifoDoor=true" in result.stderr
    assert mappings.updates == []


def test_what_is_so_already_is_left_alone(deployed: Deployed, mappings: Mappings) -> None:
    deployed.run("pause", "--door", "files")
    deployed.run("pause")

    assert len(mappings.updates) == 4
    assert deployed.run("resume", "--json").json["doors"]["files"] == "Enabled"


@pytest.mark.parametrize("state", ["Creating", "Enabling", "Updating", "Disabling"])
@pytest.mark.parametrize("then", ["Enabled", "Disabled"])
@pytest.mark.parametrize(("verb", "wanted"), [("pause", "Disabled"), ("resume", "Enabled")])
def test_one_that_is_changing_is_let_change_first(
    deployed: Deployed, mappings: Mappings, verb: str, wanted: str, state: str, then: str
) -> None:
    mappings.will_be("files", state, then)

    done = deployed.run(verb, "--door", "files", "--json")

    assert done.json["doors"] == {"files": wanted}
    assert mappings.updates == [("files", wanted == "Enabled")] * (then != wanted)
    assert mappings.refused == 0


def test_one_that_somebody_else_changes_at_the_same_time_is_changed_after(
    deployed: Deployed, mappings: Mappings
) -> None:
    mappings.refuses = True

    assert deployed.run("pause", "--door", "files", "--json").json["doors"]["files"] == "Disabled"
    assert mappings.updates == [("files", False)]


def test_the_door_without_a_queue_is_told_of_and_is_none_to_pause(
    deployed: Deployed, mappings: Mappings
) -> None:
    assert "direct/ has no queue to pause" in deployed.run("pause").stderr
    assert deployed.run("pause", "--door", "direct").exit_code == 2


def test_a_mapping_that_stays_as_it_was_is_told_of(
    deployed: Deployed, mappings: Mappings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelinectl.doors.PATIENCE", 0.0)

    done = deployed.run("pause", "--door", "files")

    assert done.exit_code == 1
    assert "files is Updating: run it again" in done.stderr


def test_it_waits_until_no_execution_runs(
    deployed: Deployed, mappings: Mappings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = iter([2, 2, 1, 0])
    running = Told([])

    def newest(**options: Any) -> list[Any]:
        assert set(options["statuses"]) == {"RUNNING", "PAUSING", "PAUSED"}
        return [Story("a/1", [])] * next(asked)

    monkeypatch.setattr(Told, "newest", lambda _, **options: newest(**options))
    monkeypatch.setattr(Pipeline, "executions", running)

    done = deployed.run("pause", "--wait")

    assert done.exit_code == 0
    assert "waiting for 2 executions to end" in done.stderr
    assert "no execution is running" in done.stdout


def test_executions_that_do_not_end_in_time_are_told_of(
    deployed: Deployed, mappings: Mappings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pipeline, "executions", Told([Story("a/1", [])]))

    done = deployed.run("pause", "--wait", "--timeout", "0")

    assert done.exit_code == 1
    assert "1 execution had not ended after 0 seconds" in done.stderr


def test_a_queue_without_a_mapping_is_told_of(deployed: Deployed, mappings: Mappings) -> None:
    del mappings.states["files"]

    done = deployed.run("pause")

    assert done.exit_code == 3
    assert "queue 'files' has no event source mapping" in done.stderr
    assert mappings.updates == []
