"""What the durable function is configured with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Functions to chain, queues to settle with, and what there is of attempts and of time.

    Timeouts and delays are in seconds.
    """

    environment: str
    table_name: str
    validate_arn: str
    transform_arn: str
    store_arn: str
    queue_url: str
    dead_letter_queue_url: str
    max_receive_count: int
    execution_timeout: int
    stage_timeout: int
    retry_delay: int
    max_retry_delay: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read the function's environment variables.

        Raises:
            KeyError: one is not set.
        """
        return cls(
            environment=environment["ENVIRONMENT"],
            table_name=environment["PROCESSED_DATA_TABLE"],
            validate_arn=environment["VALIDATION_FUNCTION_ARN"],
            transform_arn=environment["TRANSFORMATION_FUNCTION_ARN"],
            store_arn=environment["STORAGE_FUNCTION_ARN"],
            queue_url=environment["DATA_PROCESSING_QUEUE_URL"],
            dead_letter_queue_url=environment["DEAD_LETTER_QUEUE_URL"],
            max_receive_count=int(environment["MAX_RECEIVE_COUNT"]),
            execution_timeout=int(environment["EXECUTION_TIMEOUT"]),
            stage_timeout=int(environment["STAGE_TIMEOUT"]),
            retry_delay=int(environment["RETRY_DELAY"]),
            max_retry_delay=int(environment["MAX_RETRY_DELAY"]),
        )
