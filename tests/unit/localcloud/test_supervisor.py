"""What the supervisor runs with, what its state file says, and what `up` refuses."""

import json
import os
import stat
from pathlib import Path

import pytest

from localcloud import supervisor
from localcloud.processes import ProcessIdentity
from localcloud.settings import LocalCloudError, Settings
from localcloud.supervisor import all_services


def test_the_callers_cloud_does_not_leak_into_the_services(tmp_path: Path) -> None:
    caller = {
        "PATH": "/bin",
        "AWS_PROFILE": "work",
        "AWS_SESSION_TOKEN": "secret",
        "AWS_CA_BUNDLE": "/ca",
        "PYTHONPATH": "/elsewhere",
        "NO_PROXY": "example.com",
    }
    settings = Settings.from_environment({"LOCALCLOUD_DIR": str(tmp_path)})
    settings.make_credentials()
    for service in all_services(settings, caller):
        environment = service.environment()
        leaked = {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"} & set(environment)
        assert leaked == set()
        assert "/elsewhere" not in environment.values()
        assert environment["PATH"] == "/bin"
        assert "127.0.0.1" in environment["NO_PROXY"]


def test_only_what_has_a_log_file_has_one(tmp_path: Path) -> None:
    settings = Settings.from_environment({"LOCALCLOUD_DIR": str(tmp_path)})
    assert supervisor.logs_path(settings, "runner") == tmp_path / "logs" / "runner.log"
    with pytest.raises(LocalCloudError, match="supervisor, ministack, runner, gateway"):
        supervisor.logs_path(settings, "../secrets")


def test_a_missing_command_is_named_with_its_remedy(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {"LOCALCLOUD_DIR": str(tmp_path), "LOCALCLOUD_MINISTACK": str(tmp_path / "none")}
    )
    with pytest.raises(LocalCloudError, match=r"make setup.*LOCALCLOUD_MINISTACK"):
        supervisor.up(settings)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("content", [(), ("lock",), ("lock", "state.json")])
def test_a_folder_that_is_its_own_is_closed_to_others(
    tmp_path: Path, content: tuple[str, ...]
) -> None:
    tmp_path.chmod(0o755)
    for name in content:
        (tmp_path / name).touch()
    settings = Settings.from_environment({"LOCALCLOUD_DIR": str(tmp_path)})
    supervisor._make_directories(settings)
    folders = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert folders
    assert {mode_of(path) for path in (tmp_path, *folders)} == {0o700}


def test_a_folder_of_other_things_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "thesis.txt").touch()
    settings = Settings.from_environment({"LOCALCLOUD_DIR": str(tmp_path)})
    with pytest.raises(LocalCloudError, match=r"chmod 700 .*LOCALCLOUD_DIR"):
        supervisor.up(settings)
    assert mode_of(tmp_path) == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_private_folder_of_other_things_will_do(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "thesis.txt").touch()
    supervisor._make_directories(Settings.from_environment({"LOCALCLOUD_DIR": str(tmp_path)}))
    assert (tmp_path / "logs").is_dir()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"supervisor": {}}'])
def test_a_state_file_that_says_nothing_counts_as_none(tmp_path: Path, text: str) -> None:
    settings = Settings.from_environment({"LOCALCLOUD_DIR": str(tmp_path)})
    (tmp_path / "state.json").write_text(text)
    assert supervisor.read_state(settings) is None


def test_a_state_file_of_an_ended_supervisor_is_stale(tmp_path: Path) -> None:
    settings = Settings.from_environment({"LOCALCLOUD_DIR": str(tmp_path)})
    written = supervisor.CloudState(
        ProcessIdentity(1, 1.0),
        (supervisor.ServiceState("runner", 1, 2, 3.0, ProcessIdentity(4, 5.0)),),
    )
    supervisor.write_state(settings, written)
    assert supervisor.read_state(settings) == written
    assert supervisor.read_running(settings) is None


def running_cloud_of_an_earlier_version(directory: Path) -> Settings:
    """Settings of a directory whose state file says that this very process is the supervisor."""
    settings = Settings.from_environment({"LOCALCLOUD_DIR": str(directory)})
    settings.directory.mkdir(exist_ok=True)
    identity = ProcessIdentity.of(os.getpid())
    assert identity is not None
    service = {"name": "runner", "port": settings.runner_port, "state": "running", "restarts": 0}
    state = {
        "supervisor": vars(identity),
        "services": [{**service, "since": 1.0, "process": {"pid": 1, "create_time": 1.0}}],
    }
    (directory / "state.json").write_text(json.dumps(state))
    return settings


def test_what_an_earlier_version_runs_can_be_stopped_and_not_joined(tmp_path: Path) -> None:
    settings = running_cloud_of_an_earlier_version(tmp_path)
    state = supervisor.read_running(settings)
    assert state is not None
    assert [service.name for service in state.services] == ["runner"]
    with pytest.raises(LocalCloudError, match=r"another version.*`pipelinectl local down`"):
        supervisor.up(settings)


def test_a_fresh_cloud_has_nothing_of_the_last_and_ends_with_its_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "cloud"
    directory.mkdir()
    (directory / "left").touch()
    calls: list[tuple[str, bool]] = []
    for name in ("up", "down"):
        monkeypatch.setattr(
            supervisor,
            name,
            lambda settings, name=name: calls.append(
                (name, (settings.directory / "left").exists())
            ),
        )

    def interrupted() -> None:
        with supervisor.fresh(directory):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()

    assert calls == [("down", True), ("up", False), ("down", False)]


def test_a_long_log_is_begun_anew_and_its_writer_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "MOST_LOG_BYTES", 10)
    log = tmp_path / "runner.log"
    supervisor.cut_log(log)
    assert not log.exists()
    with log.open("ab", buffering=0) as writer:
        writer.write(b"0123456789")
        supervisor.cut_log(log)
        assert log.read_bytes() == b"0123456789"
        writer.write(b"more")
        supervisor.cut_log(log)
        writer.write(b"new")
    assert log.read_bytes() == b"new"
    assert (tmp_path / "runner.log.1").read_bytes() == b"0123456789more"
