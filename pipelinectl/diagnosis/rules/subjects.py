"""What the rules are about, picked out of the facts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipelinectl.diagnosis.facts import (
    Facts,
    Function,
    Mapping,
    Queue,
    Read,
    Resources,
    StackFacts,
    Unread,
    UnreadError,
    known,
)

CALLED = {
    "VALIDATION_FUNCTION_ARN": "STAGE_TIMEOUT",
    "TRANSFORMATION_FUNCTION_ARN": "STAGE_TIMEOUT",
    "STORAGE_FUNCTION_ARN": "STAGE_TIMEOUT",
    "CSV_FILE_FUNCTION_ARN": "FILES_TIMEOUT",
}
"""The durable function's variables that name what it calls, and those with their timeouts."""


@dataclass(frozen=True)
class Called:
    """A function that a durable function chains; `setting` names the variable with its timeout."""

    caller: Function
    function: Function
    setting: str


def stacks(facts: Facts) -> Iterator[tuple[str, StackFacts]]:
    """The stack, if there is one."""
    if facts.stack is not None:
        yield facts.stack.name, facts.stack


def resources(facts: Facts) -> Resources:
    """The stack's resources; none where there is no stack."""
    return known(facts.stack.resources) if facts.stack else Resources()


def queues(facts: Facts) -> Iterator[tuple[str, Read[Queue]]]:
    """Every queue."""
    yield from sorted(resources(facts).queues.items())


def mappings(facts: Facts) -> Iterator[tuple[str, Read[Mapping]]]:
    """Every event source mapping, under the name of its queue."""
    for uuid, mapping in resources(facts).mappings.items():
        yield (uuid if isinstance(mapping, Unread) else mapping.queue), mapping


def functions(facts: Facts) -> Iterator[tuple[str, Read[Function]]]:
    """Every function."""
    yield from sorted(resources(facts).functions.items())


def consumed_queues(facts: Facts) -> Iterator[tuple[str, Read[Queue]]]:
    """The queues that an event source mapping reads; that of an unread mapping is unread too."""
    found = list(mappings(facts))
    consumed = {mapping.queue for _, mapping in found if not isinstance(mapping, Unread)}
    yield from ((name, queue) for name, queue in queues(facts) if name in consumed)
    yield from ((uuid, mapping) for uuid, mapping in found if isinstance(mapping, Unread))


def dead_letter_queues(facts: Facts) -> Iterator[tuple[str, Read[Queue]]]:
    """The queues that other queues give messages up to, and those of which nothing is known."""
    targets = {
        queue.redrive.dead_letter_queue
        for _, queue in queues(facts)
        if not isinstance(queue, Unread) and queue.redrive
    }
    for name, queue in queues(facts):
        if name in targets or isinstance(queue, Unread):
            yield name, queue


def closed_queues(facts: Facts) -> Iterator[tuple[str, Read[Queue]]]:
    """The queues that only those may send to who are believed there."""
    closed = facts.stack.closed if facts.stack else frozenset()
    yield from ((name, queue) for name, queue in queues(facts) if name in closed)


def durable_functions(facts: Facts) -> Iterator[tuple[str, Read[Function]]]:
    """The functions that are durable, and those of which nothing is known."""
    for name, function in functions(facts):
        if isinstance(function, Unread) or function.execution_timeout is not None:
            yield name, function


def called(facts: Facts) -> Iterator[tuple[str, Read[Called]]]:
    """The functions that durable functions chain."""
    for caller_name, caller in durable_functions(facts):
        if isinstance(caller, Unread):
            yield caller_name, caller
            continue
        for variable, setting in CALLED.items():
            if variable in caller.variables:
                name = caller.variables[variable].partition(":function:")[2].partition(":")[0]
                yield name, _called(facts, caller, name, setting)


def queue_of(facts: Facts, name: str) -> Queue:
    """A queue of the stack.

    Raises:
        UnreadError: it is not there or could not be read.
    """
    return known(resources(facts).queues.get(name, Unread(f"the stack has no queue {name}")))


def function_of(facts: Facts, name: str) -> Function:
    """A function of the stack.

    Raises:
        UnreadError: it is not there or could not be read.
    """
    missing = Unread(f"the stack has no function {name}")
    return known(resources(facts).functions.get(name, missing))


def mappings_to(facts: Facts, function: str) -> list[Mapping]:
    """The event source mappings that invoke a function."""
    return [m for _, m in mappings(facts) if not isinstance(m, Unread) and m.function == function]


def mappings_of(facts: Facts, queue: str) -> list[Mapping]:
    """The event source mappings that read a queue."""
    return [m for _, m in mappings(facts) if not isinstance(m, Unread) and m.queue == queue]


def number(function: Function, variable: str) -> int | None:
    """A number in a function's environment."""
    text = function.variables.get(variable, "")
    return int(text) if text.isdecimal() else None


def _called(facts: Facts, caller: Function, name: str, setting: str) -> Read[Called]:
    try:
        function = function_of(facts, name)
    except UnreadError as error:
        return Unread(str(error))
    return Called(caller, function, setting)
