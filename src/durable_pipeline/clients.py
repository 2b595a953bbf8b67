"""The clients of the durable function, once per execution environment, and how its steps retry."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import boto3
from aws_durable_execution_sdk_python.config import StepConfig
from aws_durable_execution_sdk_python.retries import RetryPresets
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

ONE_ATTEMPT = StepConfig(retry_strategy=RetryPresets.none())
"""A step here knows itself what to do about an error: the record stays in the queue."""

RETRIES = Config(retries={"mode": "standard", "total_max_attempts": 5})


@cache
def dynamodb() -> DynamoDBClient:
    """DynamoDB."""
    return boto3.client("dynamodb", config=RETRIES)


@cache
def s3() -> S3Client:
    """S3."""
    return boto3.client("s3", config=RETRIES)


@cache
def sns() -> SNSClient:
    """SNS."""
    return boto3.client("sns", config=RETRIES)


@cache
def sqs() -> SQSClient:
    """SQS."""
    return boto3.client("sqs", config=RETRIES)
