"""The handler of one of the pipeline's stages, which also notes what was done for which message.

Copied into the stage's artifact (see `faults.deployed`), with `effects` beside it, so it imports
nothing of this package. It notes what the stages beside which the pipeline is measured note
themselves: a record validated, a record transformed, an item that DynamoDB took.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

from .effects import note

STAGE = os.environ["FAULTS_STAGE"]
MODULE, _, NAME = os.environ["FAULTS_HANDLER"].rpartition(".")

module = importlib.import_module(MODULE)
handler = getattr(module, NAME)


def noting_record(process: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return what does a stage's work for a record so that it notes it."""

    def process_and_note(record: Any) -> Any:
        result = process(record)
        note(STAGE, record["id"])
        return result

    return process_and_note


def noting_batch(put_batch: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return the table's way to put items so that it notes those that DynamoDB took."""

    def put_and_note(table: Any, batch: Any) -> Any:
        left = put_batch(table, batch)
        items, _ = left or ((), None)
        refused = [item["message_id"] for item in items]
        for item in batch:
            if item["message_id"] not in refused:
                note(STAGE, item["message_id"]["S"])
        return left

    return put_and_note


if STAGE == "store":
    module.Table._put_batch = noting_batch(module.Table._put_batch)  # noqa: SLF001 - what DynamoDB took is told nowhere else
else:
    setattr(module, STAGE, noting_record(getattr(module, STAGE)))
