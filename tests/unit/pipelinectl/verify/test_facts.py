from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from localcloud.cloudformation_yaml import load
from pipelinectl.verify.facts import PROBE_OUTPUT, TIMEOUT_SECONDS, WAITED_SECONDS, repeats
from tests.documents import ROOT

PROBE = load(ROOT / "examples" / "probe" / "template.yaml")
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def event(kind: str, seconds: float, **more: Any) -> dict[str, Any]:
    return {"EventType": kind, "EventTimestamp": BEGAN + timedelta(seconds=seconds), **more}


def completed(seconds: float) -> dict[str, Any]:
    details = {"StartTimestamp": BEGAN + timedelta(seconds=seconds)}
    return event("InvocationCompleted", seconds, InvocationCompletedDetails=details)


def test_repetitions_are_counted_with_the_pauses_between() -> None:
    history = [event("ExecutionStarted", 0), completed(0), completed(2), completed(6.5)]
    history.append(event("ExecutionFailed", 7))

    found = repeats({"Status": "FAILED", "Error": {"ErrorType": "X"}}, history, [])

    assert found == {
        "invocations_in_history": 3,
        "invocations_in_log": 0,
        "seconds_between": [2.0, 4.5],
        "status": "FAILED",
        "error_type": "X",
        "seconds": 7.0,
    }


def test_where_the_history_is_silent_the_log_tells_the_pauses() -> None:
    history = [event("ExecutionStarted", 0), event("ExecutionFailed", 7)]
    deaths = [BEGAN + timedelta(seconds=s) for s in (3, 0)]

    assert repeats({"Status": "FAILED"}, history, deaths)["seconds_between"] == [3.0]


def test_the_probe_is_as_the_facts_take_it_to_be() -> None:
    probe = PROBE["Resources"]["ProbeFunction"]["Properties"]

    assert probe["Timeout"] == TIMEOUT_SECONDS < WAITED_SECONDS
    assert probe["DurableConfig"]["ExecutionTimeout"] > 2 * WAITED_SECONDS
    assert probe["FunctionName"]["Fn::Sub"] == "${AWS::StackName}-probe"
    assert list(PROBE["Outputs"]) == [PROBE_OUTPUT]
