"""Compares what was sent with what was found, message by message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.sending import Book, Sending

REASON = ("stage", "error_type", "error_message")

REJECTIONS = frozenset(
    {"InvalidJson", "NotStorable", "RecordTooLarge", "UnknownProcessingType", "ValidationError"}
)
"""What is wrong with a record, and not with what should have processed it."""

ENVIRONMENT = "chaos"
"""The prefix of the ids that the pipeline gives; none of the producers' has it."""


@dataclass(frozen=True)
class Item:
    """An item: whose it is, and the document that it was made of, as canonical JSON."""

    execution_id: str
    message_id: str
    document: str

    @property
    def sent_id(self) -> str:
        """The id under which it was sent; the pipeline may have sent it on under another."""
        return sent_id(self.execution_id) or self.message_id


@dataclass(frozen=True)
class Letter:
    """A message of the dead-letter queue; ``attributes`` is empty where SQS itself has moved it."""

    message_id: str
    body: str
    attributes: Mapping[str, str]

    @property
    def original_id(self) -> str:
        """The id under which it was sent to the pipeline; SQS keeps the id of what it moves."""
        own = self.attributes.get("original_message_id", self.message_id)
        return sent_id(self.attributes.get("execution_id", "")) or own

    @property
    def is_given_up(self) -> bool:
        """Whether its record was all right, and its last delivery was hit as all before it were."""
        return self.attributes.get("error_type") not in REJECTIONS


@dataclass(frozen=True)
class Found:
    """All that is left of the messages, and how many of them the queue still has."""

    items: Sequence[Item]
    letters: Sequence[Letter]
    queued: int


def sent_id(execution_id: str) -> str | None:
    """The message id of which the pipeline has made ``execution_id``, if it has."""
    prefix = f"{ENVIRONMENT}-"
    return execution_id.removeprefix(prefix) if execution_id.startswith(prefix) else None


def violations(book: Book, documents: Mapping[str, str], found: Found) -> list[str]:
    """What is wrong, one sentence each; ``documents`` gives the canonical JSON of each body."""
    return [
        *_of_the_queue(found),
        *_of_the_items(book, documents, found),
        *_of_the_letters(book, found),
        *_of_both(found),
    ]


def _of_the_queue(found: Found) -> Iterator[str]:
    if found.queued:
        yield f"{found.queued} messages are still queued"


def _of_the_items(book: Book, documents: Mapping[str, str], found: Found) -> Iterator[str]:
    items: dict[str, list[Item]] = {}
    for item in found.items:
        items.setdefault(item.document, []).append(item)
    given_up = given_up_ids(book, found.letters)
    letters = Counter(x.body for x in found.letters if x.is_given_up)
    stored = {documents[body]: s for body, s in book.items() if s.message.kind.is_stored}
    for document in items.keys() - stored.keys():
        yield f"an item that nobody sent, or that should be a dead letter: {document}"
    for document, sending in stored.items():
        letters_of_it = letters[sending.message.body]
        yield from _of_one_record(sending, items.get(document, []), given_up, letters_of_it)


def given_up_ids(book: Book, letters: Sequence[Letter]) -> frozenset[str]:
    """Ids of the messages that should be items, and ran out of deliveries under the kills."""
    stored = {body for body, sending in book.items() if sending.message.kind.is_stored}
    return frozenset(x.original_id for x in letters if x.body in stored and x.is_given_up)


def _of_one_record(
    sending: Sending, items: Sequence[Item], given_up: frozenset[str], letters: int
) -> Iterator[str]:
    body, sent = sending.message.body, set(sending.ids)
    ids = {item.sent_id for item in items}
    if sending.message.has_record_id:
        # Its messages make one item; without any, each of them must be accounted for.
        right = len(items) == 1 or (not items and letters >= len(sent))
    else:
        least, most = _range(sending)
        right = least <= len(items) + len(sent & given_up) <= most and sent <= ids | given_up
    if not right:
        yield f"sent {sorted(sent)}, stored {sorted(ids)}, of {body[:200]}"


def _of_the_letters(book: Book, found: Found) -> Iterator[str]:
    letters: dict[str, list[Letter]] = {}
    for letter in found.letters:
        letters.setdefault(letter.body, []).append(letter)
        yield from _of_one_letter(letter)
    dead = {body: s for body, s in book.items() if not s.message.kind.is_stored}
    for body in letters.keys() - dead.keys():
        if body in book and all(letter.is_given_up for letter in letters[body]):
            continue
        yield f"a dead letter that nobody sent, or that should be an item: {letters[body]}"
    for body, sending in dead.items():
        ids = {letter.original_id for letter in letters.get(body, ())}
        least, most = _range(sending)
        # What has an id of its producer's and was sent on has another message id than it had.
        known = sending.message.has_record_id or set(sending.ids) <= ids
        if not (least <= len(ids) <= most and known):
            yield f"dead letters of {sorted(ids)}, not of {sending.ids}: {body}"


def _of_one_letter(letter: Letter) -> Iterator[str]:
    if missing := [name for name in REASON if not letter.attributes.get(name)]:
        yield f"a dead letter without {', '.join(missing)}: {letter}"


def _of_both(found: Found) -> Iterator[str]:
    both = {item.sent_id for item in found.items} & {x.original_id for x in found.letters}
    for message_id in both:
        yield f"message {message_id} is an item and a dead letter"


def _range(sending: Sending) -> tuple[int, int]:
    """How many messages of one body there are: at least those known of."""
    return len(sending.ids), len(sending.ids) + sending.unknown


@dataclass(frozen=True)
class Doubles:
    """Dead letters beyond the first of a message, and the executions that made them so.

    ``in_one_execution``: sent again, because a crash kept the first sending off the record.
    ``by_another_delivery``: the message was delivered again, because the answer of the execution
    that had sent its dead letter did not reach the queue.
    """

    in_one_execution: int
    by_another_delivery: int
    repeated: frozenset[str]
    unheard: frozenset[str]


def doubles(letters: Sequence[Letter]) -> Doubles:
    """The dead letters that there are more than messages they are of."""
    sendings = Counter((x.original_id, _execution(x)) for x in sorted(letters, key=_failed_at))
    executions: dict[str, list[str]] = {}
    for original_id, execution in sendings:
        executions.setdefault(original_id, []).append(execution)
    return Doubles(
        in_one_execution=sum(times - 1 for times in sendings.values()),
        by_another_delivery=sum(len(several) - 1 for several in executions.values()),
        repeated=frozenset(key[1] for key, times in sendings.items() if times > 1),
        unheard=frozenset(x for several in executions.values() for x in several[:-1]),
    )


def unexplained(double: Doubles, *, crashes: int, unheard: int) -> list[str]:
    """Executions that doubled dead letters though nothing had happened to them.

    At most so many can have crashed while they sent, and so many not have been heard.
    """
    found = []
    if len(double.repeated) > crashes:
        found.append(f"{len(double.repeated)} executions sent twice for {crashes} crashes")
    if len(double.unheard) > unheard:
        found.append(f"{len(double.unheard)} executions were not heard, {unheard} can have been")
    return found


def _execution(letter: Letter) -> str:
    return letter.attributes.get("durable_execution_arn", "")


def _failed_at(letter: Letter) -> str:
    return letter.attributes.get("failed_at", "")
