"""Settings for tests: three deliveries, 15 minutes, stages by their names."""

from __future__ import annotations

from dataclasses import replace

from durable_pipeline.settings import Settings

SETTINGS = Settings(
    environment="dev",
    stack_name="stack",
    processed_data_table="table",
    validation_function_arn="validate",
    transformation_function_arn="transform",
    storage_function_arn="store",
    csv_file_function_arn="csv_file",
    data_processing_queue_url="https://sqs/000000000000/queue",
    objects_queue_url="https://sqs/000000000000/objects",
    internal_queue_url="https://sqs/000000000000/internal",
    files_queue_url="https://sqs/000000000000/files",
    dead_letter_queue_url="dlq",
    max_receive_count=3,
    execution_timeout=900,
    stage_timeout=60,
    retry_delay=5,
    max_retry_delay=300,
    processing_events_topic_arn="topic",
    input_bucket="input",
    payload_bucket="payloads",
    files_timeout=300,
    range_size=1000,
    ranges_per_execution=10,
    range_concurrency=4,
)

WITH_OWN_STAGE = replace(SETTINGS, enrichment_function_arn="enrich")
