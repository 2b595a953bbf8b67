"""Takes a processing event into the catalog, and tells the operators if it is news."""

from __future__ import annotations

from notify.operators import Operators
from shared.object_catalog import Catalog, CatalogEntry, Details, State, entry_of, supersedes
from shared.objects import ObjectId
from shared.processing_events import EventName, ProcessingEvent

STATES: dict[EventName, State] = {
    "processing": "processing",
    "done": "done",
    "rejected": "failed",
    "failed": "failed",
}
"""What an event makes of its object's entry; a superseded one has an entry of a later state."""

TOLD: frozenset[EventName] = frozenset({"done", "rejected", "failed"})


def take(event: ProcessingEvent, catalog: Catalog, operators: Operators) -> bool:
    """Enter ``event`` and tell of it; whether it was news.

    The operators are told before the catalog is written: if either fails the event comes again and
    is still news. So they are told at least once of whatever the catalog takes, a second time only
    if this function dies or is refused between the two, or has the same event twice at once.
    """
    if (entry := entry_for(event)) is None:
        return False
    if event["event"] in TOLD:
        if not supersedes(entry, catalog.get(ObjectId.of(event["object"]))):
            return False
        operators.tell(event)
    return catalog.write(entry)


def entry_for(event: ProcessingEvent) -> CatalogEntry | None:
    """What the catalog should hold after ``event``; None if it tells the catalog nothing."""
    if (state := STATES.get(event["event"])) is None:
        return None
    details: Details = {"execution_id": event["execution_id"]}
    if "counts" in event:
        details["counts"] = event["counts"]
    if "manifest" in event:
        details["manifest"] = event["manifest"]
    if "reason" in event:
        details["reason"] = event["reason"]
    return entry_of(event["object"], state, event["at"], **details)
