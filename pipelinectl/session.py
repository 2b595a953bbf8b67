"""Which AWS to talk to: the one the environment names, or else a local cloud that is up."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from pipelinectl.errors import UnreachableError
from pipelinectl.http import SignedHttp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from boto3.session import Session
    from mypy_boto3_cloudformation.client import CloudFormationClient
    from mypy_boto3_cloudwatch.client import CloudWatchClient
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_lambda.client import LambdaClient
    from mypy_boto3_logs.client import CloudWatchLogsClient
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sns.client import SNSClient
    from mypy_boto3_sqs.client import SQSClient

# A region alone says nothing about where to go, so it is not among them.
_CHOOSES_AN_AWS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_PROFILE",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
_CHOOSES_AN_ENDPOINT = "AWS_ENDPOINT_URL"

NOWHERE_TO_GO = (
    "no AWS credentials and no local cloud: start one with 'pipelinectl local up', "
    "or set AWS_PROFILE (or AWS_ENDPOINT_URL and keys)"
)


@dataclass(frozen=True)
class Connection:
    """Clients of one AWS, made when they are first used.

    `settings` holds AWS_* variables that count for this connection only; where it is empty,
    boto3 reads the process's environment and configuration files.
    """

    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Whether pipelinectl chose the local cloud by itself."""
        return bool(self.settings)

    @cached_property
    def cloudformation(self) -> CloudFormationClient:
        """Client of the stack's outputs."""
        return self._session.client("cloudformation", **self._options("cloudformation"))

    @cached_property
    def cloudwatch(self) -> CloudWatchClient:
        """Client of the alarms."""
        return self._session.client("cloudwatch", **self._options("cloudwatch"))

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        """Client of the table of processed data."""
        return self._session.client("dynamodb", **self._options("dynamodb"))

    @cached_property
    def lambda_(self) -> LambdaClient:
        """Client of the durable executions."""
        return self._session.client("lambda", **self._options("lambda"))

    @cached_property
    def logs(self) -> CloudWatchLogsClient:
        """Client of the functions' logs."""
        return self._session.client("logs", **self._options("logs"))

    @cached_property
    def s3(self) -> S3Client:
        """Client of the buckets."""
        return self._session.client("s3", **self._options("s3"))

    @cached_property
    def sns(self) -> SNSClient:
        """Client of the topics."""
        return self._session.client("sns", **self._options("sns"))

    @cached_property
    def sqs(self) -> SQSClient:
        """Client of the queues."""
        return self._session.client("sqs", **self._options("sqs"))

    @property
    def endpoint_url(self) -> str | None:
        """Where AWS is, if it is not at AWS."""
        return self.settings.get(_CHOOSES_AN_ENDPOINT) or os.environ.get(_CHOOSES_AN_ENDPOINT)

    def http(self, service: str) -> SignedHttp:
        """For what no client of boto3 does: requests that are signed for `service`, or not."""
        return SignedHttp(self._session, service)

    @cached_property
    def _session(self) -> Session:
        # boto3 takes a third of a second to import, which --help need not wait for.
        import boto3

        session = boto3.Session(
            aws_access_key_id=self.settings.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=self.settings.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=self.settings.get("AWS_SESSION_TOKEN"),
            region_name=self.settings.get("AWS_DEFAULT_REGION") or self.settings.get("AWS_REGION"),
        )
        if session.get_credentials() is None:
            raise UnreachableError(NOWHERE_TO_GO)
        return session

    def _options(self, service: str) -> dict[str, Any]:
        from botocore.config import Config

        return {
            "endpoint_url": self.settings.get(f"{_CHOOSES_AN_ENDPOINT}_{service.upper()}")
            or self.settings.get(_CHOOSES_AN_ENDPOINT),
            "config": Config(
                retries={"mode": "standard", "max_attempts": 5},
                connect_timeout=5,
                max_pool_connections=16,
            ),
        }


def names_an_aws(environ: Mapping[str, str]) -> bool:
    """Whether the environment says which AWS to talk to: endpoint, profile or credentials."""
    return any(
        value and (name in _CHOOSES_AN_AWS or name.startswith(_CHOOSES_AN_ENDPOINT))
        for name, value in environ.items()
    )


def connect(
    environ: Mapping[str, str], local_environment: Callable[[], Mapping[str, str] | None]
) -> Connection:
    """Connect to the AWS that `environ` names, else to the local cloud, else to boto3's default.

    `local_environment` answers with the local cloud's client environment, or None when it is not
    up; it is only asked when `environ` names nothing.
    """
    if names_an_aws(environ):
        return Connection()
    return Connection(local_environment() or {})
