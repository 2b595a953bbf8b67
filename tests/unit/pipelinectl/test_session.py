from collections.abc import Mapping

import pytest

from pipelinectl.aws import Connection, Options, connect, names_an_aws
from pipelinectl.errors import UnreachableError

LOCAL = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
    "AWS_ENDPOINT_URL_LAMBDA": "http://127.0.0.1:4570",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def never() -> Mapping[str, str] | None:
    pytest.fail("the local cloud was asked although the environment names an AWS")


@pytest.mark.parametrize(
    "name", ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS"]
)
def test_what_the_environment_names_is_used(name: str) -> None:
    assert connect(Options(), {name: "x"}, never) == Connection()


@pytest.mark.parametrize("environ", [{}, {"AWS_REGION": "eu-west-1"}, {"AWS_PROFILE": ""}])
def test_a_region_alone_or_an_empty_value_names_no_aws(environ: dict[str, str]) -> None:
    assert not names_an_aws(environ)


def test_the_local_cloud_is_used_when_it_is_up_and_nothing_is_named() -> None:
    connection = connect(Options(), {}, lambda: LOCAL)

    assert connection.is_local
    assert connection.sqs.meta.endpoint_url == "http://127.0.0.1:4566"
    assert connection.lambda_.meta.endpoint_url == "http://127.0.0.1:4570"
    assert connection.sqs.meta.region_name == "us-east-1"


@pytest.mark.parametrize("options", [Options(profile="x", region="eu-west-1"), Options(aws=True)])
def test_what_the_options_name_is_used(options: Options) -> None:
    expected = Connection({}, options.profile, options.region)

    assert connect(options, {}, never) == expected


@pytest.mark.parametrize(
    ("url", "at"),
    [
        ("http://127.0.0.1:4566", "127.0.0.1:4566"),
        ("http://localhost:1", "localhost:1"),
        ("https://cloudformation.eu-west-1.amazonaws.com", None),
        ("http://10.0.0.1:4566", None),
    ],
)
def test_a_cloud_on_this_machine_is_told_from_aws(url: str, at: str | None) -> None:
    assert Connection({**LOCAL, "AWS_ENDPOINT_URL": url}).at == at


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_a_region_is_taken_from_either_variable(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "eu-west-3")
    keys = {name: value for name, value in LOCAL.items() if "REGION" not in name}

    assert Connection(keys).sqs.meta.region_name == "eu-west-3"
    assert Connection(keys, region="eu-west-2").sqs.meta.region_name == "eu-west-2"


def test_without_local_cloud_boto3_looks_for_itself() -> None:
    assert not connect(Options(), {}, lambda: None).is_local


def test_without_any_credentials_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")

    with pytest.raises(UnreachableError, match="pipelinectl local up"):
        _ = Connection().sqs
