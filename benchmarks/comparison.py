"""Which peers are compared, with how much each, in which order: the rows of the one table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.cells import DBOS, PIPELINE, PLAIN, REFERENCE, BenchmarkError, Figures, Side
from benchmarks.peers import (
    AT_ONCE,
    KILL_SECONDS,
    KILLS,
    SECONDS,
    SETTLE_SECONDS,
    Dbos,
    Functions,
    Harm,
    Peer,
    Speed,
    measure_alone,
    measure_harm,
    speed_in,
)
from tests import postgres

SQLITE, POSTGRES = "SQLite", "Postgres"

DBOS_AT_ONCE = 10
"""Messages that a receiver of DBOS takes, if it does not chunk more: what SQS gives at a time."""

FEWEST, MOST = 10, 5000
"""Messages of a cell under kills."""


@dataclass(frozen=True)
class Candidate:
    """One row: what is compared, and how many messages share their checkpoints or an invocation.

    ``messages`` is for cells of its own; those of durable functions are measured elsewhere.
    """

    name: str
    chunk: int
    messages: int = 0
    database: str = ""

    @property
    def label(self) -> str:
        """As the table has it."""
        return f"{self.name}, {self.database}" if self.database else self.name


CANDIDATES = (
    Candidate(PIPELINE, 10),
    Candidate(PLAIN, 10, 1500),
    Candidate(DBOS, 1, 400, POSTGRES),
    Candidate(DBOS, 100, 2000, POSTGRES),
    Candidate(DBOS, 1, 100, SQLITE),
    Candidate(DBOS, 100, 2000, SQLITE),
    Candidate(REFERENCE, 10),
    Candidate(PIPELINE, 100),
    Candidate(PIPELINE, 1),
    Candidate(PIPELINE, 1000),
)
"""In the order in which they are measured; for the last ones there may be no time."""

Say = Callable[[str], None]


def rows(
    sides: Mapping[str, Side], figures: Sequence[Figures], deadline: float, say: Say
) -> list[dict[str, Any]]:
    """Each candidate alone and under kills, as JSON documents; what there is no time for lacks."""
    found = [*_rows(sides, figures, deadline, say)]
    names = [PIPELINE, REFERENCE, PLAIN, DBOS]
    return sorted(found, key=lambda row: (names.index(row["name"]), row["database"], row["batch"]))


def _rows(
    sides: Mapping[str, Side], figures: Sequence[Figures], deadline: float, say: Say
) -> Iterator[dict[str, Any]]:
    known = {(f.side, f.batch): f for f in figures if f.concurrency == AT_ONCE}
    with _databases(sides[DBOS], say) as urls:
        peers = {
            candidate: _peer(candidate, sides[candidate.name], urls)
            for candidate in CANDIDATES
            if not candidate.database or candidate.database in urls
        }
        alone = {c: _alone(c, peer, known, deadline, say) for c, peer in peers.items()}
        for candidate, peer in peers.items():
            speed = alone[candidate]
            if speed:
                harm = _harm(candidate, peer, speed, deadline, say)
                yield _row(candidate, speed, harm)


def _row(candidate: Candidate, speed: Speed, harm: Harm | None) -> dict[str, Any]:
    return {
        "peer": candidate.label,
        "name": candidate.name,
        "database": candidate.database,
        "batch": candidate.chunk,
        "speed": asdict(speed),
        "harm": harm and asdict(harm),
    }


def _alone(
    candidate: Candidate,
    peer: Peer,
    known: Mapping[tuple[str, int], Figures],
    deadline: float,
    say: Say,
) -> Speed | None:
    if not candidate.messages:
        figures = known.get((candidate.name, candidate.chunk))
        return speed_in(figures) if figures else None
    say(f"alone: {candidate.label}, {candidate.chunk:,}")
    if time.monotonic() + 2 * SECONDS > deadline:
        say("  left out: the time is used up")
        return None
    try:
        speed = measure_alone(peer, candidate.messages, candidate.messages // 5)
    except BenchmarkError as error:  # of a slow machine; the others are still worth their time
        say(f"  left out: {error}")
        return None
    say(f"  {speed.messages_per_second:.1f} messages a second")
    return speed


def _harm(candidate: Candidate, peer: Peer, speed: Speed, deadline: float, say: Say) -> Harm | None:
    say(f"under kills: {candidate.label}, {candidate.chunk:,}")
    if time.monotonic() + KILL_SECONDS + SETTLE_SECONDS > deadline:
        say("  left out: the time is used up")
        return None
    messages = min(MOST, max(FEWEST, round(speed.messages_per_second * KILLS)))
    try:
        harm = measure_harm(peer, messages)
    except BenchmarkError as error:
        say(f"  left out: {error}")
        return None
    say(f"  {harm.kills} kills: {harm.lost} lost, {harm.again} done again of {messages}")
    return harm


def _peer(candidate: Candidate, side: Side, urls: Mapping[str, Callable[[int], str]]) -> Peer:
    if not candidate.database:
        return Functions(side, candidate.label, candidate.chunk)
    url = urls[candidate.database](candidate.chunk)
    at_once = max(DBOS_AT_ONCE, candidate.chunk)
    return Dbos(side, candidate.label, candidate.chunk, at_once, url)


@contextmanager
def _databases(side: Side, say: Say) -> Iterator[Mapping[str, Callable[[int], str]]]:
    """What makes the URL of a new database for a chunk size; Postgres only where there is one."""

    def sqlite(chunk: int) -> str:
        return f"sqlite:///{side.settings.directory.resolve()}/dbos-{chunk}.sqlite"

    if postgres.find() is None:
        say("DBOS with Postgres is left out: there is none here")
        yield {SQLITE: sqlite}
        return
    # As it comes: what is committed is on the disk.
    with postgres.made(fsync=True) as server, server.serving():
        login = f"{postgres.OWNER}:{server.password}@{postgres.HOST}:{server.port}"
        yield {SQLITE: sqlite, POSTGRES: lambda chunk: f"postgresql://{login}/dbos_{chunk}"}
