"""The largest batch, and a stage that is broken for all of it, in AWS's runner with its quotas."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

import durable_pipeline.handler
import validate.handler
from faults.stages import Crash
from localcloud.quotas import MAX_OPERATIONS
from tests.events import sqs_event, sqs_message, standard
from tests.integration.conftest import Pipeline

pytest_plugins = ["tests.integration.conftest"]

RECORDS = int(os.environ.get("CHAOS_BATCH") or 10_000)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Without a line for each record that was not stored."""
    loggers = [module.logger for module in (durable_pipeline.handler, validate.handler)]
    levels = [logger.log_level for logger in loggers]
    for logger in loggers:
        logger.setLevel("CRITICAL")
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def test_the_largest_batch_and_a_broken_stage_stay_below_the_quota_and_none_is_lost(
    pipeline: Pipeline,
) -> None:
    """On their first delivery; the last is in the properties of settling, without moto's queues."""
    body = standard()
    pipeline.inject("transform", Crash())
    pipeline.seconds = 3600

    result = pipeline.run(sqs_event(*(sqs_message(body, f"m-{n}") for n in range(RECORDS))))

    operations = len(result.get_all_operations())
    response = json.loads(str(result.result))
    print(f"{operations} operations, {len(pipeline.calls)} invokes: {response['summary']}")
    assert operations <= MAX_OPERATIONS
    assert len(response["batchItemFailures"]) == RECORDS
