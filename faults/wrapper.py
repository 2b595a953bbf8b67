"""The handler of a deployed stage with faults, which the stage's records ask for.

Copied into the stage's artifact (see `deployed`), so it imports nothing of this package. A record
with a field ``fault`` in its body strikes the stage that the field names:

- ``poison:<stage>``: the worker process dies;
- ``transient:<stage>:<probability>``: the invocation fails with this probability;
- ``slow:<stage>:<seconds>``: the invocation takes this much longer.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import time
from collections.abc import Iterator
from typing import Any

STAGE = os.environ["FAULTS_STAGE"]
MODULE, _, NAME = os.environ["FAULTS_HANDLER"].rpartition(".")
EXIT_CODE = 70

real_handler = getattr(importlib.import_module(MODULE), NAME)


class InjectedFault(Exception):
    """A record asked for it."""


def handler(event: dict[str, Any], context: Any) -> Any:
    """Strike if a record asks for it; else do the stage's work."""
    for name, argument in _faults(event):
        _strike(name, argument)
    return real_handler(event, context)


def _faults(event: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for record in event["records"]:
        # One that is only a pointer, because it is large or an object, asks for nothing.
        name, _, rest = str(_field(record.get("body", ""))).partition(":")
        stage, _, argument = rest.partition(":")
        if stage == STAGE:
            yield name, argument


def _field(body: str) -> object:
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document.get("fault") if isinstance(document, dict) else None


def _strike(name: str, argument: str) -> None:
    if name == "poison":
        os._exit(EXIT_CODE)
    if name == "transient" and random.random() < float(argument):  # noqa: S311 - chance, no secret
        raise InjectedFault("a transient fault")
    if name == "slow":
        time.sleep(float(argument))
