"""Settings come from the environment, with the defaults that the documentation names."""

from pathlib import Path

import pytest

from localcloud.settings import LocalCloudError, Settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No local cloud of the folder that the tests run in."""
    monkeypatch.chdir(tmp_path)


def test_the_defaults() -> None:
    settings = Settings.from_environment({})
    assert settings.directory == Path.cwd() / ".local"
    assert (settings.aws_port, settings.lambda_port, settings.runner_port) == (4566, 4570, 4571)
    assert settings.ministack_command.parts[-4:] == (".tools", "ministack", "bin", "ministack")
    assert settings.sam_command.parts[-4:] == (".tools", "sam", "bin", "sam")


def test_one_variable_moves_all_ports() -> None:
    settings = Settings.from_environment({"LOCALCLOUD_PORT": "5000", "LOCALCLOUD_RUNNER_PORT": "7"})

    assert (settings.aws_port, settings.lambda_port, settings.runner_port) == (5000, 5004, 7)


def recorded(folder: Path, port: int) -> Settings:
    settings = Settings.from_environment(
        {"LOCALCLOUD_DIR": str(folder / ".local"), "LOCALCLOUD_PORT": str(port)}
    )
    settings.directory.mkdir(parents=True)
    settings.remember_ports()
    return settings


def test_the_nearest_recorded_cloud_above_is_the_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(tmp_path, 5000)
    nearest = recorded(tmp_path / "project", 6000)
    below = tmp_path / "project" / "examples" / "enrich"
    below.mkdir(parents=True)
    (below / "template.yaml").touch()
    monkeypatch.chdir(below)

    assert Settings.from_environment({}) == nearest


def test_where_no_cloud_is_recorded_the_template_says_which_folder_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "template.yaml").touch()
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path / "src")

    settings = Settings.from_environment({})

    assert (settings.directory, settings.aws_port) == (tmp_path / ".local", 4566)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"other": 1}'])
def test_a_record_that_cannot_be_read_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    recorded(tmp_path, 5000)
    (tmp_path / ".local" / "ports.json").write_text(content)
    monkeypatch.chdir(tmp_path)

    assert Settings.from_environment({}).aws_port == 4566


def test_settings_survive_the_way_to_another_process(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {"LOCALCLOUD_DIR": str(tmp_path), "LOCALCLOUD_AWS_PORT": "1", "LOCALCLOUD_SAM": "/sam"}
    )
    assert Settings.from_environment(settings.to_environment()) == settings


def test_how_many_executions_to_keep_can_be_said(tmp_path: Path) -> None:
    said = {"LOCALCLOUD_DIR": str(tmp_path), "LOCALCLOUD_EXECUTIONS": "500"}
    settings = Settings.from_environment(said)
    assert settings.most_executions == 500
    assert Settings.from_environment(settings.to_environment()) == settings


@pytest.mark.parametrize("text", ["99", "-1", "many", "1e4"])
def test_what_is_no_number_of_executions_is_refused(text: str) -> None:
    with pytest.raises(LocalCloudError, match="LOCALCLOUD_EXECUTIONS"):
        Settings.from_environment({"LOCALCLOUD_EXECUTIONS": text})


def test_clients_are_pointed_at_the_local_cloud_with_its_own_credentials(tmp_path: Path) -> None:
    settings = Settings.from_environment({"LOCALCLOUD_DIR": str(tmp_path)})
    settings.make_credentials()
    assert settings.client_environment() == {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "AWS_ENDPOINT_URL_LAMBDA": "http://127.0.0.1:4570",
        "AWS_ACCESS_KEY_ID": settings.credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": settings.credentials.secret_key,
        "AWS_DEFAULT_REGION": "eu-central-2",
        "AWS_REGION": "eu-central-2",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def test_a_local_cloud_that_was_never_started_has_no_credentials(tmp_path: Path) -> None:
    settings = Settings.from_environment({"LOCALCLOUD_DIR": str(tmp_path)})
    with pytest.raises(LocalCloudError, match="start one, with `pipelinectl local up`"):
        settings.client_environment()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "{}", "[]"])
def test_credentials_that_cannot_be_read_are_named_with_the_remedy(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "credentials.json").write_text(text)
    with pytest.raises(LocalCloudError, match=r"delete .*credentials\.json and start it again"):
        Settings.from_environment({"LOCALCLOUD_DIR": str(tmp_path)}).root_client_options()


@pytest.mark.parametrize("text", ["http", "0", "65536", "-1", "4 5"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(LocalCloudError, match="LOCALCLOUD_RUNNER_PORT="):
        Settings.from_environment({"LOCALCLOUD_RUNNER_PORT": text})


@pytest.mark.parametrize("text", ["x", "0", "65531"])
def test_a_base_without_room_for_all_ports_is_refused(text: str) -> None:
    with pytest.raises(LocalCloudError, match=r"LOCALCLOUD_PORT=.*from 1 to 65530"):
        Settings.from_environment({"LOCALCLOUD_PORT": text})
