"""What is sent: a mix of messages, no two bodies alike, so that each can be found again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from random import Random

from tests.events import order, standard

STAGES = ("validate", "transform", "store")
MAX_MESSAGE_BYTES = 1024 * 1024

TRANSIENT_PROBABILITY = 0.25
"""Low enough that no such record fails at each attempt of each delivery."""


class Kind(Enum):
    """What becomes of a message depends on this alone."""

    STANDARD = "standard"
    ORDER = "order"
    LARGE = "large"
    TRANSIENT = "transient"
    INVALID = "invalid"
    POISON = "poison"

    @property
    def is_stored(self) -> bool:
        """Whether it becomes an item, and otherwise a dead letter."""
        return self not in (Kind.INVALID, Kind.POISON)


SHARES: Mapping[Kind, float] = {
    Kind.INVALID: 0.02,
    Kind.POISON: 0.01,
    Kind.TRANSIENT: 0.05,
    Kind.LARGE: 0.02,
    Kind.ORDER: 0.3,
}
"""The rest is standard."""

REPEATED = 0.02
"""So many of all messages are another one sent again, with the same record_id."""


@dataclass(frozen=True)
class Message:
    """One body to send; ``stage`` is the one in which its fault strikes, if it has one."""

    body: str
    kind: Kind
    stage: str
    has_record_id: bool


def messages(random: Random, count: int) -> list[Message]:
    """``count`` messages in the order in which to send them; repeated ones are in it twice."""
    repeated = int(count * REPEATED)
    distinct = [
        _message(random, kind, number)
        for number, kind in enumerate(_kinds(random, count - repeated))
    ]
    repeatable = [m for m in distinct if m.kind is Kind.STANDARD and m.has_record_id]
    mixed = distinct + random.sample(repeatable, repeated)
    random.shuffle(mixed)
    return mixed


def _kinds(random: Random, count: int) -> list[Kind]:
    kinds = [kind for kind, share in SHARES.items() for _ in range(round(count * share))]
    kinds += [Kind.STANDARD] * (count - len(kinds))
    random.shuffle(kinds)
    return kinds


def _message(random: Random, kind: Kind, number: int) -> Message:
    stage = random.choice(STAGES)
    has_record_id = number % 2 == 0
    identity: dict[str, object] = {"record_id": f"record-{number}"} if has_record_id else {}
    body = _BODIES[kind](random, number, stage, identity)
    return Message(body, kind, stage, has_record_id)


Body = Callable[[Random, int, str, Mapping[str, object]], str]


def _standard(_random: Random, number: int, _stage: str, identity: Mapping[str, object]) -> str:
    return standard(n=number, **identity)


def _large(random: Random, number: int, _stage: str, identity: Mapping[str, object]) -> str:
    """Of any script, up to all that a message may have."""
    letter = random.choice(["x", "\u0416", "\u6578", "\U0001f469", '"', "\\", "\u0001"])
    head = standard(n=number, text="", **identity)
    unit = len(json.dumps(letter, ensure_ascii=False).encode()) - 2
    count = (random.randint(100_000, MAX_MESSAGE_BYTES) - len(head)) // unit
    document = json.loads(head) | {"text": letter * count}
    return json.dumps(document, ensure_ascii=False)


def _order(random: Random, number: int, _stage: str, identity: Mapping[str, object]) -> str:
    return order(order_id=f"A-{number}", quantity=random.randint(1, 99), **identity)


def _transient(_random: Random, number: int, stage: str, identity: Mapping[str, object]) -> str:
    return standard(n=number, fault=f"transient:{stage}:{TRANSIENT_PROBABILITY}", **identity)


def _poison(_random: Random, number: int, stage: str, identity: Mapping[str, object]) -> str:
    return standard(n=number, fault=f"poison:{stage}", **identity)


def _invalid(random: Random, number: int, _stage: str, identity: Mapping[str, object]) -> str:
    return random.choice(
        [
            f"not JSON, number {number}",
            json.dumps({"n": number}),
            standard(n=number, processing_type="unknown", **identity),
            order(order_id=f"A-{number}", quantity=0, currency="ZZZ", **identity),
        ]
    )


_BODIES: Mapping[Kind, Body] = {
    Kind.STANDARD: _standard,
    Kind.ORDER: _order,
    Kind.LARGE: _large,
    Kind.TRANSIENT: _transient,
    Kind.POISON: _poison,
    Kind.INVALID: _invalid,
}
