"""The demo's messages: those of `events/`, each with an identity of this run."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipelinectl import bodies, exact_json
from pipelinectl.bodies import Body
from pipelinectl.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_GOOD = ("standard.jsonl", "orders.jsonl")
_INVALID = "invalid.jsonl"
_NOT_JSON = "not-json.txt"
# More than fits into a message of SQS: it goes as a claim check.
_LARGE_BYTES = 3 * 512 * 1024


@dataclass(frozen=True)
class DemoMessage:
    """A body to send; `record_id` is None where the body has no place for one.

    `bad` is what the pipeline is expected to reject.
    """

    body: Body
    record_id: str | None
    bad: bool


@dataclass(frozen=True)
class Events:
    """Sample bodies, by what is to become of them."""

    good: tuple[Body, ...]
    bad: tuple[Body, ...]


def read_events(folder: Path) -> Events:
    """Read the sample events.

    Raises:
        NotFoundError: a file is missing.
    """
    good = tuple(itertools.chain.from_iterable(_lines(folder / name) for name in _GOOD))
    not_json = bodies.from_whole(_content(folder / _NOT_JSON), _NOT_JSON)
    return Events(good, (*_lines(folder / _INVALID), not_json))


def messages(events: Events, run: str, count: int) -> Iterator[DemoMessage]:
    """All bad bodies, spread among good ones that are repeated until there are `count` in all.

    The first one is good, and too large for a message of SQS.
    """
    every = max(2, count // (len(events.bad) + 1))
    good, bad = itertools.cycle(events.good), iter(events.bad)
    for number in range(1, max(count, every * len(events.bad)) + 1):
        rejected = next(bad, None) if number % every == 0 else None
        body = rejected or (_enlarged(next(good)) if number == 1 else next(good))
        yield _identified(body, f"demo-{run}-{number:05}", bad=bool(rejected))


def _enlarged(body: Body) -> Body:
    readings = list(range(100_000, 100_000 + _LARGE_BYTES // len("100000,")))
    document = exact_json.parse(body.text) | {"readings": readings}
    return replace(body, text=exact_json.dumps(document, indent=None))


def _identified(body: Body, record_id: str, *, bad: bool) -> DemoMessage:
    try:
        return DemoMessage(bodies.with_record_id(body, record_id), record_id, bad)
    except UsageError:
        # No JSON object: mark the text itself, and tell it from others by its message id.
        return DemoMessage(replace(body, text=f"{body.text} ({record_id})"), None, bad)


def _lines(path: Path) -> Iterator[Body]:
    return bodies.from_lines(_content(path), path.name)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"{path}: {error.strerror}: the demo sends the events of the project's folder"
        raise NotFoundError(msg) from error
