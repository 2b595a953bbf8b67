"""A deployed stage's faults, without deploying it."""

from __future__ import annotations

import importlib
import json
import os
import sys
from types import ModuleType
from typing import Any

import pytest


class Died(BaseException):
    """In the place of the end of this process."""


@pytest.fixture
def wrapper(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    def die(code: int) -> None:
        raise Died(code)

    monkeypatch.setattr(os, "_exit", die)
    monkeypatch.setenv("FAULTS_STAGE", "store")
    monkeypatch.setenv("FAULTS_HANDLER", f"{__name__}.count")
    monkeypatch.delitem(sys.modules, "faults.wrapper", raising=False)
    return importlib.import_module("faults.wrapper")


def count(event: Any, context: Any) -> int:
    return len(event["records"])


def event(*bodies: str) -> dict[str, Any]:
    return {"records": [{"id": "x", "body": body} for body in bodies]}


def asking_for(fault: object) -> str:
    return json.dumps({"fault": fault})


@pytest.mark.parametrize(
    "body",
    [
        "not JSON",
        "[]",
        "{}",
        asking_for(None),
        asking_for(["poison:store"]),
        asking_for("poison:validate"),
        asking_for("transient:store:0"),
        asking_for("slow:store:0"),
        asking_for("unknown:store"),
    ],
)
def test_a_record_that_asks_for_nothing_here_is_worked_on(wrapper: ModuleType, body: str) -> None:
    assert wrapper.handler(event(body, "{}"), None) == 2


def test_a_record_that_is_only_a_pointer_asks_for_nothing(wrapper: ModuleType) -> None:
    pointed = {"id": "x", "pointer": {"bucket": "b", "key": "k"}}

    assert wrapper.handler({"records": [pointed]}, None) == 1


def test_a_poison_record_ends_the_process(wrapper: ModuleType) -> None:
    with pytest.raises(Died):
        wrapper.handler(event("{}", asking_for("poison:store")), None)


def test_a_transient_record_fails_the_invocation(wrapper: ModuleType) -> None:
    with pytest.raises(wrapper.InjectedFault):
        wrapper.handler(event(asking_for("transient:store:1")), None)


def test_a_slow_record_takes_its_time(wrapper: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(wrapper.time, "sleep", slept.append)

    assert wrapper.handler(event(asking_for("slow:store:2.5")), None) == 1
    assert slept == [2.5]
