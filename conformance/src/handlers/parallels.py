"""Parallel branches, mostly one at a time, so that their history is the same each time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from aws_durable_execution_sdk_python import (
    BatchResult,
    DurableContext,
    ParallelBranch,
    durable_execution,
)
from aws_durable_execution_sdk_python.config import (
    CompletionConfig,
    Duration,
    NestingType,
    ParallelConfig,
)

from .batches import COUNTS, OUTCOME, told
from .serdes import Enveloped

T = TypeVar("T")
Branch = Callable[[DurableContext], T]

ONE_BY_ONE = ParallelConfig(max_concurrency=1)


def _gives(value: T) -> Branch[T]:
    """A branch that returns ``value`` and has no operations."""
    return lambda _: value


def _steps(value: T) -> Branch[T]:
    """A branch of one step."""
    return lambda branch: branch.step(lambda _: value)


def _fails(_: DurableContext) -> NoReturn:
    raise RuntimeError("this branch fails")


def _until(**completion: Any) -> ParallelConfig:
    """One branch at a time, until the batch is complete in the sense of the arguments."""
    return ParallelConfig(max_concurrency=1, completion_config=CompletionConfig(**completion))


@durable_execution
def steps(_: None, context: DurableContext) -> list[str]:
    """Two branches of one step each."""
    branches = [_steps("task-1"), _steps("task-2")]
    return context.parallel(branches, name="parallel", config=ONE_BY_ONE).get_results()


@durable_execution
def nameless(_: None, context: DurableContext) -> list[str]:
    """Two branches, and no name."""
    return context.parallel([_gives("alpha"), _gives("beta")], config=ONE_BY_ONE).get_results()


@durable_execution
def named_branches(_: None, context: DurableContext) -> list[str]:
    """Two branches with names of their own."""
    branches: list[ParallelBranch[str]] = [
        ParallelBranch(_gives("one"), name="first"),
        ParallelBranch(_gives("two"), name="second"),
    ]
    return context.parallel(branches, name="named", config=ONE_BY_ONE).get_results()


@durable_execution
def types(_: None, context: DurableContext) -> list[Any]:
    """Branches whose results are of different types."""
    branches: list[Branch[Any]] = [_gives("hello"), _gives(42), _gives({"k": "v"})]
    return context.parallel(branches, name="hetero", config=ONE_BY_ONE).get_results()


@durable_execution
def empty(_: None, context: DurableContext) -> list[Any]:
    """No branches."""
    none: list[Branch[Any]] = []
    return context.parallel(none, name="empty").get_results()


@durable_execution
def failing_fast(_: None, context: DurableContext) -> dict[str, Any]:
    """A branch that fails ends the batch."""
    branches = [_gives("ok"), _fails, _gives("never")]
    batch = context.parallel(branches, name="failfast", config=_until(tolerated_failure_count=0))
    return told(batch, OUTCOME)


@durable_execution
def throwing(_: None, context: DurableContext) -> None:
    """The failure of a branch fails the execution."""
    branches = [_fails, _gives("never")]
    config = _until(tolerated_failure_count=0)
    context.parallel(branches, name="throwing", config=config).throw_if_error()


@durable_execution
def enough(_: None, context: DurableContext) -> dict[str, Any]:
    """Two of four branches are enough."""
    branches = [_gives(value) for value in "abcd"]
    batch = context.parallel(branches, name="min-successful", config=_until(min_successful=2))
    return told(batch, ("completionReason", "successCount", "totalCount"))


@durable_execution
def tolerated(_: None, context: DurableContext) -> dict[str, Any]:
    """One failure is tolerated."""
    batch = _one_fails(context, "tolerated", _until(tolerated_failure_count=1))
    return told(batch, OUTCOME)


@durable_execution
def too_many(_: None, context: DurableContext) -> dict[str, Any]:
    """One failure is tolerated, a second one is not."""
    branches = [_fails, _fails, _gives("never")]
    config = _until(tolerated_failure_count=1)
    return told(context.parallel(branches, name="tolerated-exceeded", config=config), COUNTS)


@durable_execution
def concurrent(_: None, context: DurableContext) -> list[str]:
    """Two branches at a time."""
    branches = [_gives(f"r{index}") for index in range(3)]
    config = ParallelConfig(max_concurrency=2)
    return context.parallel(branches, name="concurrent", config=config).get_results()


@durable_execution
def flat(_: None, context: DurableContext) -> list[str]:
    """Branches without contexts of their own."""
    config = ParallelConfig(max_concurrency=1, nesting_type=NestingType.FLAT)
    return context.parallel([_steps("fa"), _steps("fb")], name="flat", config=config).get_results()


@durable_execution
def too_large_a_share(_: None, context: DurableContext) -> dict[str, Any]:
    """A quarter of the branches may fail, and half of them do."""
    branches = [_fails, _fails, _gives("never"), _gives("never")]
    config = _until(tolerated_failure_percentage=25)
    return told(context.parallel(branches, name="tolerated-pct", config=config), COUNTS)


@durable_execution
def suspended(_: None, context: DurableContext) -> list[str]:
    """A branch that waits: the replay after it skips the other one."""

    def wait(branch: DurableContext) -> str:
        branch.wait(Duration.from_seconds(2))
        return "b1"

    return context.parallel([_steps("b0"), wait], name="replay", config=ONE_BY_ONE).get_results()


@durable_execution
def serialized(_: None, context: DurableContext) -> list[str]:
    """Branches whose results have a serializer of their own."""
    config = ParallelConfig(max_concurrency=1, item_serdes=Enveloped())
    return context.parallel([_gives("x"), _gives("y")], name="serde", config=config).get_results()


@durable_execution
def all_fail(_: None, context: DurableContext) -> dict[str, Any]:
    """Every branch fails, and that many failures are tolerated."""
    config = _until(tolerated_failure_count=3)
    return told(context.parallel([_fails] * 3, name="all-fail", config=config), OUTCOME)


@durable_execution
def not_enough(_: None, context: DurableContext) -> dict[str, Any]:
    """All three branches have to succeed, and one does not."""
    return told(_one_fails(context, "min-not-reached", _until(min_successful=3)), OUTCOME)


@durable_execution
def two_criteria(_: None, context: DurableContext) -> dict[str, Any]:
    """Too many failures come before enough successes."""
    branches = [_fails, _fails, _gives("never"), _gives("never")]
    config = _until(min_successful=3, tolerated_failure_count=1)
    return told(context.parallel(branches, name="combined", config=config), COUNTS)


@durable_execution
def no_concurrency(_: None, context: DurableContext) -> list[str]:
    """No branch at a time is refused."""
    config = ParallelConfig(max_concurrency=0)
    branches = [_gives("a"), _gives("b")]
    return context.parallel(branches, name="bad-concurrency", config=config).get_results()


@durable_execution
def accessors(_: None, context: DurableContext) -> dict[str, Any]:
    """All that a batch says of its branches."""
    batch = _one_fails(context, "accessors", _until(tolerated_failure_count=1))
    return {
        "hasFailure": batch.has_failure,
        "successCount": len(batch.succeeded()),
        "failureCount": len(batch.failed()),
        "errorCount": len(batch.get_errors()),
    }


@durable_execution
def nested(_: None, context: DurableContext) -> list[list[str]]:
    """A branch that has branches."""

    def inner(branch: DurableContext) -> list[str]:
        branches = [_steps("i1"), _steps("i2")]
        return branch.parallel(branches, name="inner", config=ONE_BY_ONE).get_results()

    return context.parallel([inner], name="outer", config=ONE_BY_ONE).get_results()


@durable_execution
def exact_share(_: None, context: DurableContext) -> dict[str, Any]:
    """A quarter of the branches may fail, and that many do."""
    branches = [_fails, *(_gives(value) for value in "abc")]
    config = _until(tolerated_failure_percentage=25)
    return told(context.parallel(branches, name="pct-boundary", config=config), OUTCOME)


def _one_fails(context: DurableContext, name: str, config: ParallelConfig) -> BatchResult[str]:
    """Three branches, of which the second fails."""
    return context.parallel([_gives("a"), _fails, _gives("c")], name=name, config=config)
