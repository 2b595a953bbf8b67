"""Settings come from the environment, with the defaults that the documentation names."""

from pathlib import Path

import pytest

from localcloud.settings import LocalCloudError, Settings


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
