"""Settings come from the environment, with the defaults that the documentation names."""

from pathlib import Path

import pytest

from localcloud import supervisor
from localcloud.errors import LocalCloudError
from localcloud.services import all_services
from localcloud.settings import Settings


def test_the_defaults() -> None:
    settings = Settings.from_environment({})
    assert settings.directory == Path.cwd() / ".local"
    assert (settings.aws_port, settings.lambda_port, settings.runner_port) == (4566, 4570, 4571)
    assert settings.ministack_command.parts[-4:] == (".tools", "ministack", "bin", "ministack")
    assert settings.sam_command.parts[-4:] == (".tools", "sam", "bin", "sam")


def test_settings_survive_the_way_to_another_process(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {"LOCALCLOUD_DIR": str(tmp_path), "LOCALCLOUD_AWS_PORT": "1", "LOCALCLOUD_SAM": "/sam"}
    )
    assert Settings.from_environment(settings.to_environment()) == settings


def test_clients_are_pointed_at_the_local_cloud() -> None:
    assert Settings.from_environment({}).client_environment() == {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "AWS_ENDPOINT_URL_LAMBDA": "http://127.0.0.1:4570",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-central-2",
        "AWS_REGION": "eu-central-2",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.mark.parametrize("text", ["http", "0", "65536", "-1", "4 5"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(LocalCloudError, match="LOCALCLOUD_RUNNER_PORT="):
        Settings.from_environment({"LOCALCLOUD_RUNNER_PORT": text})


def test_the_callers_cloud_does_not_leak_into_the_services() -> None:
    caller = {
        "PATH": "/bin",
        "AWS_PROFILE": "work",
        "AWS_SESSION_TOKEN": "secret",
        "AWS_CA_BUNDLE": "/ca",
        "PYTHONPATH": "/elsewhere",
        "NO_PROXY": "example.com",
    }
    for service in all_services(Settings.from_environment({}), caller):
        leaked = {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"} & set(service.environment)
        assert leaked == set()
        assert "/elsewhere" not in service.environment.values()
        assert service.environment["PATH"] == "/bin"
        assert "127.0.0.1" in service.environment["NO_PROXY"]


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
