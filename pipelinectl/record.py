"""The life of one record: all that the pipeline knows of it, from message to item.

Whatever id one has leads to it. What is there at the end, an item or a dead letter, names its last
execution; what came before is found in operators' audit lines, and in the inputs of executions that
began when it was sent, and when it was sent again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pipeline_core.messages import UUID
from pipeline_core.objects import ObjectId
from pipelinectl.dead_letters import identity_of, moment_of
from pipelinectl.deliveries import Delivery, Wanted, delivered_in, deliveries_in
from pipelinectl.errors import NotFoundError, ambiguous
from pipelinectl.executions import unless_gone
from pipelinectl.objects import object_of, resolves_to

if TYPE_CHECKING:
    from pipeline_core.catalog import Catalog, CatalogEntry
    from pipelinectl.audit import Action, Audit, Found, Line
    from pipelinectl.aws import Stack
    from pipelinectl.dead_letters import DeadLetter, DeadLetterQueue, Letters
    from pipelinectl.deliveries import Delivered, Fate, KnownBy
    from pipelinectl.executions import Execution, Executions
    from pipelinectl.items import Item, Items

EXECUTIONS = 200
"""So many inputs of executions are read, if nothing else is said, to find earlier deliveries."""

MAX_LISTED = 20_000
"""So many executions are listed, at most, to find those that began at the time."""

MAX_ITEMS = 50_000
"""So many items are looked through, at most, for an id that is no key."""

_EARLIER = timedelta(minutes=1)
"""The clocks of services differ."""

_AT_ONCE = 4


@dataclass(frozen=True)
class Searched:
    """How far was looked: how many executions were listed, and how many inputs read.

    `bounds` say, each in a sentence, what ended before all was seen, or was not allowed.
    """

    listed: int = 0
    inputs: int = 0
    bounds: tuple[str, ...] = ()


ON_ITS_WAY = "on its way"
_ENDS: Mapping[Fate, str] = {
    "stored": "stored, and gone since",
    "dead letter": "dead letter, and gone since",
    "superseded": "superseded",
    "ended": "unknown",
}
"""Where a record is whose last delivery ended so, and of which there is nothing now: items expire
and are deleted, and dead letters expire and are purged."""


@dataclass(frozen=True)
class Life:
    """All that is known of one record.

    `execution_id` is the key of its item; `message_ids` are those of the messages that it came in.
    `deliveries` and `acts`, which are operators' audit lines, are the oldest first. `entry` is that
    of the catalog, where it is an object.
    """

    execution_id: str
    message_ids: tuple[str, ...]
    item: Item | None
    dead_letters: tuple[DeadLetter, ...]
    deliveries: tuple[Delivery, ...]
    acts: tuple[Line, ...]
    entry: CatalogEntry | None
    searched: Searched

    @property
    def object_id(self) -> ObjectId | None:
        """The object that it is, if it is one."""
        return object_of(self.entry) if self.entry else None

    @property
    def state(self) -> str:
        """Where it is now, in some words."""
        if self.dead_letters:
            return "stored, and a dead letter" if self.item else "dead letter"
        if self.item:
            return "stored"
        if self.acts and self.acts[-1]["action"] == "discard":
            return "discarded"
        if self.entry and self.entry["state"] in ("failed", "deleted"):
            return self.entry["state"]
        if not self.deliveries or self._sent_since(self.deliveries[-1]):
            return ON_ITS_WAY
        return _ENDS.get(self.deliveries[-1].fate, ON_ITS_WAY)

    @property
    def goes_on(self) -> bool:
        """Whether it is under way, as far as that is known."""
        if self.state == ON_ITS_WAY:
            return True
        last = self.deliveries[-1] if self.deliveries else None
        return last is not None and (last.fate not in _ENDS or self._sent_since(last))

    def _sent_since(self, last: Delivery) -> bool:
        """Whether an operator has sent it again, and no execution is known to have had it yet."""
        sent = [line["at"] for line in self.acts if line["action"] in _SENDS]
        if not sent or last.started_at is None:
            return False
        return max(map(datetime.fromisoformat, sent)) > last.started_at


@dataclass(frozen=True)
class Records:
    """Where lives are read from."""

    stack: Stack
    items: Items
    dead_letters: DeadLetterQueue
    executions: Executions
    audit: Audit
    catalog: Catalog

    def life(
        self,
        reference: str,
        *,
        executions: int = EXECUTIONS,
        letters: Letters | None = None,
    ) -> Life:
        """The life of the record that `reference` means.

        That is an execution_id, a record_id, the id of a message or of a dead letter, an object
        (s3://bucket/key, a key behind a door, the id of an upload), or the beginning of an id.
        `executions` is how many inputs are read, at most, to find it and earlier deliveries;
        `letters` are the dead letters, for whoever has read them already.

        Raises:
            NotFoundError: there is no such record.
            UsageError: it is the beginning of several records' ids.
        """
        if letters is None:
            letters = self.dead_letters.read()
        return _Search(self, letters, executions).run(reference)


class _Search:
    """One search: what it has read so far, and where it had to end."""

    def __init__(self, records: Records, letters: Letters, executions: int) -> None:
        self._of = records
        self._environment = records.stack.environment
        self._letters = letters.letters
        self._inputs_left = executions
        self._listed = self._inputs = 0
        self._bounds: list[str] = []
        self._ids: set[str] = set()
        self._met: list[str] = []
        self._known: dict[str, list[Delivered]] = {}
        if not letters.complete:
            self._bound(f"only {len(self._letters):,} dead letters were looked through")

    def run(self, reference: str) -> Life:
        object_id = resolves_to(reference, self._of.stack)
        execution_id = self._execution_id(reference, object_id)
        item = self._of.items.get(execution_id)
        letters = [one for one in self._letters if self._identity(one) == execution_id]
        self._learn_ids(execution_id, item, letters)
        acts = self._acts(execution_id, _first_sent(item, letters))
        deliveries = self._deliveries(execution_id, item, letters, acts)
        self._ids |= {one.message_id for one in deliveries if one.message_id}
        entry = self._entry(object_id, item)
        if not (item or letters or acts or deliveries or entry):
            raise NotFoundError(self._not_found(reference))
        return Life(
            execution_id=execution_id,
            message_ids=tuple(sorted(self._ids)),
            item=item,
            dead_letters=tuple(letters),
            deliveries=tuple(deliveries),
            acts=tuple(acts),
            entry=entry,
            searched=Searched(self._listed, self._inputs, tuple(self._bounds)),
        )

    # Which record is meant

    def _execution_id(self, reference: str, object_id: ObjectId | None) -> str:
        keys = (reference, f"{self._environment}-{reference}")
        if existing := self._of.items.existing(keys):
            return next(key for key in keys if key in existing)
        if object_id is not None:
            return object_id.execution_id(self._environment or "")
        found = (
            self._exactly(reference) or self._by_beginning(reference) or self._in_inputs(reference)
        )
        if len(found) > 1:
            raise ambiguous(reference, "records", found)
        if not found:
            raise NotFoundError(self._not_found(reference))
        return found.pop()

    def _exactly(self, reference: str) -> set[str]:
        """Whose dead letter or audit line names the very id."""
        letters = {
            self._identity(one)
            for one in self._letters
            if reference in (one.message_id, one.original_message_id, self._identity(one))
        }
        if letters:
            self._ids |= {reference} if UUID.fullmatch(reference) else set()
            return letters
        return _identities(self._lines({reference}, None))

    def _by_beginning(self, reference: str) -> set[str]:
        """Whose item, dead letter or audit line has an id that begins so."""
        beginnings = [reference, f"{self._environment}-{reference}"]
        keys, complete = self._of.items.beginning(beginnings, MAX_ITEMS)
        if not complete:
            self._bound(f"only the first {MAX_ITEMS:,} items were looked through")
        letters = {
            self._identity(one)
            for one in self._letters
            if any(
                known.startswith(tuple(beginnings))
                for known in (one.message_id, one.original_message_id, self._identity(one))
            )
        }
        return set(keys) | letters or _identities(self._lines_beginning(reference))

    def _in_inputs(self, reference: str) -> set[str]:
        """Whose message, by an id that begins so, one of the newest executions had."""
        newest = itertools.islice(self._of.executions.newest(), self._inputs_left)
        met = [
            (execution.arn, one.execution_id)
            for execution, delivered in self._read(list(newest))
            for one in delivered
            if one.message_id.startswith(reference) or one.execution_id.startswith(reference)
        ]
        self._met = [arn for arn, _ in met]
        return {execution_id for _, execution_id in met}

    def _not_found(self, reference: str) -> str:
        looked = (
            f"items, dead letters ({len(self._letters):,}), audit lines, and inputs of the newest "
            f"executions ({self._inputs:,})"
        )
        more = "".join(f"; {bound}" for bound in self._bounds)
        return (
            f"no record '{reference}' in {looked}{more}: it may still wait in a queue, or its "
            "execution be older: try --executions with more of them, or the record's own id"
        )

    def _identity(self, letter: DeadLetter) -> str:
        return identity_of(letter, self._environment)

    # What is known of it

    def _learn_ids(
        self, execution_id: str, item: Item | None, letters: Iterable[DeadLetter]
    ) -> None:
        """The ids of its messages, as far as they stand in what there is of it."""
        own = execution_id.removeprefix(f"{self._environment}-")
        self._ids |= {own} if UUID.fullmatch(own) else set()
        self._ids |= {item.text("message_id")} if item and item.text("message_id") else set()
        self._ids |= {one.original_message_id for one in letters}

    def _entry(self, object_id: ObjectId | None, item: Item | None) -> CatalogEntry | None:
        if object_id is None and item is not None and "object" in item.attributes:
            bucket, _, key = item.text("object").partition("/")
            object_id = ObjectId(bucket, key)
        return self._of.catalog.get(object_id) if object_id else None

    def _acts(self, execution_id: str, first_sent: datetime | None) -> list[Line]:
        since = first_sent and first_sent - _EARLIER
        lines = self._lines({execution_id, *self._ids}, since)
        for line in lines:
            ids = (line.get("original_message_id"), line.get("new_message_id"))
            self._ids |= {one for one in ids if one}
        return lines

    def _lines(self, ids: set[str], since: datetime | None) -> list[Line]:
        return self._allowed(lambda: self._of.audit.find(ids, since))

    def _lines_beginning(self, reference: str) -> list[Line]:
        return self._allowed(lambda: self._of.audit.find_beginning(reference))

    def _allowed(self, find: Callable[[], Found]) -> list[Line]:
        """The lines that are found; none, which is said, where the caller may not read them."""
        from botocore.exceptions import ClientError

        try:
            found = find()
        except ClientError as error:
            self._bound(f"the audit lines were not read: {error.response['Error']['Code']}")
            return []
        if not found.complete:
            self._bound("there are more audit lines than were looked through")
        return list(found.lines)

    def _bound(self, said: str) -> None:
        if said not in self._bounds:
            self._bounds.append(said)

    def _deliveries(
        self,
        execution_id: str,
        item: Item | None,
        letters: Iterable[DeadLetter],
        acts: Sequence[Line],
    ) -> list[Delivery]:
        known = _known_executions(item, letters, acts)
        for arn in self._met:
            known.setdefault(arn, "input")
        wanted = Wanted(execution_id, frozenset(self._ids))
        found = [one for arn, by in known.items() for one in self._told(arn, by, wanted)]
        if _may_lack_some(found, self._ids):
            began = _times(_first_sent(item, letters), acts)
            for arn in self._searched(began, known.keys(), wanted):
                found += self._told(arn, "input", wanted)
        return sorted(found, key=lambda one: one.started_at or datetime.min.replace(tzinfo=UTC))

    def _told(self, arn: str, known_by: KnownBy, wanted: Wanted) -> list[Delivery]:
        """The deliveries that one execution's history tells of."""
        events = unless_gone(lambda: list(self._of.executions.history(arn)))
        return deliveries_in(events or [], arn, known_by, wanted, self._environment)

    def _searched(
        self, began: Sequence[datetime], known: Collection[str], wanted: Wanted
    ) -> list[str]:
        """The executions that had the record, among those that began when it was sent."""
        listed = self._list(began[0] if began else None)
        share = self._inputs_left // max(len(began), 1)
        found: list[str] = []
        for start, end in itertools.zip_longest(began, began[1:]):
            window = [
                one
                for one in listed
                if one.started_at >= start and (end is None or one.started_at < end)
            ]
            read = [one for one in window if one.arn in self._known]
            unknown = [one for one in window if one.arn not in {*known, *self._known}]
            if len(unknown) > share:
                first = "" if read else "the first "
                self._bound(
                    f"of {len(window):,} executions from {start:%Y-%m-%d %H:%M:%S} UTC on, the "
                    f"inputs of {first}{len(read) + share:,} were read"
                )
            found += [
                one.arn
                for one, delivered in self._read([*read, *unknown[:share]])
                if one.arn not in known and wanted.among(delivered)
            ]
        return found

    def _list(self, since: datetime | None) -> list[Execution]:
        """The executions that began since then, the oldest first."""
        newest = self._of.executions.newest(limit=MAX_LISTED)
        listed = list(
            itertools.takewhile(lambda one: since is not None and one.started_at >= since, newest)
        )
        self._listed += len(listed)
        if len(listed) == MAX_LISTED:
            self._bound(f"only the newest {MAX_LISTED:,} executions were listed")
        return listed[::-1]

    def _read(self, executions: Sequence[Execution]) -> Iterator[tuple[Execution, list[Delivered]]]:
        """The executions with the records in their inputs, each of which is read once."""
        wanted = [one for one in executions if one.arn not in self._known]
        self._inputs += len(wanted)
        self._inputs_left -= len(wanted)
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="input") as pool:
            read = pool.map(self._delivered, wanted)
            self._known |= {one.arn: found for one, found in zip(wanted, read, strict=True)}
        yield from ((one, self._known[one.arn]) for one in executions)

    def _delivered(self, execution: Execution) -> list[Delivered]:
        """The records in an execution's input; none where it is not kept."""
        found = unless_gone(lambda: self._of.executions.input_of(execution.arn))
        return delivered_in((found and found.payload) or "", self._environment)


_SENDS: tuple[Action, ...] = ("redrive", "reprocess", "retry")


def _identities(lines: Iterable[Line]) -> set[str]:
    return {line["execution_id"] for line in lines if "execution_id" in line}


def _first_sent(item: Item | None, letters: Iterable[DeadLetter]) -> datetime | None:
    """When the record was first sent, as far as that is known."""
    times = [one.first_sent for one in letters if one.first_sent]
    if item is not None and (sent := item.text("sent_timestamp")) not in ("", "0"):
        times.append(int(sent))
    return moment_of(min(times)) if any(times) else None


def _known_executions(
    item: Item | None, letters: Iterable[DeadLetter], acts: Iterable[Line]
) -> dict[str, KnownBy]:
    """The executions that what there is names, each with where."""
    known: dict[str, KnownBy] = {}
    if item is not None and (arn := item.text("durable_execution_arn")):
        known[arn] = "item"
    for letter in letters:
        if letter.durable_execution_arn:
            known.setdefault(letter.durable_execution_arn, "dead letter")
    for line in acts:
        if "durable_execution_arn" in line:
            known.setdefault(line["durable_execution_arn"], "audit line")
    return known


def _times(first_sent: datetime | None, acts: Iterable[Line]) -> list[datetime]:
    """When the record was sent, and sent again, somewhat earlier."""
    again = [datetime.fromisoformat(line["at"]) for line in acts if line["action"] in _SENDS]
    return sorted(time - _EARLIER for time in ([first_sent] if first_sent else []) + again)


def _may_lack_some(found: Sequence[Delivery], message_ids: Collection[str]) -> bool:
    """Whether a message had deliveries that are not among those `found`.

    SQS counts them: of one that was received three times, three are to be found.
    """
    counts: dict[str, set[int]] = {one: set() for one in message_ids}
    for one in found:
        if one.message_id is not None:
            counts.setdefault(one.message_id, set()).add(one.receive_count or 1)
    return any(not seen or seen != set(range(1, max(seen) + 1)) for seen in counts.values())
