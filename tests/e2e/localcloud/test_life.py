"""Starting and stopping: nothing twice, nothing left over, nothing of others touched."""

import dataclasses
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud import supervisor
from localcloud.settings import LocalCloudError, Settings, free_settings
from tests.e2e.localcloud.support import (
    SECONDS,
    Cloud,
    processes_of,
    running,
    start_up_process,
    supervisors_of,
    wait_for,
)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return free_settings(tmp_path / "cloud")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A local cloud that runs, for tests that neither start nor stop one."""
    settings = free_settings(tmp_path_factory.mktemp("shared") / "cloud")
    with running(settings):
        yield settings
    assert processes_of(settings) == []


def test_up_twice_changes_nothing_and_down_leaves_nothing(settings: Settings) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with running(settings):
        before = supervisor.status(settings)
        supervisor.up(settings)
        assert supervisor.status(settings) == before
        assert [status.state for status in before] == ["running"] * 3
        assert supervisor.down(settings) == ["ministack", "runner", "gateway"]
    assert processes_of(settings) == []
    assert supervisor.down(settings) == []
    assert [status.state for status in supervisor.status(settings)] == ["stopped"] * 3
    assert bystander.poll() is None
    bystander.communicate(b"\n")


def test_everything_listens_on_loopback_only(shared: Settings) -> None:
    listening = {
        connection.laddr.ip
        for process in processes_of(shared)
        for connection in process.net_connections("inet")
        if connection.status == "LISTEN"
    }
    assert listening == {"127.0.0.1"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_up_leaves_nothing(settings: Settings, number: signal.Signals) -> None:
    starter = start_up_process(settings)
    wait_for(lambda: (settings.directory / "state.json").exists())
    starter.send_signal(number)
    assert starter.wait(SECONDS) != 0
    wait_for(lambda: processes_of(settings) == [])


def test_a_killed_supervisor_leaves_nothing_that_the_next_up_trips_over(
    settings: Settings,
) -> None:
    with running(settings):
        [process] = supervisors_of(settings)
        process.kill()
        process.wait(SECONDS)
        supervisor.up(settings)
        assert [status.state for status in supervisor.status(settings)] == ["running"] * 3
    assert processes_of(settings) == []


def test_two_at_once_start_one_cloud(settings: Settings) -> None:
    starters = [start_up_process(settings) for _ in range(2)]
    try:
        assert [starter.wait(SECONDS) for starter in starters] == [0, 0]
        assert len(supervisors_of(settings)) == 1
    finally:
        supervisor.down(settings)
    assert processes_of(settings) == []


def test_a_service_that_cannot_start_is_named_with_its_last_words(
    settings: Settings, tmp_path: Path
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no such service; exit 3\n")
    broken.chmod(0o755)
    command = tmp_path / "ministack"
    command.touch()
    with pytest.raises(LocalCloudError, match=r"(?s)ministack did not start.*no such service"):
        supervisor.up(dataclasses.replace(settings, ministack_command=command))
    assert processes_of(settings) == []


def test_a_busy_port_is_named_with_its_holder_and_its_variable(settings: Settings) -> None:
    with (
        socket.create_server(("127.0.0.1", settings.lambda_port)),
        pytest.raises(LocalCloudError) as caught,
    ):
        supervisor.up(settings)
    message = str(caught.value)
    assert str(settings.lambda_port) in message
    assert "LOCALCLOUD_LAMBDA_PORT" in message
    assert "pid " in message
    assert processes_of(settings) == []


def test_other_ports_than_those_in_use_are_refused(shared: Settings) -> None:
    other = free_settings(shared.directory)
    expected = f"LOCALCLOUD_AWS_PORT={shared.aws_port}"
    with pytest.raises(LocalCloudError, match=expected):
        supervisor.up(other)


def test_other_ports_than_those_it_was_made_with_are_refused(
    settings: Settings, tmp_path: Path
) -> None:
    with running(settings):
        pass
    other = free_settings(tmp_path / "cloud")

    with pytest.raises(LocalCloudError, match=f"LOCALCLOUD_AWS_PORT={settings.aws_port}, not"):
        supervisor.up(other)

    assert processes_of(other) == []
    with running(settings):
        pass


def test_a_killed_service_is_restarted_and_the_log_says_so(shared: Settings) -> None:
    [killed] = supervisor.kill(shared, "gateway")
    wait_for(lambda: _gateway_restarts(shared) == 1)
    supervisor.up(shared)
    log = supervisor.logs_path(shared, "supervisor").read_text()
    assert f"started gateway with pid {killed}" in log
    assert "gateway ended with exit code -9; restart 1" in log


def test_what_is_in_a_stream_outlives_a_clean_stop(settings: Settings) -> None:
    with running(settings):
        tables = Cloud(settings, {}).client("dynamodb")
        arn = tables.create_table(
            TableName="streamed",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )["TableDescription"]["LatestStreamArn"]
        tables.put_item(TableName="streamed", Item={"id": {"S": "before"}})
    with running(settings):
        Cloud(settings, {}).client("dynamodb").delete_item(
            TableName="streamed", Key={"id": {"S": "before"}}
        )
        changes = _in_stream(settings, arn)
    assert changes == [("INSERT", "before"), ("REMOVE", "before")]


def _in_stream(settings: Settings, arn: str) -> list[tuple[str, str]]:
    client = Cloud(settings, {}).client("dynamodbstreams")
    (shard,) = client.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    position = client.get_shard_iterator(
        StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    records = client.get_records(ShardIterator=position)["Records"]
    return [(one["eventName"], one["dynamodb"]["Keys"]["id"]["S"]) for one in records]


def test_an_unknown_target_is_refused_with_the_known_ones(settings: Settings) -> None:
    with pytest.raises(LocalCloudError, match="choose one of ministack, runner, gateway"):
        supervisor.kill(settings, "nonsense")


def _gateway_restarts(settings: Settings) -> int:
    statuses = supervisor.status(settings)
    return sum(s.restarts for s in statuses if s.name == "gateway" and s.pid)
