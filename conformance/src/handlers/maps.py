"""A function applied to each of some items, mostly one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aws_durable_execution_sdk_python import BatchResult, DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import (
    CompletionConfig,
    Duration,
    MapConfig,
    NestingType,
)
from aws_durable_execution_sdk_python.serdes import JsonSerDes

from .batches import COUNTS, OUTCOME, told
from .serdes import Joined, Prefixed

ONE_BY_ONE: MapConfig[Any] = MapConfig(max_concurrency=1)
FAIL = "fail"
LARGE_BYTES = 70_000


def _until(**completion: Any) -> MapConfig[Any]:
    """One item at a time, until the batch is complete in the sense of the arguments."""
    return MapConfig(max_concurrency=1, completion_config=CompletionConfig(**completion))


def _direct(function: Callable[[Any], Any]) -> Callable[..., Any]:
    """What a map applies, from a function of the item alone."""

    def apply(_: DurableContext, item: Any, _index: int, _items: Sequence[Any]) -> Any:
        return function(item)

    return apply


def _item_or_failure(item: str) -> str:
    if item == FAIL:
        raise RuntimeError("this item fails")
    return item


def _map(
    context: DurableContext, items: Sequence[str], name: str, config: MapConfig[Any]
) -> BatchResult[str]:
    """Each item as it is, but for those that fail."""
    return context.map(items, _direct(_item_or_failure), name=name, config=config)


@durable_execution
def steps(event: list[str], context: DurableContext) -> list[str]:
    """A step for each item."""

    def greet(item: DurableContext, name: str, _index: int, _items: Sequence[str]) -> str:
        return item.step(lambda _: f"Hello, {name}!")

    batch: BatchResult[str] = context.map(event, greet, name="map", config=ONE_BY_ONE)
    return batch.get_results()


@durable_execution
def nameless(event: list[int], context: DurableContext) -> list[int]:
    """A map without a name."""
    batch: BatchResult[int] = context.map(event, _direct(lambda n: 2 * n), config=ONE_BY_ONE)
    return batch.get_results()


@durable_execution
def indexed(event: list[int], context: DurableContext) -> list[int]:
    """Each item with its index."""

    def add(_: DurableContext, number: int, index: int, _items: Sequence[int]) -> int:
        return number + index

    batch: BatchResult[int] = context.map(event, add, name="indexed", config=ONE_BY_ONE)
    return batch.get_results()


@durable_execution
def empty(event: list[str], context: DurableContext) -> list[str]:
    """No items."""
    return _map(context, event, "empty", ONE_BY_ONE).get_results()


@durable_execution
def failing_fast(_: None, context: DurableContext) -> dict[str, Any]:
    """An item that fails ends the batch."""
    items, config = ["ok", FAIL, "never"], _until(tolerated_failure_count=0)
    return told(_map(context, items, "failfast", config), OUTCOME)


@durable_execution
def throwing(_: None, context: DurableContext) -> None:
    """The failure of an item fails the execution."""
    config = _until(tolerated_failure_count=0)
    _map(context, [FAIL, "never"], "throwing", config).throw_if_error()


@durable_execution
def enough(_: None, context: DurableContext) -> dict[str, Any]:
    """Two of four items are enough."""
    batch = _map(context, ["a", "b", "c", "d"], "min-successful", _until(min_successful=2))
    return told(batch, ("completionReason", "successCount", "totalCount"))


@durable_execution
def tolerated(_: None, context: DurableContext) -> dict[str, Any]:
    """One failure is tolerated."""
    items, config = ["a", FAIL, "c"], _until(tolerated_failure_count=1)
    return told(_map(context, items, "tolerated", config), OUTCOME)


@durable_execution
def too_many(_: None, context: DurableContext) -> dict[str, Any]:
    """One failure is tolerated, a second one is not."""
    items, config = [FAIL, FAIL, "never"], _until(tolerated_failure_count=1)
    return told(_map(context, items, "tolerated-exceeded", config), COUNTS)


@durable_execution
def too_large_a_share(_: None, context: DurableContext) -> dict[str, Any]:
    """A quarter of the items may fail, and half of them do."""
    items, config = [FAIL, FAIL, "never", "never"], _until(tolerated_failure_percentage=25)
    return told(_map(context, items, "tolerated-pct", config), COUNTS)


@durable_execution
def concurrent(_: None, context: DurableContext) -> list[str]:
    """Two items at a time."""
    return _map(
        context, ["r0", "r1", "r2"], "concurrent", MapConfig(max_concurrency=2)
    ).get_results()


@durable_execution
def flat(_: None, context: DurableContext) -> list[str]:
    """Items without contexts of their own."""

    def keep(item: DurableContext, value: str, _index: int, _items: Sequence[str]) -> str:
        return item.step(lambda _: value)

    config: MapConfig[str] = MapConfig(max_concurrency=1, nesting_type=NestingType.FLAT)
    batch: BatchResult[str] = context.map(["fa", "fb"], keep, name="flat", config=config)
    return batch.get_results()


@durable_execution
def named_items(event: list[int], context: DurableContext) -> list[int]:
    """Items with names of their own."""
    config: MapConfig[int] = MapConfig(max_concurrency=1, item_namer=lambda item, _: f"item-{item}")
    batch: BatchResult[int] = context.map(
        event, _direct(lambda number: 10 * number), name="named-items", config=config
    )
    return batch.get_results()


@durable_execution
def items_serialized(_: None, context: DurableContext) -> list[str]:
    """Results of items with a serializer of their own."""
    config: MapConfig[str] = MapConfig(max_concurrency=1, item_serdes=Prefixed())
    return _uppercase(context, ["x", "y"], "serdes", config)


@durable_execution
def suspended(_: None, context: DurableContext) -> list[str]:
    """An item that waits: the replay after it skips the other one."""

    def keep(item: DurableContext, value: str, index: int, _items: Sequence[str]) -> str:
        if index == 1:
            item.wait(Duration.from_seconds(1))
        return item.step(lambda _: value)

    batch: BatchResult[str] = context.map(["r0", "r1"], keep, name="suspend", config=ONE_BY_ONE)
    return batch.get_results()


@durable_execution
def large(_: None, context: DurableContext) -> dict[str, Any]:
    """Results that are too large to keep together."""
    batch: BatchResult[str] = context.map(
        list("abcd"), _direct(lambda item: item * LARGE_BYTES), name="large", config=ONE_BY_ONE
    )
    return told(batch, ("successCount", "totalCount"))


@durable_execution
def before_wait(_: None, context: DurableContext) -> list[str]:
    """A map, then a wait: the replay after it skips the map."""
    results = _uppercase(context, ["a", "b"], "then-wait", ONE_BY_ONE)
    context.wait(Duration.from_seconds(1))
    return results


@durable_execution
def failure_before_wait(_: None, context: DurableContext) -> dict[str, Any]:
    """A map with a failure, then a wait: the replay after it skips the map."""
    batch = _map(context, ["ok", FAIL], "fail-then-wait", _until(tolerated_failure_count=1))
    context.wait(Duration.from_seconds(1))
    return told(batch, OUTCOME)


@durable_execution
def serialized(_: None, context: DurableContext) -> list[str]:
    """A map whose whole result has a serializer of its own."""
    return _uppercase(context, ["x", "y"], "op-serde", _joined())


@durable_execution
def serialized_before_wait(_: None, context: DurableContext) -> list[str]:
    """A map whose whole result is read back by the replay after a wait."""
    results = _uppercase(context, ["x", "y"], "op-serde-replay", _joined())
    context.wait(Duration.from_seconds(1))
    return results


def _joined() -> MapConfig[str]:
    # Without a serializer for items, they would get the one for the whole.
    return MapConfig(max_concurrency=1, serdes=Joined(), item_serdes=JsonSerDes())


def _uppercase(
    context: DurableContext, items: Sequence[str], name: str, config: MapConfig[Any]
) -> list[str]:
    batch: BatchResult[str] = context.map(items, _direct(str.upper), name=name, config=config)
    return batch.get_results()
