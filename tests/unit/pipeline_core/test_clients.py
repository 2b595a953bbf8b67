"""Clients are configured as boto3's are, wherever a configuration comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from pipeline_core.clients import client, session

SERVICES: Any = ("dynamodb", "s3")  # those with most rules of their own for endpoints
ITS_OWN = ("user_agent", "user_agent_extra", "_user_provided_options")
RETRIES = Config(retries={"mode": "standard", "total_max_attempts": 2})

PROFILES = """\
[default]
region = eu-west-3
[profile other]
region = eu-north-1
services = ours
max_attempts = 7
[services ours]
s3 =
  endpoint_url = http://s3.test:1
"""
ENVIRONMENTS: list[Mapping[str, str]] = [
    {},
    {"AWS_DEFAULT_REGION": "eu-west-1"},
    {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "eu-west-2"},
    {"AWS_DEFAULT_REGION": "cn-north-1"},
    {"AWS_ENDPOINT_URL": "http://all.test:1", "AWS_ENDPOINT_URL_S3": "http://s3.test:2"},
    {"AWS_PROFILE": "other"},
    {"AWS_PROFILE": "other", "AWS_DEFAULT_REGION": "us-west-2"},
    {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_DEFAULT_REGION": "us-east-1"},
]
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}


@pytest.fixture(params=ENVIRONMENTS, ids=str)
def environment(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[None]:
    """One way of configuring clients, and no other."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config").write_text(PROFILES)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    for name, value in (KEYS | request.param).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    session.cache_clear()
    yield
    session.cache_clear()


@pytest.mark.usefixtures("environment")
def test_a_client_is_configured_as_boto3s_is() -> None:
    for service in SERVICES:
        ours, boto3s = client(service, config=RETRIES), boto3.client(service, config=RETRIES)

        assert _settings(ours) == _settings(boto3s)


def _settings(made: Any) -> dict[str, Any]:
    """What a client is configured with, but for how it names itself."""
    options = vars(made.meta.config).items()
    return {
        **{name: value for name, value in options if name not in ITS_OWN},
        "endpoint": made.meta.endpoint_url,
        "partition": made.meta.partition,
        "credentials": vars(made._request_signer._credentials),
    }
