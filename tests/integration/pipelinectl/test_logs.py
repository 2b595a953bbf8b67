"""`pipelinectl logs` against moto: which lines it shows, and how."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from pipelinectl.commands import logs as commands
from pipelinectl.logs import FunctionLogs
from tests.integration.pipelinectl.giving_up import give_up

if TYPE_CHECKING:
    from tests.integration.pipelinectl.conftest import Deployed
    from tests.unit.pipelinectl.stories import Told


def log(role: str, *events: Any, ago: timedelta = timedelta(minutes=1)) -> None:
    """Have a function log these, a millisecond apart."""
    client, group = boto3.client("logs"), f"/aws/lambda/test-stack-{role}"
    if not client.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        client.create_log_group(logGroupName=group)
        client.create_log_stream(logGroupName=group, logStreamName="one")
    begin = int((datetime.now(UTC) - ago).timestamp() * 1000)
    client.put_log_events(
        logGroupName=group,
        logStreamName="one",
        logEvents=[
            {
                "timestamp": begin + n,
                "message": event if isinstance(event, str) else json.dumps(event),
            }
            for n, event in enumerate(events)
        ],
    )


def test_all_functions_are_shown_in_the_order_of_time(deployed: Deployed) -> None:
    log("store", {"level": "INFO", "message": "second"}, ago=timedelta(minutes=1))
    log("validate", {"level": "INFO", "message": "first"}, ago=timedelta(minutes=2))

    result = deployed.run("logs")

    assert [line.split()[1:] for line in result.stdout.splitlines()] == [
        ["validate", "INFO", "first"],
        ["store", "INFO", "second"],
    ]
    assert "2 lines since" in result.stderr


def test_json_has_the_event_as_it_was_logged_one_a_line(deployed: Deployed) -> None:
    logged = {"message": "a", "cold_start": True, "nested": [{"b": 1}]}
    log("store", logged, "END RequestId: 1", {"_aws": {}})

    lines = [json.loads(line) for line in deployed.run("logs", "--json").stdout.splitlines()]

    assert [line["event"] for line in lines] == [logged, "END RequestId: 1", {"_aws": {}}]
    assert {line["function"] for line in lines} == {"store"}
    assert all(datetime.fromisoformat(line["at"]).tzinfo for line in lines)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), ["new"]),
        (("--since", "2h"), ["old", "new"]),
        (("--since", "2h", "--until", "30m"), ["old"]),
        (("--since", "2h", "--function", "validate"), ["old"]),
        (("--since", "2h", "--function", "validate", "--function", "store"), ["old", "new"]),
    ],
)
def test_time_and_function_narrow_it(
    deployed: Deployed, options: tuple[str, ...], found: list[str]
) -> None:
    log("validate", {"message": "old"}, ago=timedelta(hours=1))
    log("store", {"message": "new"})

    result = deployed.run("logs", "--json", *options)

    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["event"]["message"] for line in lines] == found


def test_a_record_is_found_by_any_id_and_under_all_of_its_ids(
    deployed: Deployed, told: Told
) -> None:
    letter_id = give_up(deployed)
    log(
        "validate",
        {"message": "mine", "message_ids": "other, m-1"},
        {"message": "mine too", "execution_id": "test-m-1"},
        {"message": "not mine", "message_ids": "other"},
        {"message": "nor this", "execution_id": "test-m-10"},
    )

    result = deployed.run("logs", "--record", letter_id[:8], "--since", "1h", "--json")

    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["event"]["message"] for line in lines] == ["mine", "mine too"]


def test_a_record_that_nothing_is_known_of_is_looked_for_as_it_is_given(
    deployed: Deployed, told: Told
) -> None:
    log("store", {"message": "mine", "execution_ids": "a, till-7"}, {"message": "not mine"})

    result = deployed.run("logs", "--record", "till", "--json")

    assert [json.loads(line)["event"]["message"] for line in result.stdout.splitlines()] == ["mine"]
    assert "nothing is known of 'till' yet" in result.stderr


def test_interrupted_while_it_follows_it_ends_with_130(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    log("store", {"message": "there already"})
    monkeypatch.setattr(commands, "FunctionLogs", partial(FunctionLogs, pause=_interrupt))

    result = deployed.run("logs", "--follow")

    assert result.exit_code == 130
    assert "there already" in result.stdout
    assert result.stderr == "pipelinectl: interrupted\n"


def _interrupt(_: float) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--record", "a", "--execution", "b"), "--record and --execution"),
        (("--follow", "--until", "1h"), "--follow has no end"),
        (("--since", "yesterday"), "--since 'yesterday' is no time"),
        (("--since", "99999999h"), "--since '99999999h' is no time"),
    ],
)
def test_what_contradicts_itself_is_wrong_usage(
    deployed: Deployed, options: tuple[str, ...], said: str
) -> None:
    result = deployed.run("logs", *options)

    assert result.exit_code == 2
    assert said in result.stderr


def test_a_stack_whose_functions_have_no_logs_is_told_so(deployed: Deployed) -> None:
    result = deployed.run("logs")

    assert result.exit_code == 1
    assert "no log group /aws/lambda/test-stack-durable-pipeline" in result.stderr
