"""Durable functions in ministack: whoever invokes one starts an execution; the runner runs it.

ministack has a durable function as one function, with its versions. Events and invocations of it
go to the gateway, which has the runner start an execution. The runner's own invocations carry a
header; those run the handler of the version that they name.

ministack's own interpreter runs this module: it imports nothing but the standard library.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any
from urllib.parse import quote

from localcloud.ministack import wrap

Action = Callable[..., Any]
Config = Mapping[str, Any]

HANDLER_HEADER = "x-dex-handler-invoke"
"""AWS's runner marks its invocations with it."""
MANAGED_POLICY = "service-role/AWSLambdaBasicDurableExecutionRolePolicy"
"""SAM gives it to the role that it makes for a durable function."""
# https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSLambdaBasicDurableExecutionRolePolicy.html
_MANAGED_POLICY_DOCUMENT = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:CreateLogGroup",'
    '"logs:CreateLogStream","logs:PutLogEvents","lambda:CheckpointDurableExecution",'
    '"lambda:GetDurableExecutionState"],"Resource":"*"}]}'
)

# ministack's CloudFormation forgets these properties of a function.
_FORGOTTEN = ("DurableConfig", "DeadLetterConfig")
_FUNCTION = "AWS::Lambda::Function"
# The gateway's answer comes after the end of the execution, which may be that of its time.
_GRACE_SECONDS = 60
# How long a version that no alias names any more keeps a worker that nobody uses.
_SUPERSEDED_SECONDS = 30.0

_runs_handler: ContextVar[bool] = ContextVar("runs_handler", default=False)
_sends_event: ContextVar[bool] = ContextVar("sends_event", default=False)


def install(lambda_service: Any, runtime: Any, provisioners: Any, gateway_url: str) -> None:
    """Have ministack's Lambda service treat durable functions so.

    `lambda_service`, `runtime` and `provisioners` are its modules of these names.
    """
    wrap(lambda_service, "_invoke", knowing_the_runner)
    wrap(lambda_service, "_proxy_url_for", lambda known: _forwarding(known, gateway_url))
    wrap(lambda_service, "_execute_function_proxy", waiting_for_the_end)
    wrap(lambda_service, "_acquire_execution_slot", counting_triggers)
    wrap(lambda_service, "_emit_lambda_logs", logging_handlers)
    wrap(
        lambda_service,
        "reap_idle_workers",
        lambda reap: _reaping_superseded(reap, runtime, lambda_service._functions),
    )
    functions = lambda_service._functions
    handlers = provisioners._RESOURCE_HANDLERS[_FUNCTION]
    handlers["create"] = wrap(
        provisioners, "_lambda_create", lambda create: _remembering(create, functions)
    )
    handlers["update"] = wrap(
        provisioners, "_lambda_update", lambda update: _updating_in_place(update, functions)
    )


def add_managed_policy(iam: Any) -> None:
    """Have ministack's IAM know the managed policy for roles of durable functions."""
    record = iam._make_aws_managed_record(MANAGED_POLICY, _MANAGED_POLICY_DOCUMENT)
    arn = iam._AWS_MANAGED_POLICY_PREFIX + MANAGED_POLICY
    iam._aws_managed_policies[arn] = record


def is_forwarded(config: Config) -> bool:
    """Tell whether an invocation of a function goes to the gateway: a durable one not the runner's.

    `config` is the function's, as ministack keeps it.
    """
    return bool(config.get("DurableConfig")) and not _runs_handler.get()


def is_sending_event() -> bool:
    """Tell whether it is an event of a durable function that ministack is just sending.

    Of a plain function, who makes it says in a variable where its events go.
    """
    return _sends_event.get()


def knowing_the_runner(invoke: Action) -> Action:
    """Return ministack's answer to Invoke so that it remembers whether the runner invokes."""

    async def invoked(
        name: str, event: Any, headers: Mapping[str, str], *rest: Any, **named: Any
    ) -> Any:
        marked = {key.lower(): value for key, value in headers.items()}.get(HANDLER_HEADER)
        token = _runs_handler.set(marked == "true")
        try:
            return await invoke(name, event, headers, *rest, **named)
        finally:
            _runs_handler.reset(token)

    return invoked


def _forwarding(known: Action, gateway_url: str) -> Action:
    def url_of(config: Config) -> str | None:
        if not is_forwarded(config):
            url: str | None = known(config)
            return url
        return f"{gateway_url}/_localcloud/functions/{quote(config['FunctionName'])}/trigger"

    return url_of


def waiting_for_the_end(forward: Action) -> Action:
    """Return ministack's forwarding of an event so that it waits for as long as an execution.

    While it forwards one of a durable function, `is_sending_event`.
    """

    def forwarded(function: Config, *rest: Any) -> Any:
        config = function.get("config") or function
        if not is_forwarded(config):
            return forward(function, *rest)
        patient = {**config, "Timeout": _longest(config) + _GRACE_SECONDS}
        token = _sends_event.set(True)
        try:
            return forward({**function, "config": patient}, *rest)
        finally:
            _sends_event.reset(token)

    return forwarded


def _longest(config: Config) -> int:
    return int(config["DurableConfig"]["ExecutionTimeout"])


def counting_triggers(acquire: Action) -> Action:
    """Return ministack's count of a function's concurrency so that it has room for handlers.

    An execution that an event started holds its place until it has ended. Its handler must not wait
    for another one.
    """

    def acquired(function: Config, config: Config) -> Any:
        if not (_runs_handler.get() and config.get("DurableConfig")):
            return acquire(function, config)
        name = f"{config['FunctionName']}/handler"
        return acquire({}, {"FunctionArn": config["FunctionArn"], "FunctionName": name})

    return acquired


def logging_handlers(emit: Action) -> Action:
    """Return ministack's writing of logs so that an event that is forwarded is no invocation."""

    def emitted(function: Config, *rest: Any, **named: Any) -> None:
        if not is_forwarded(function.get("config") or function):
            emit(function, *rest, **named)

    return emitted


def _reaping_superseded(reap: Action, runtime: Any, functions: Mapping[str, Any]) -> Action:
    """Return ministack's ending of idle workers; it keeps one of each version, for ever."""

    def reaped(*arguments: Any) -> int:
        ended: int = reap(*arguments)
        superseded = []
        with runtime._lock:
            for key, workers in runtime._workers.items():
                *_, name, version = key.split(":")
                if not _is_current(functions.get(name), version):
                    superseded += _idle(workers)
        runtime.kill_workers(superseded)
        return ended + len(superseded)

    return reaped


def _is_current(function: Config | None, version: str) -> bool:
    aliases: Iterable[Config] = (function or {}).get("aliases", {}).values()
    return version == "$LATEST" or any(alias["FunctionVersion"] == version for alias in aliases)


def _idle(workers: list[Any]) -> list[Any]:
    """Take out of a pool who has had nothing to do for a while, and return them."""
    before = time.time() - _SUPERSEDED_SECONDS
    idle = [worker for worker in workers if not worker.in_use and worker.last_used < before]
    for worker in idle:
        workers.remove(worker)
    return idle


def _remembering(create: Action, functions: Mapping[str, Any]) -> Action:
    def created(logical_id: str, properties: Config, *rest: Any) -> Any:
        made = create(logical_id, properties, *rest)
        _remember(functions[made[0]]["config"], properties)
        return made

    return created


def _updating_in_place(update: Action, functions: Mapping[str, Any]) -> Action:
    """Return ministack's update of a function, which would replace one of another DurableConfig.

    Its versions and aliases would be gone.
    """

    def updated(physical_id: str, old: Config, new: Config, *rest: Any, **named: Any) -> Any:
        made = update(physical_id, _without_durable(old), _without_durable(new), *rest, **named)
        _remember(functions[made[0]]["config"], new)
        return made

    return updated


def _without_durable(properties: Config) -> Config:
    return {name: value for name, value in properties.items() if name != "DurableConfig"}


def _remember(config: dict[str, Any], properties: Config) -> None:
    for name in _FORGOTTEN:
        config.pop(name, None)
        if properties.get(name):
            config[name] = properties[name]
    if "DurableConfig" in config:
        # A parameter's value is text to ministack.
        numbers = ("ExecutionTimeout", "RetentionPeriodInDays")
        durable = config["DurableConfig"]
        config["DurableConfig"] = {
            name: int(value) if name in numbers else value for name, value in durable.items()
        }
