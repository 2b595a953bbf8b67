"""What the durable function is configured with, and its clients of AWS's services."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Settings:
    """Functions to chain, queues to settle with, and what there is of attempts and of time.

    Timeouts and delays are in seconds, ``range_size`` is in bytes. ``enrichment_function_arn`` is
    empty where there is no own stage, the FIFO queues are where there is no FIFO door.
    ``file_rows`` is what rows become of files that do not say.
    """

    environment: str
    stack_name: str
    processed_data_table: str
    validation_function_arn: str
    transformation_function_arn: str
    storage_function_arn: str
    csv_file_function_arn: str
    data_processing_queue_url: str
    objects_queue_url: str
    internal_queue_url: str
    files_queue_url: str
    dead_letter_queue_url: str
    max_receive_count: int
    execution_timeout: int
    stage_timeout: int
    retry_delay: int
    max_retry_delay: int
    processing_events_topic_arn: str
    input_bucket: str
    payload_bucket: str
    files_timeout: int
    range_size: int
    ranges_per_execution: int
    range_concurrency: int
    enrichment_function_arn: str = ""
    fifo_queue_url: str = ""
    fifo_internal_queue_url: str = ""
    fifo_dead_letter_queue_url: str = ""
    file_rows: str = "results"


# The clients of the durable function, once per execution environment, and how its steps retry. They
# are boto3's, as the durable execution SDK's own is: two sessions would each read all that there is
# of regions and partitions.

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
