"""A process of DBOS: takes messages off a queue of SQS through the three stages.

Runs in the environment of the benchmarks, which has DBOS. As DBOS advises, a workflow is started
under an id made of the messages', which makes a second start of it nothing, then the messages are
deleted, and what a killed process has left behind the next one takes up when it starts.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import sqlalchemy
from dbos import DBOS, SetWorkflowID

sys.path.insert(0, str(Path(__file__).with_name("reference") / "src"))

import stages
from effects import note

RECEIVERS = 5
"""As many as batches are at once elsewhere."""

WAIT_SECONDS = 1
_WRITES = ("INSERT", "UPDATE", "DELETE", "WITH")

Records = list[dict[str, Any]]


@DBOS.step()
def validate(records: Records) -> Records:
    """Each record with its body parsed."""
    return [stages.validate(record, None) for record in records]


@DBOS.step()
def transform(records: Records) -> Records:
    """Each record with its transformed document."""
    return [stages.transform(record, None) for record in records]


@DBOS.step()
def store(records: Records) -> None:
    """Put the records' items."""
    if len(records) == 1:
        stages.store(records[0], None)
    else:
        stages.store_many(records)


@DBOS.workflow()
def process(records: Records) -> None:
    """Validate, transform and store records that share their checkpoints: one, or a chunk."""
    store(transform(validate(records)))


def serve(at_once: int, chunk: int) -> None:
    """Take batches of so many messages, without end, each through workflows of ``chunk``."""
    sqs, queue_url = boto3.client("sqs"), os.environ["QUEUE_URL"]
    while True:
        messages = list(_received(sqs, queue_url, at_once))
        for message in messages:
            note("take", message["MessageId"])
        chunks = [messages[first : first + chunk] for first in range(0, len(messages), chunk)]
        handles = [_started(some) for some in chunks]
        for first in range(0, len(messages), 10):
            _delete(sqs, queue_url, messages[first : first + 10])
        for handle in handles:
            handle.get_result()


def _received(sqs: Any, queue_url: str, most: int) -> Iterator[Any]:
    left, wait = most, WAIT_SECONDS
    while left:
        answer = sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=min(10, left), WaitTimeSeconds=wait
        )
        found = answer.get("Messages", [])
        if not found:
            return
        left, wait = left - len(found), 0
        yield from found


def _started(messages: Any) -> Any:
    records = [{"message_id": m["MessageId"], "body": m["Body"]} for m in messages]
    ids = " ".join(record["message_id"] for record in records)
    name = ids if len(records) == 1 else hashlib.sha256(ids.encode()).hexdigest()
    with SetWorkflowID(name):
        return DBOS.start_workflow(process, records)


def _delete(sqs: Any, queue_url: str, messages: Any) -> None:
    entries = [
        {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
        for number, message in enumerate(messages)
    ]
    sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries)


@sqlalchemy.event.listens_for(sqlalchemy.Engine, "before_cursor_execute")
def _writing(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    if statement.lstrip().upper().startswith(_WRITES):
        connection.info["has_written"] = True


@sqlalchemy.event.listens_for(sqlalchemy.Engine, "commit")
def _committed(connection: Any) -> None:
    if connection.info.pop("has_written", False):
        note("commit", "-")


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Serve until the process that has started this one ends, or ends it."""
    at_once, chunk = map(int, sys.argv[1:])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    DBOS(config={"name": "peer", "system_database_url": os.environ["DATABASE_URL"]})
    DBOS.launch()
    receivers = [
        threading.Thread(target=serve, args=(at_once, chunk), daemon=True) for _ in range(RECEIVERS)
    ]
    for receiver in receivers:
        receiver.start()
    note("ready", str(os.getpid()))
    for receiver in receivers:
        receiver.join()


if __name__ == "__main__":
    main()
