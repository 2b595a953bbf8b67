"""Takes away what a run has sent and what was made of it, as far as the operator's rights reach."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pipeline_core.files import UPLOAD_ID
from pipelinectl import errors
from pipelinectl.items import KEY, Items, Only
from pipelinectl.verify.judging import Run
from pipelinectl.verify.seen import Observations, said
from pipelinectl.verify.sent import IN_ORDER, MESSAGES_OBJECT, OBJECTS, Names, Sent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pipeline_core.objects import ObjectId
    from pipelinectl.verify.sent import Deployed

_RECORDS = ("message", "claim-check", "rejected", "same-record", "redriven", *IN_ORDER)
_HOLD_SECONDS = 60
_CLEANUP_SECONDS = 20.0
_PAUSE_SECONDS = 0.5


def clean(deployed: Deployed, prefix: str) -> list[str]:
    """Remove what a run of this prefix has left; answers as `remove`.

    What came through the uploads API has a name of its own: it is found by its item, for which the
    whole table is read.
    """
    ids: list[str] = []
    left = _attempted(
        "what came through the uploads API", lambda: ids.extend(_uploads(deployed, prefix))
    )
    observed = Observations(deployed, Sent(Names(prefix, deployed.stack, tuple(ids))))
    return left + remove(Run(deployed, (), observed))


def _uploads(deployed: Deployed, prefix: str) -> Iterator[str]:
    table = Items(deployed.connection.dynamodb, deployed.stack.table_name)
    for item in table.scan(Only(prefix.upper())):
        key = item.text("object").rpartition("/")[2]
        if UPLOAD_ID.fullmatch(key):
            yield key


def remove(run: Run) -> list[str]:
    """Remove all of a run; answers with what could not be removed, each in a sentence.

    Whatever AWS answers to one of its requests, or whether it answers at all, the rest is removed.
    """
    names, stack = run.names, run.deployed.stack
    inside = [place for place in names.objects.values() if place.bucket == stack.input_bucket]
    payloads = [names.objects[MESSAGES_OBJECT], names.claim_check, *names.uploads]
    folders = [f"{door}/{names.prefix}/" for door in ("input", "direct")]
    settled = _settled(run)
    left: list[str] = []
    for what, act in (
        ("objects in the input bucket", lambda: _delete_found(run, stack.input_bucket, folders)),
        ("what the pipeline removes by itself", lambda: _let_cleanup_end(run, inside)),
        ("objects in the payload bucket", lambda: _delete_objects(run, payloads)),
        (
            "results in the output bucket",
            lambda: _delete_found(run, stack.output_bucket, _derived([*inside, *payloads])),
        ),
        ("items", lambda: _delete_items(run)),
        ("entries of the catalog", lambda: _delete_entries(run, [*inside, *payloads])),
        ("dead letters", lambda: _delete_letters(run)),
    ):
        left += _attempted(what, act)
    return [*left, *_under_way(run, settled)]


def _attempted(what: str, act: Callable[[], None]) -> list[str]:
    try:
        act()
    except errors.expected() as error:
        return [f"{what}: {said(error)}"]
    return []


def _delete_objects(run: Run, places: Iterable[ObjectId]) -> None:
    for place in places:
        run.deployed.connection.s3.delete_object(Bucket=place.bucket, Key=place.key)


def _delete_found(run: Run, bucket: str, prefixes: Iterable[str]) -> None:
    """Only what is there: a versioned bucket would note the removal of what never was.

    Of such a bucket the object goes; its lifecycle removes the version after 30 days.
    """
    s3 = run.deployed.connection.s3
    for prefix in prefixes:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", []):
                s3.delete_object(Bucket=bucket, Key=found["Key"])


def _derived(places: Iterable[ObjectId]) -> Iterator[str]:
    """Below which, in the output bucket, lies what was made of objects and messages' payloads."""
    for place in places:
        yield place.results_prefix
        yield f"payloads/{place.name}/"


def _delete_items(run: Run) -> None:
    names, environment = run.names, run.deployed.environment
    places = [*names.objects.values(), *names.uploads]
    keys = [names.record_id(name) for name in _RECORDS]
    keys += [place.execution_id(environment) for place in places]
    keys += [key for name in names.objects for key in names.row_ids(name, environment)]
    keys += [f"{environment}-{i}" for ids in run.sent.message_ids.values() for i in ids]
    for key in keys:
        run.deployed.connection.dynamodb.delete_item(
            TableName=run.deployed.stack.table_name, Key={KEY: {"S": key}}
        )


def _delete_entries(run: Run, places: Iterable[ObjectId]) -> None:
    for place in places:
        run.deployed.connection.dynamodb.delete_item(
            TableName=run.deployed.stack.catalog_table, Key={"object": {"S": place.path}}
        )


def _delete_letters(run: Run) -> None:
    held = run.observed.queue.hold(_HOLD_SECONDS)
    try:
        for letters in held.receives():
            held.delete([one for one in letters if run.observed.is_own(one)])
    finally:
        held.release()


def _settled(run: Run) -> set[str]:
    """What has become an item or a dead letter, or was removed again."""
    names, environment = run.names, run.deployed.environment
    keys = {name: names.record_id(name) for name in _RECORDS}
    keys |= {name: place.execution_id(environment) for name, place in names.objects.items()}
    items = Items(run.deployed.connection.dynamodb, run.deployed.stack.table_name)
    wanted = {name: key for name, key in keys.items() if name in run.sent.done}
    try:
        there = items.existing(wanted.values())
    except errors.expected():
        there = set()  # whoever may not, or cannot, look is told that it is under way
    rejected = {name for name in run.sent.done if run.observed.letter_of(name)}
    return {name for name, key in wanted.items() if key in there} | rejected | run.removed


def _let_cleanup_end(run: Run, places: Sequence[ObjectId]) -> None:
    """Until the catalog says that all are deleted: an entry removed before would come again."""
    deadline = time.monotonic() + _CLEANUP_SECONDS
    while any(_state(run, place) not in ("", "deleted") for place in places):
        if time.monotonic() > deadline:
            return
        time.sleep(_PAUSE_SECONDS)


def _state(run: Run, place: ObjectId) -> str:
    return str(run.observed.entry(place).get("state", ""))


def _under_way(run: Run, settled: set[str]) -> list[str]:
    """What was sent and has neither become an item nor a dead letter: it will, some time."""
    sent = {name for name in run.sent.done if name in (*_RECORDS, *OBJECTS, "broken-json")}
    if sent <= settled:
        return []
    what = ", ".join(sorted(sent - settled))
    again = f"'pipelinectl verify --clean {run.names.prefix}'"
    return [f"{what}: still under way; when it is through, remove what becomes of it with {again}"]
