"""What the durable function is configured with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Functions to chain, queues to settle with, and what there is of attempts and of time.

    Timeouts and delays are in seconds, ``range_size`` is in bytes.
    """

    environment: str
    stack_name: str
    table_name: str
    validate_arn: str
    transform_arn: str
    store_arn: str
    csv_file_arn: str
    queue_url: str
    objects_queue_url: str
    internal_queue_url: str
    files_queue_url: str
    dead_letter_queue_url: str
    max_receive_count: int
    execution_timeout: int
    stage_timeout: int
    retry_delay: int
    max_retry_delay: int
    events_topic_arn: str
    input_bucket: str
    payload_bucket: str
    files_timeout: int
    range_size: int
    ranges_per_execution: int
    range_concurrency: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read the function's environment variables.

        Raises:
            KeyError: one is not set.
        """
        return cls(
            environment=environment["ENVIRONMENT"],
            stack_name=environment["STACK_NAME"],
            table_name=environment["PROCESSED_DATA_TABLE"],
            validate_arn=environment["VALIDATION_FUNCTION_ARN"],
            transform_arn=environment["TRANSFORMATION_FUNCTION_ARN"],
            store_arn=environment["STORAGE_FUNCTION_ARN"],
            csv_file_arn=environment["CSV_FILE_FUNCTION_ARN"],
            queue_url=environment["DATA_PROCESSING_QUEUE_URL"],
            objects_queue_url=environment["OBJECTS_QUEUE_URL"],
            internal_queue_url=environment["INTERNAL_QUEUE_URL"],
            files_queue_url=environment["FILES_QUEUE_URL"],
            dead_letter_queue_url=environment["DEAD_LETTER_QUEUE_URL"],
            max_receive_count=int(environment["MAX_RECEIVE_COUNT"]),
            execution_timeout=int(environment["EXECUTION_TIMEOUT"]),
            stage_timeout=int(environment["STAGE_TIMEOUT"]),
            retry_delay=int(environment["RETRY_DELAY"]),
            max_retry_delay=int(environment["MAX_RETRY_DELAY"]),
            events_topic_arn=environment["PROCESSING_EVENTS_TOPIC_ARN"],
            input_bucket=environment["INPUT_BUCKET"],
            payload_bucket=environment["PAYLOAD_BUCKET"],
            files_timeout=int(environment["FILES_TIMEOUT"]),
            range_size=int(environment["RANGE_SIZE"]),
            ranges_per_execution=int(environment["RANGES_PER_EXECUTION"]),
            range_concurrency=int(environment["RANGE_CONCURRENCY"]),
        )
