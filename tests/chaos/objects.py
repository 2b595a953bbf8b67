"""Objects that are put among the messages, documents and files, and what must come of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from pipeline_core.objects import ObjectId
from tests.chaos.conservation import ENVIRONMENT, Letter
from tests.events import standard

PAUSE_SECONDS = 0.3
SHARE = 0.02
"""So many objects for each message."""


@dataclass(frozen=True)
class Object:
    """An object below ``input/``; ``rows`` are those of a file, None for a document."""

    key: str
    body: str
    rows: int | None


def objects(random: Random, count: int) -> list[Object]:
    """``count`` objects, documents and files in turn."""
    return [_object(random, number) for number in range(count)]


def _object(random: Random, number: int) -> Object:
    if number % 2:
        return Object(f"input/{number} \u0416.json", standard(n=number), None)
    rows = random.randint(1, 50)
    lines = ["id,name", *(f"{row},\u0416 {number}" for row in range(rows))]
    return Object(f"input/{number}.csv", "\n".join(lines), rows)


@dataclass(frozen=True)
class Putting:
    """Puts objects over a time, whatever happens to S3 meanwhile."""

    s3: Any
    bucket: str

    def put_over(self, wanted: Sequence[Object], seconds: float) -> threading.Thread:
        """Put all, evenly spread over so many seconds, beside whatever else is done."""
        thread = threading.Thread(target=self._put_all, args=(wanted, seconds))
        thread.start()
        return thread

    def _put_all(self, wanted: Sequence[Object], seconds: float) -> None:
        start = time.monotonic()
        for number, one in enumerate(wanted):
            time.sleep(max(0.0, start + seconds * number / len(wanted) - time.monotonic()))
            while not self._put(one):
                time.sleep(PAUSE_SECONDS)

    def _put(self, one: Object) -> bool:
        try:
            self.s3.put_object(Bucket=self.bucket, Key=one.key, Body=one.body.encode())
        except (BotoCoreError, ClientError):
            return False  # put again: a state more is no object more
        return True


def of_objects(letters: Sequence[Letter], wanted: Sequence[Object], bucket: str) -> list[Letter]:
    """The dead letters that are of these objects."""
    ids = {_execution_id(one, bucket) for one in wanted}
    return [letter for letter in letters if letter.attributes.get("execution_id") in ids]


def _execution_id(one: Object, bucket: str) -> str:
    return ObjectId(bucket, one.key).execution_id(ENVIRONMENT)


def violations(
    wanted: Sequence[Object], found: Mapping[str, Any], letters: Sequence[Letter], bucket: str
) -> Iterator[str]:
    """What is wrong, one sentence each; one may be given up, if its last delivery was hit too."""
    given_up = {x.attributes["execution_id"] for x in letters if x.is_given_up}
    for one in wanted:
        if one.key not in found and _execution_id(one, bucket) not in given_up:
            yield f"{one.key} has no item"
        elif (
            one.rows is not None
            and one.key in found
            and found[one.key]["counts"]["rows"] != one.rows
        ):
            yield f"{one.key} has {one.rows} rows, of which came {found[one.key]['counts']}"
    for key in found.keys() - {one.key for one in wanted}:
        yield f"an item of {key}, which nobody put"
