"""The types of reasons that metrics tell apart.

Each value of a dimension is a metric that is paid for, so the list is closed: what is not in it,
such as an exception of a function's own code, counts as "Other", and the logs say what it was.
"""

from __future__ import annotations

from durable_pipeline.problems import (
    BACK_OFF_ERRORS,
    NOTHING_HELPS_ERRORS,
    TIMEOUT_ERRORS,
    TOO_LARGE_ERRORS,
)

OTHER = "Other"

OF_RECORDS = frozenset(
    {
        "ForeignBucket",
        "InvalidEvent",
        "InvalidJson",
        "InvalidPointer",
        "NotStorable",
        "NotUtf8",
        "PayloadChanged",
        "PayloadMissing",
        "PayloadTooLarge",
        "RecordTooLarge",
        "ReservedId",
        "UnknownProcessingType",
        "UnsupportedEvent",
        "UnsupportedType",
        "ValidationError",
    }
)

OF_FILES = frozenset(
    {"InvalidDelimiter", "InvalidHeader", "InvalidMetadata", "RowTooLarge", "UnknownFormat"}
)

OF_STAGES = frozenset(
    {
        "ContractViolation",
        "BucketUnavailable",
        "DeadlineExceeded",
        "QueueUnavailable",
        "QuotaReached",
        "Runtime.ExitError",
        "TopicUnavailable",
    }
)

OF_SERVICES = frozenset(
    {
        "AccessDenied",
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "EndpointConnectionError",
        "InternalServerError",
        "ProvisionedThroughputExceededException",
        "ReadTimeoutError",
        "SlowDown",
        "UnprocessedItems",
    }
)

KNOWN = (
    OF_RECORDS
    | OF_FILES
    | OF_STAGES
    | OF_SERVICES
    | BACK_OFF_ERRORS
    | NOTHING_HELPS_ERRORS
    | TIMEOUT_ERRORS
    | TOO_LARGE_ERRORS
)


def known_reason(error_type: str) -> str:
    """``error_type``, if metrics tell it apart."""
    return error_type if error_type in KNOWN else OTHER
