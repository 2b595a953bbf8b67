"""Entries of the catalog, as the pipeline's own code writes them."""

from typing import Any

from pipeline_core.objects import SEQUENCER_DIGITS
from tests.integration.pipelinectl.conftest import Deployed

RANKS = {"received": 0, "processing": 1, "failed": 2, "done": 3, "deleted": 4}


def put_entry(deployed: Deployed, path: str, *, state: str = "done", **attributes: Any) -> None:
    """Put the entry of an object; `path` is bucket/key."""
    bucket, _, key = path.partition("/")
    entry = {
        "object": path,
        "bucket": bucket,
        "key": key,
        "sequencer": "0066".ljust(SEQUENCER_DIGITS, "0"),
        "etag": "e1",
        "size": 8,
        "state": state,
        "state_rank": RANKS[state],
        "updated_at": "2026-03-01T12:00:00.000000Z",
        **attributes,
    }
    deployed.catalog.put_item(Item=entry)
