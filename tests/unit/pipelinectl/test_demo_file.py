from decimal import Decimal
from pathlib import Path

from pipelinectl.catalog import Entry
from pipelinectl.demonstration import files
from pipelinectl.demonstration.files import FileAccount
from pipelinectl.objects import ObjectPath
from pipelinectl.rejects import Reject
from pipelinectl.uploading import Uploaded

EVENTS = Path(__file__).parents[3] / "events"
UPLOADED = Uploaded(files.source(EVENTS), ObjectPath("bucket", "input/orders.csv"), "etag")


def entry(state: str, **counts: int) -> Entry:
    return Entry({"state": state, "counts": {name: Decimal(n) for name, n in counts.items()}})


def test_each_row_is_a_result_or_a_reject_that_was_read() -> None:
    done = entry("done", rows=3, results=2, rejects=1)

    assert FileAccount(UPLOADED, done, (Reject({}),)).balanced
    assert not FileAccount(UPLOADED, done, ()).balanced
    assert not FileAccount(
        UPLOADED, entry("done", rows=3, results=1, rejects=1), (Reject({}),)
    ).balanced


def test_a_file_that_is_not_done_is_not_balanced() -> None:
    assert not FileAccount(UPLOADED, None).balanced
    assert not FileAccount(UPLOADED, entry("failed")).balanced
