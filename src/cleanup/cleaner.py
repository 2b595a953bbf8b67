"""What an event makes the cleanup function look at, and do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from aws_lambda_powertools import Logger

from cleanup.input import Objects, Queue
from cleanup.items import Items
from cleanup.results import Results
from shared.object_catalog import Catalog, CatalogEntry, entry_of, supersedes
from shared.objects import SEQUENCER_DIGITS, ObjectId, ObjectState
from shared.processing_events import ProcessingEvent
from shared.s3_events import S3Event

logger = Logger(child=True)

TOMBSTONE_DAYS = 30
"""How long a removal is remembered: longer than any event of an earlier state can be on its way."""

FINAL = frozenset({"done", "deleted"})


@dataclass(frozen=True)
class Known:
    """The latest state of an object that is known to have come, and its version, if it has one."""

    sequencer: str
    version_id: str | None


@dataclass(frozen=True)
class Cleaner:
    """Brings catalog, items and results in line with the objects, whatever order events come in."""

    objects: Objects
    catalog: Catalog
    items: Items
    results: Results
    queue: Queue

    def removed(self, event: S3Event, now: str) -> None:
        """An object or a version of it was removed: if the object is gone, so is all of it.

        Raises:
            NotDeleted, ClientError: not all of it is gone; the event has to come again.
        """
        object_id = ObjectId.of(event.state)
        if self.objects.current(object_id) is None and self._bury(event, now):
            self._remove_before(object_id, event.state["sequencer"])
        # Whoever brings it back before the tombstone is written finds no need to: so look again.
        self._send_unless_known(object_id, event.state["sequencer"], now)

    def finished(self, event: ProcessingEvent, now: str) -> None:
        """A state was processed: what was made of earlier ones goes, unless it is still in use.

        Raises:
            NotDeleted, ClientError: not all of it is gone; the event has to come again.
        """
        state, done = event["object"], event["event"] == "done"
        object_id = ObjectId.of(state)
        if done:
            self._make_known(event)
        bound = _in_use_from(
            self.catalog.get(object_id),
            self.items.sequencer(object_id),
            state["sequencer"] if done else None,
        )
        self._remove_before(object_id, bound)
        if "version_id" in state:
            processed = Known(state["sequencer"], state["version_id"])
            self._send_unless_known(object_id, state["sequencer"], now, processed)

    def _remove_before(self, object_id: ObjectId, sequencer: str) -> None:
        if removed := self.results.remove_before(object_id, sequencer):
            logger.info("results removed", extra={"object": object_id.path, "count": removed})

    def _bury(self, event: S3Event, now: str) -> bool:
        """Enter a tombstone and delete the item, unless a later state is known."""
        expiry = datetime.fromisoformat(now) + timedelta(days=TOMBSTONE_DAYS)
        tombstone = entry_of(
            event.state, "deleted", event.time or now, expires_at=int(expiry.timestamp())
        )
        return self.items.bury(self.catalog, tombstone)

    def _make_known(self, event: ProcessingEvent) -> None:
        """A removal that comes next must not find the catalog still with an earlier state.

        Whoever tells the operators enters that it is done; it may not have come to that.
        """
        state = event["object"]
        entry = entry_of(state, "processing", event["at"], execution_id=event["execution_id"])
        if supersedes(entry, self.catalog.get(ObjectId.of(state))):
            self.catalog.write(entry)

    def _send_unless_known(
        self, object_id: ObjectId, after: str, now: str, processed: Known | None = None
    ) -> None:
        """Have the object's current version processed if it is not the latest that is known.

        So it is when a delete marker or a later version was removed, or when events came late.
        Where objects have no versions, what is there was created, of which its own event tells.
        """
        current = self.objects.current(object_id)
        if current is None or "version_id" not in current:
            return
        latest = _latest(self.catalog.get(object_id), processed)
        if latest and latest.version_id == current["version_id"]:
            return
        sequencer = following(max(after, latest.sequencer if latest else ""))
        state: ObjectState = {**current, "sequencer": sequencer}
        self.queue.send(state, now)
        logger.info("sent to be processed", extra={"object": state})
        self.catalog.write(entry_of(state, "received", now, received_at=now))


def following(sequencer: str) -> str:
    """The sequencer next to ``sequencer``: later than it, and earlier than all that S3 will give.

    S3's have about 18 digits of the 32, so there is room between any two of them.
    """
    return f"{int(sequencer, 16) + 1:0{SEQUENCER_DIGITS}X}"


def _latest(entry: CatalogEntry | None, processed: Known | None) -> Known | None:
    candidates = [] if processed is None else [processed]
    if entry is not None:
        version_id = None if entry["state"] == "deleted" else entry.get("version_id")
        candidates.append(Known(entry["sequencer"], version_id))
    return max(candidates, key=lambda known: known.sequencer, default=None)


def _in_use_from(entry: CatalogEntry | None, stored: str | None, done: str | None) -> str:
    """The sequencer before which no results are in use any more.

    Those of an earlier state stay until a later one is done, or the object removed: until then the
    item of the earlier one points to them.
    """
    final = entry["sequencer"] if entry is not None and entry["state"] in FINAL else None
    return max(final or "", stored or "", done or "")
