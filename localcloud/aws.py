"""AWS clients that call ministack directly, as its root user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

    from localcloud.settings import Settings


def lambda_client(settings: Settings) -> LambdaClient:
    """Return a Lambda client for ministack itself, not for the gateway in front of it."""
    return boto3.client("lambda", **_root(settings))


def iam_client(settings: Settings) -> IAMClient:
    """Return an IAM client."""
    return boto3.client("iam", **_root(settings))


def s3_client(settings: Settings) -> S3Client:
    """Return an S3 client."""
    return boto3.client("s3", **_root(settings))


def sqs_client(settings: Settings) -> SQSClient:
    """Return an SQS client."""
    return boto3.client("sqs", **_root(settings))


def cloudformation_client(settings: Settings) -> CloudFormationClient:
    """Return a CloudFormation client."""
    return boto3.client("cloudformation", **_root(settings))


def _root(settings: Settings) -> dict[str, Any]:
    return {
        "endpoint_url": settings.aws_endpoint_url,
        "region_name": settings.region,
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
        "config": Config(
            connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 2}, proxies={}
        ),
    }
