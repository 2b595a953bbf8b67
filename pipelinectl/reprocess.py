"""Take stored records through the pipeline again, after what makes items of them was corrected.

A record goes from its item: from `original_data`, or from a copy of what `original_data_pointer`
points to. It is the same record, and replaces the item that it was read from and no other: what has
come meanwhile is newer and stays. An object goes by an event, as if S3 told of it once more.
"""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from os import SEEK_END
from tempfile import SpooledTemporaryFile, gettempdir
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar, cast

from pipeline_core import exact_json, messages
from pipeline_core.files import FILE_SUFFIXES
from pipeline_core.messages import MAX_ENTRIES, MAX_MESSAGE_BYTES, Carried, pointer_to
from pipeline_core.objects import ObjectId, ObjectState, Pointer, created_event, following
from pipelinectl.errors import OperationFailedError
from pipelinectl.exact_json import dumps
from pipelinectl.items import timestamp
from pipelinectl.objects import reference_to
from pipelinectl.redrive import held_back
from pipelinectl.sending import requests, size_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from mypy_boto3_s3.client import S3Client

    from pipeline_core.catalog import Catalog
    from pipelinectl.audit import Audit, Subject
    from pipelinectl.aws import Stack
    from pipelinectl.dead_letters import DeadLetter, DeadLetterQueue
    from pipelinectl.items import Item, Items
    from pipelinectl.sending import BatchOutcome, Pace, Refused, Sender

_NAMESPACE = uuid.UUID("5b1f8c55-9d3c-4a66-8f0e-6f4a3f0f6a10")
"""Of the keys of copies: the same record's has the same key, however often it goes again."""


@dataclass(frozen=True)
class Again:
    """A message that takes the record of an item through the pipeline again.

    Of an object, `sequencer` is that of the state that it tells of.
    """

    item: Item
    text: str
    carried: Carried
    sequencer: str = ""

    @property
    def origin(self) -> str:
        """The key of its item."""
        return self.item.execution_id

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The one attribute that says whose record it is."""
        return messages.attributes(self.carried)

    @property
    def message_group_id(self) -> str:
        """The group that its record was sent in, and is sent in again; empty of none."""
        return self.item.text("message_group_id")

    @property
    def subject(self) -> Subject:
        """What to say of it in an audit line."""
        return {
            "execution_id": self.item.execution_id,
            "original_message_id": self.item.text("message_id"),
        }


@dataclass(frozen=True)
class Skipped:
    """A record that does not go again, and why, in a sentence."""

    execution_id: str
    why: str


@dataclass(frozen=True)
class Sources:
    """Where that is found which records are made of again."""

    stack: Stack
    s3: S3Client
    catalog: Catalog

    def again(self, item: Item) -> Again | Skipped:
        """The message for the record of `item`; its content may be copied for the way."""
        if "row" in item.attributes:
            return self._of_row(item)
        if "object" in item.attributes:
            return self._of_object(item)
        pointer = item.attributes.get("original_data_pointer")
        if pointer is not None:
            return self._of_pointer(item, pointer)
        inline = Again(item, dumps(item.attributes["original_data"], indent=None), _known(item))
        if size_of(inline) <= MAX_MESSAGE_BYTES:
            return inline
        key = _copy_of(item)
        self.s3.put_object(Bucket=self.stack.payload_bucket, Key=key, Body=inline.text.encode())
        return self._pointing(item, key)

    def data_of(self, item: Item) -> str:
        """What was made of the record, as JSON text, without what tells when that was.

        Of a file it is what it came to; its results are not compared. Empty of what is gone.
        """
        data = item.attributes.get("transformed_data")
        if data is None:
            data = self._document(item.attributes["transformed_data_pointer"])
        is_file = item.text("object").lower().endswith(FILE_SUFFIXES)
        left_out = _OF_FILES if is_file else _OF_TIME
        kept = {name: data[name] for name in sorted(data) if name not in left_out}
        return dumps(kept, indent=None)

    def _of_pointer(self, item: Item, pointer: Mapping[str, Any]) -> Again | Skipped:
        bucket, key = str(pointer["bucket"]), str(pointer["key"])
        source: Any = {"Bucket": bucket, "Key": key}
        if "version_id" in pointer:
            source["VersionId"] = pointer["version_id"]
        unchanged: Any = {}
        if "etag" in pointer:
            unchanged["CopySourceIfMatch"] = f'"{pointer["etag"]}"'
        copy = _copy_of(item)
        copied = _unless_gone(
            lambda: self.s3.copy_object(
                Bucket=self.stack.payload_bucket, Key=copy, CopySource=source, **unchanged
            )
        )
        if copied is None:
            why = f"its original s3://{bucket}/{key} is gone, or was overwritten"
            return Skipped(item.execution_id, why)
        return self._pointing(item, copy)

    def _pointing(self, item: Item, key: str) -> Again:
        return Again(item, pointer_to(self.stack.payload_bucket, key), _known(item))

    def _of_object(self, item: Item) -> Again | Skipped:
        """By an event of the state that follows on the item's, earlier than any that S3 will tell.

        So all is made anew, and what was made before goes when it is done, as after any change.
        """
        bucket, _, key = item.text("object").partition("/")
        object_id, sequencer = ObjectId(bucket, key), item.text("sequencer")
        name = reference_to(object_id, self.stack)
        entry = self.catalog.get(object_id)
        if entry is not None and entry["sequencer"] > sequencer:
            why = f"a newer state of {name} is {entry['state']}: that one counts"
            return Skipped(item.execution_id, why)
        known: Mapping[str, Any] = entry or item.attributes["original_data_pointer"]
        current = self._current(object_id)
        if current is None:
            why = f"{name} is not there any more: upload it again, or send its content in a message"
            return Skipped(item.execution_id, why)
        if any(known[pin] != current.get(pin) for pin in _PINS if pin in known):
            why = f"{name} was replaced: its own event brings what is there now"
            return Skipped(item.execution_id, why)
        state = cast("ObjectState", {**current, "sequencer": following(sequencer)})
        carried: Carried = {"door": "objects", "sent_timestamp": _sent_timestamp(item)}
        return Again(
            item,
            json.dumps(created_event(state, timestamp(datetime.now(UTC)))),
            carried,
            state["sequencer"],
        )

    def _of_row(self, item: Item) -> Skipped:
        """A row goes with its file, whose event brings all of them."""
        bucket, _, key = item.text("object").partition("/")
        name = reference_to(ObjectId(bucket, key), self.stack)
        why = f"it is a row of {name}: reprocess the file, whose rows go with it"
        return Skipped(item.execution_id, why)

    def _current(self, object_id: ObjectId) -> Pointer | None:
        """Where the object lies as it is now, pinned; None if it does not."""
        head = _unless_gone(lambda: self.s3.head_object(Bucket=object_id.bucket, Key=object_id.key))
        if head is None:
            return None
        current: Pointer = {
            "bucket": object_id.bucket,
            "key": object_id.key,
            "etag": head["ETag"].strip('"'),
            "size": head["ContentLength"],
        }
        if "VersionId" in head:
            current["version_id"] = head["VersionId"]
        return current

    def _document(self, pointer: Any) -> dict[str, Any]:
        from pipeline_core.payloads import pinned

        arguments: Any = pinned(pointer)
        found = _unless_gone(lambda: self.s3.get_object(**arguments)["Body"].read())
        document: dict[str, Any] = exact_json.loads(found.decode()) if found else {}
        return document


Found = TypeVar("Found")


def _unless_gone(ask: Callable[[], Found]) -> Found | None:
    """What S3 answers; None where the object is not there, or not as it was."""
    from botocore.exceptions import ClientError

    from pipeline_core.payloads import CHANGED, NOT_THERE

    try:
        return ask()
    except ClientError as error:
        if error.response["Error"]["Code"] not in NOT_THERE | CHANGED:
            raise
        return None


def _known(item: Item) -> Carried:
    """What is said of the record: whose it is, how old, and which item it replaces."""
    return {
        "execution_id": item.execution_id,
        "sent_timestamp": _sent_timestamp(item),
        "door": "messages",
        "replaces": item.text("stored_at"),
    }


def _sent_timestamp(item: Item) -> int:
    return int(item.attributes["sent_timestamp"])


def _copy_of(item: Item) -> str:
    return str(uuid.uuid5(_NAMESPACE, item.execution_id))


@dataclass(frozen=True)
class Sent:
    """A record that was sent again, as the message `message_id`.

    `stored_at`, `sent_timestamp` and what `data` gives are those of the item that it is to replace;
    it gives nothing where nobody will compare. Of an object, `sequencer` is that of its new item.
    `sent_at` is somewhat before it was sent.
    """

    execution_id: str
    message_id: str
    stored_at: str
    sent_timestamp: str
    sent_at: datetime
    sequencer: str = ""
    data: Callable[[], str] = str

    def is_in(self, item: Item) -> bool:
        """Whether `item` is what became of it, and not of something newer."""
        if self.sequencer:
            return item.text("sequencer") == self.sequencer
        return item.text("sent_timestamp") == self.sent_timestamp


_IN_MEMORY_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Kept:
    """Texts that are kept to be compared with what comes: all of a table, which no memory holds.

    What is more than some MB lies in a file without a name, which is gone when this is closed.
    """

    _file: IO[bytes] = field(
        default_factory=lambda: SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - `close` does
    )

    def put(self, text: str) -> Callable[[], str]:
        """Keep `text`; what gives it back.

        Raises:
            OperationFailedError: there is no room for it.
        """
        content = text.encode()
        try:
            start = self._file.seek(0, SEEK_END)
            self._file.write(content)
            self._file.flush()
        except OSError as error:
            msg = (
                f"what is to be compared has no room in {gettempdir()} ({error.strerror}): name a "
                "folder that has with TMPDIR, or go on without --wait"
            )
            raise OperationFailedError(msg) from error
        return partial(self._get, start, len(content))

    def _get(self, start: int, size: int) -> str:
        self._file.seek(start)
        return self._file.read(size).decode()

    def close(self) -> None:
        """Forget them."""
        self._file.close()

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class Reprocessed:
    """What became of the records so far.

    `gone` are keys whose item is not what it was when it was chosen, `untold` those that were dealt
    with while the log group took no line of how that ended.
    """

    sent: list[Sent] = field(default_factory=list)
    refused: list[Refused[Again]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Reprocess:
    """Takes the records of items through the pipeline again; `done` says how far it has come.

    `still` asks each item, when it is its turn, whether it is still wanted: one that was stored
    anew since it was chosen is none of those meant. With `kept` the data of each item are there.
    """

    items: Items
    sources: Sources
    sender: Sender
    audit: Audit
    pace: Pace
    still: Callable[[Item], bool] = lambda _: True
    note: str | None = None
    kept: Kept | None = None
    done: Reprocessed = field(default_factory=Reprocessed)

    def run(self, execution_ids: Iterable[str]) -> Generator[int, None, None]:
        """Send the records of these items; yields how many were dealt with each time.

        None is sent without its audit line. Sent twice, a record comes to one item.

        Raises:
            NotWritten: the log group took no line; what it was about was not sent.
        """
        remaining = iter(execution_ids)
        while keys := list(itertools.islice(remaining, _AT_ONCE)):
            found = [item for item in self.items.some(keys) if self.still(item)]
            here = {item.execution_id for item in found}
            self.done.gone += [key for key in keys if key not in here]
            yield len(keys) - len(found)
            yield from self._send_all(found)

    def _send_all(self, items: Iterable[Item]) -> Iterator[int]:
        made = [self.sources.again(item) for item in items]
        skipped = [one for one in made if isinstance(one, Skipped)]
        self.done.skipped += skipped
        yield len(skipped)
        again = [one for one in made if isinstance(one, Again)]
        for batch in requests(again, self.pace.batch(MAX_ENTRIES)):
            self.pace.wait(len(batch))
            with held_back():
                self._send(batch)
            yield len(batch)

    def _send(self, batch: list[Again]) -> None:
        # Before it is sent: what its item points to may be overwritten as soon as it is.
        data = {one.origin: self._keep(one.item) for one in batch}
        self.audit.before("reprocess", [one.subject for one in batch], self.note)
        sent_at = datetime.now(UTC)
        outcome = self.sender.send_batch(batch)
        self.done.refused += outcome.refused
        self.done.sent += [
            Sent(
                execution_id=one.message.origin,
                message_id=one.message_id,
                stored_at=one.message.item.text("stored_at"),
                sent_timestamp=one.message.item.text("sent_timestamp"),
                sent_at=sent_at,
                sequencer=one.message.sequencer,
                data=data[one.message.origin],
            )
            for one in outcome.sent
        ]
        if not self.audit.after("reprocess", _results(outcome)):
            self.done.untold += [one.origin for one in batch]

    def _keep(self, item: Item) -> Callable[[], str]:
        return self.kept.put(self.sources.data_of(item)) if self.kept else str


def _results(outcome: BatchOutcome[Again]) -> list[Subject]:
    """What to say of records that were sent, or refused."""
    results: list[Subject] = [
        one.message.subject | {"result": "sent", "new_message_id": one.message_id}
        for one in outcome.sent
    ]
    refusals = ((f"refused: {one.code}", one.message.subject) for one in outcome.refused)
    return results + [subject | {"result": said} for said, subject in refusals]


_AT_ONCE = 100
"""Items are read so many at a time, when it is their turn."""


# What has changed, once they were processed

What = Literal["changed", "unchanged", "dead letter", "newer", "removed", "waiting"]
"""What became of a record: its item has other data, or the same; it was given up, and the item is
as it was; the item is by now that of a newer message, or removed; or nothing yet."""


@dataclass(frozen=True)
class Change:
    """What became of one record; `fields` are those of its data that differ, with both values."""

    execution_id: str
    what: What
    fields: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    reason: str = ""


MISSING = "(none)"
"""In place of the value of a field that is not there."""


@dataclass(frozen=True)
class Waiting:
    """Waits for what becomes of records that were sent; `sleep` and `clock` are in seconds.

    Whoever has `held` may receive from the dead-letter queue.
    """

    items: Items
    sources: Sources
    dead_letters: DeadLetterQueue
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    held: AbstractContextManager[object] = field(default_factory=nullcontext)

    def changes(self, sent: Iterable[Sent], seconds: float) -> Iterator[Change]:
        """Each record's change as soon as it is known; those not known in time come last.

        Dead letters are looked for now and then, which hides them from others for some seconds.
        """
        pending = {one.execution_id: one for one in sent}
        own = frozenset(one.message_id for one in pending.values())
        give_up_at = self.clock() + seconds
        look_at = self.clock() + _LETTERS_SECONDS
        while pending:
            known = self._settled(pending)
            if self.clock() >= look_at:
                known += self._given_up(pending, own)
                look_at = self.clock() + _LETTERS_SECONDS
            for change in known:
                if pending.pop(change.execution_id, None):
                    yield change
            if self.clock() + _PAUSE_SECONDS > give_up_at:
                break
            if pending:
                self.sleep(_PAUSE_SECONDS)
        yield from (Change(key, "waiting") for key in pending)

    def _settled(self, pending: Mapping[str, Sent]) -> list[Change]:
        found = {item.execution_id: item for item in self.items.some(pending, _MARKS)}
        settled = [Change(key, "removed") for key in pending if key not in found]
        anew = [
            key for key, item in found.items() if item.text("stored_at") != pending[key].stored_at
        ]
        return settled + [self._change(pending[i.execution_id], i) for i in self.items.some(anew)]

    def _change(self, sent: Sent, item: Item) -> Change:
        if not sent.is_in(item):
            return Change(item.execution_id, "newer")
        before, after = _read(sent.data()), _read(self.sources.data_of(item))
        fields = {
            name: (before.get(name, MISSING), after.get(name, MISSING))
            for name in sorted(before.keys() | after.keys())
            if before.get(name, MISSING) != after.get(name, MISSING)
        }
        return Change(item.execution_id, "changed" if fields else "unchanged", fields)

    def _given_up(self, pending: Mapping[str, Sent], own: frozenset[str]) -> list[Change]:
        """Those that are dead letters; `own` are the ids of all messages that are waited for."""
        by_message = {one.message_id: key for key, one in pending.items()}
        # What was sent on because of its neighbours has another message by now.
        by_item = {(key, one.stored_at): key for key, one in pending.items()}

        def meant(letter: DeadLetter) -> str | None:
            if letter.original_message_id in own:
                return by_message.get(letter.original_message_id)
            key = by_item.get(_bound_to(letter))
            # One that is older is of an earlier run, which was to replace the same item.
            return key if key and letter.failed_at >= pending[key].sent_at else None

        with self.held:
            return [
                Change(key, "dead letter", reason=f"{letter.error_type}: {letter.error_message}")
                for letter in self.dead_letters.peek()
                if (key := meant(letter)) is not None
            ]


def _bound_to(letter: DeadLetter) -> tuple[str, str]:
    """The item that a dead letter's record was made of again, as its key and when it was stored."""
    carried = letter.carried or {}
    return carried.get("execution_id", ""), carried.get("replaces", "")


def _read(data: str) -> dict[str, Any]:
    document: dict[str, Any] = exact_json.loads(data) if data else {}
    return document


_PINS = ("version_id", "etag")
_MARKS = ("execution_id", "stored_at")
_OF_TIME = frozenset({"processing_metadata"})
_OF_FILES = _OF_TIME | {"manifest"}
_PAUSE_SECONDS = 1.0
_LETTERS_SECONDS = 10.0
