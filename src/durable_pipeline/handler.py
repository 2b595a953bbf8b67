"""Entry point of the durable function. The whole flow, top to bottom."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from aws_durable_execution_sdk_python import DurableContext, durable_execution, state
from aws_lambda_powertools import Logger

from durable_pipeline.calls import Tally
from durable_pipeline.files import process_files
from durable_pipeline.intake import read_once
from durable_pipeline.outcomes import announce, settle, stored_before
from durable_pipeline.report import exporters, report, report_received
from durable_pipeline.settings import Settings
from durable_pipeline.stages import process
from pipeline_core.settings import read_settings

# An invocation ends when the SDK's thread for checkpoints has seen that it is to stop. It looks
# every tenth of a second, which is waited for, and paid for, at the end of each invocation.
state._STOP_SIGNAL_POLL_SECONDS = 0.01  # noqa: SLF001 - the SDK, which is pinned, has no setting

logger = Logger(service="durable-pipeline", use_rfc3339=True)  # or Lambda misjudges its level


@partial(durable_execution, plugins=exporters(os.environ))
def handler(event: dict[str, Any], context: DurableContext) -> dict[str, Any]:
    """Process one batch of messages, or of S3 events without a queue between.

    Answers an event source mapping's partial batch response.

    Runs again from the top at every resume, so nothing here, outside of steps and invokes, reads
    a clock, a random number or the network: the checkpoints alone decide what comes next.
    """
    execution_arn = context.execution_context.durable_execution_arn
    logger.append_keys(durable_execution_arn=execution_arn)
    context.set_logger(logger)
    settings = read_settings(Settings, os.environ)
    tally = Tally()
    batch = read_once(execution_arn, event, settings)
    report_received(context, batch)
    outcomes = batch.unreadable | process(context, batch.records, settings, tally)
    outcomes |= process_files(context, batch, settings, tally)
    batch = batch.identified(outcomes)
    outcomes |= stored_before(context, batch, outcomes, settings)
    outcomes |= announce(context, batch, outcomes, settings)
    response = settle(context, batch, outcomes, settings)
    report(context, batch, outcomes, tally, settings)
    return response
