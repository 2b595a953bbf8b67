"""What a run has sent is removed whatever AWS answers, or does not; what is left is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from pipelinectl import verify
from pipelinectl.errors import UnreachableError
from pipelinectl.verify import removal
from pipelinectl.verify.seen import Observations
from pipelinectl.verify.sent import MESSAGE, Deployed, Names, Sent, send
from tests.unit.pipelinectl.verify.runs import NAMES, PREFIX, STACK, run

if TYPE_CHECKING:
    from collections.abc import Sequence

ERRORS = [
    EndpointConnectionError(endpoint_url="http://127.0.0.1"),
    ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "Any"),
    UnreachableError("nobody answers"),
]
PARTS = [
    "objects in the input bucket",
    "objects in the payload bucket",
    "results in the output bucket",
    "items",
    "entries of the catalog",
    "dead letters",
]


class Failing:
    """A connection of which each client fails at whatever it is asked."""

    at = None

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        def fail(*_: Any, **__: Any) -> Any:
            raise self._error

        return Client(fail)


class Client:
    def __init__(self, fail: Any) -> None:
        self._fail = fail

    def __getattr__(self, name: str) -> Any:
        return self._fail


def failing(error: Exception) -> Deployed:
    return Deployed(cast("Any", Failing(error)), STACK, cast("Any", None))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_each_part_is_tried_and_what_is_left_is_told(error: Exception) -> None:
    one = run()
    one.deployed = one.observed.deployed = failing(error)
    one.sent.done = {MESSAGE}

    left = removal.remove(one)

    assert [text.partition(":")[0] for text in left] == [*PARTS, MESSAGE]
    assert not any(": :" in text for text in left)
    cleaned = removal.clean(one.deployed, PREFIX)
    assert cleaned[0].startswith("what came through the uploads API: ")
    assert set(PARTS) < {text.partition(":")[0] for text in cleaned}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_what_cannot_be_sent_is_told_of_each(error: Exception) -> None:
    sent = Sent(Names(NAMES.prefix, STACK))
    wanted = ["message", "input-document", "direct", "uploads-api", "refused-event"]
    deployed = Deployed(failing(error).connection, STACK, cast("Any", Client(fail_with(error))))

    send(deployed, sent, wanted)

    assert sent.refused.keys() == set(wanted)
    assert sent.done == set()


def fail_with(error: Exception) -> Any:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("ended_by", [BotoCoreError(), KeyboardInterrupt(), ZeroDivisionError()])
def test_a_run_that_ends_without_a_report_tells_what_it_left(
    monkeypatch: pytest.MonkeyPatch, ended_by: BaseException
) -> None:
    def fail(*_: Any) -> None:
        raise ended_by

    monkeypatch.setattr(Observations, "look", fail)
    monkeypatch.setattr(removal, "remove", lambda _: ["items: Any: AccessDenied: no"])
    told: list[Sequence[str]] = []

    with pytest.raises(type(ended_by)):
        verify.verify(failing(ERRORS[0]), (), PREFIX, seconds=1, tell_left=told.append)

    assert told == [["items: Any: AccessDenied: no"]]
