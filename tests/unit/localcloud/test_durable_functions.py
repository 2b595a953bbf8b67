"""ministack runs a handler for the runner only; whoever else invokes it starts an execution."""

from __future__ import annotations

import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from localcloud import durable_functions
from localcloud.durable_functions import HANDLER_HEADER, is_forwarded

PLAIN = {"FunctionName": "f", "FunctionArn": "arn", "Timeout": 3, "Version": "1"}
DURABLE = {**PLAIN, "DurableConfig": {"ExecutionTimeout": 600}}


class Ministack:
    """Its parts that durable functions change, which tell what they were called with."""

    def __init__(self) -> None:
        self.called: list[Any] = []
        self.functions: dict[str, Any] = {}
        self.service = SimpleNamespace(
            _functions=self.functions,
            _invoke=self.invoke,
            _proxy_url_for=lambda _: None,
            _execute_function_proxy=self.note,
            _acquire_execution_slot=self.note,
            _emit_lambda_logs=self.note,
            reap_idle_workers=lambda *_: 0,
        )
        self.runtime = SimpleNamespace(
            _lock=threading.Lock(), _workers={}, kill_workers=self.called.extend
        )
        handlers: dict[str, Any] = {"AWS::Lambda::Function": {}}
        self.provisioners = SimpleNamespace(
            _lambda_create=self.create, _lambda_update=self.update, _RESOURCE_HANDLERS=handlers
        )
        durable_functions.install(self.service, self.runtime, self.provisioners, "http://gateway")
        self.handlers = handlers["AWS::Lambda::Function"]

    async def invoke(self, name: str, event: Any, headers: Any, **_: Any) -> str | None:
        """Answer where the invocation goes."""
        self.service._emit_lambda_logs({"config": self.functions[name]}, "request")
        url: str | None = self.service._proxy_url_for(self.functions[name])
        return url

    def note(self, *arguments: Any) -> None:
        self.called.append(arguments)

    def create(self, logical_id: str, properties: Any, stack: str) -> Any:
        self.functions[logical_id] = {"config": {}}
        return logical_id, {}

    def update(self, physical_id: str, old: Any, new: Any, stack: str) -> Any:
        assert "DurableConfig" not in {**old, **new}, "ministack would replace the function"
        return physical_id, {}


@pytest.fixture
def ministack() -> Ministack:
    return Ministack()


@pytest.mark.parametrize(
    ("config", "headers", "url"),
    [
        (DURABLE, {}, "http://gateway/_localcloud/functions/f/trigger"),
        (DURABLE, {"X-Dex-Handler-Invoke": "true"}, None),
        (DURABLE, {HANDLER_HEADER: "false"}, "http://gateway/_localcloud/functions/f/trigger"),
        (PLAIN, {}, None),
    ],
)
def test_where_an_invocation_goes(
    ministack: Ministack, config: dict[str, Any], headers: dict[str, str], url: str | None
) -> None:
    ministack.functions["f"] = config
    assert asyncio.run(ministack.service._invoke("f", {}, headers)) == url
    assert bool(ministack.called) is (url is None), "what is forwarded is no invocation to log"
    assert is_forwarded(DURABLE), "the mark ends with the invocation"


def test_an_event_waits_for_as_long_as_the_execution(ministack: Ministack) -> None:
    ministack.service._execute_function_proxy({"config": DURABLE}, {}, "url", "request")
    ministack.service._execute_function_proxy({"config": PLAIN}, {}, "url", "request")
    assert [call[0]["config"]["Timeout"] for call in ministack.called] == [660, 3]
    assert DURABLE["Timeout"] == 3


@pytest.mark.parametrize(
    ("config", "runs_handler", "sends"),
    [(DURABLE, False, True), (DURABLE, True, False), (PLAIN, False, False)],
)
def test_only_an_event_of_a_durable_function_is_sent_as_one(
    config: dict[str, Any], runs_handler: bool, sends: bool
) -> None:
    def forward(*_: Any) -> bool:
        return durable_functions.is_sending_event()

    token = durable_functions._runs_handler.set(runs_handler)
    try:
        found = durable_functions.waiting_for_the_end(forward)({"config": config}, {}, "url", "r")
    finally:
        durable_functions._runs_handler.reset(token)
    assert found is sends
    assert not durable_functions.is_sending_event()


def test_an_execution_that_holds_its_functions_place_does_not_keep_its_handler_out(
    ministack: Ministack,
) -> None:
    record = {"concurrency": 1}
    ministack.service._acquire_execution_slot(record, DURABLE)
    token = durable_functions._runs_handler.set(True)
    try:
        ministack.service._acquire_execution_slot(record, DURABLE)
        ministack.service._acquire_execution_slot(record, PLAIN)
    finally:
        durable_functions._runs_handler.reset(token)
    handler: Any = ({}, {"FunctionArn": "arn", "FunctionName": "f/handler"})
    assert ministack.called == [(record, DURABLE), handler, (record, PLAIN)]


def test_cloudformation_keeps_what_makes_a_function_durable(ministack: Ministack) -> None:
    properties = {
        "DurableConfig": {"ExecutionTimeout": "60", "RetentionPeriodInDays": "7"},
        "DeadLetterConfig": {"TargetArn": "queue"},
    }
    ministack.handlers["create"]("f", properties, "stack")
    assert ministack.functions["f"]["config"] == {
        "DurableConfig": {"ExecutionTimeout": 60, "RetentionPeriodInDays": 7},
        "DeadLetterConfig": {"TargetArn": "queue"},
    }
    longer = {"DurableConfig": {"ExecutionTimeout": "90"}}
    ministack.handlers["update"]("f", properties, longer, "stack")
    assert ministack.functions["f"]["config"] == {"DurableConfig": {"ExecutionTimeout": 90}}


def test_versions_that_no_alias_names_keep_no_idle_worker(ministack: Ministack) -> None:
    def worker(*, in_use: bool = False, idle: float = 100) -> Any:
        return SimpleNamespace(in_use=in_use, last_used=time.time() - idle)

    aliases = {"live": {"FunctionVersion": "2"}}
    ministack.functions["f"] = {"aliases": aliases}
    idle, busy, recent, current, latest, gone = (
        worker(),
        worker(in_use=True),
        worker(idle=1),
        worker(),
        worker(),
        worker(),
    )
    ministack.runtime._workers |= {
        "account:region:f:1": [idle, busy, recent],
        "account:region:f:2": [current],
        "account:region:f:$LATEST": [latest],
        "account:region:removed:1": [gone],
    }
    assert ministack.service.reap_idle_workers() == 2
    assert ministack.called == [idle, gone]
    assert ministack.runtime._workers["account:region:f:1"] == [busy, recent]


def test_the_managed_policy_allows_to_checkpoint() -> None:
    policies: dict[str, Any] = {}
    iam = SimpleNamespace(
        _make_aws_managed_record=lambda name, document: (name, document),
        _AWS_MANAGED_POLICY_PREFIX="arn:aws:iam::aws:policy/",
        _aws_managed_policies=policies,
    )
    durable_functions.add_managed_policy(iam)
    name = "service-role/AWSLambdaBasicDurableExecutionRolePolicy"
    _, document = policies[f"arn:aws:iam::aws:policy/{name}"]
    assert "lambda:CheckpointDurableExecution" in document
