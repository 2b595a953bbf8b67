"""Rules about this machine. Where a stack is up all the same, they stand in nobody's way yet."""

from collections.abc import Callable, Iterator

from pipelinectl.diagnosis.facts import Facts, Machine, Port
from pipelinectl.diagnosis.findings import Finding, ok, problem, rule, warning

_OLDEST_PYTHON = (3, 11)
_HOW = {
    "make": "install make with your system's package manager",
    "uv": "run 'make setup', then '. .venv/bin/activate'",
}


def _bad(facts: Facts) -> Callable[[str, str, str], Finding]:
    return warning if facts.stack else problem


def _machine(facts: Facts) -> Iterator[tuple[str, Machine]]:
    if facts.machine is not None:
        yield "python3", facts.machine


def _commands(facts: Facts) -> Iterator[tuple[str, tuple[str, str | None]]]:
    if facts.machine is not None:
        yield from ((name, (name, path)) for name, path in facts.machine.commands.items())


def _tools(facts: Facts) -> Iterator[tuple[str, tuple[str, bool]]]:
    if facts.machine is not None:
        yield from ((path, (path, there)) for path, there in facts.machine.tools.items())


def _ports(facts: Facts) -> Iterator[tuple[str, Port]]:
    if facts.machine is not None:
        yield from ((port.service, port) for port in facts.machine.ports)


@rule(
    "python",
    says="the python3 that make takes is 3.11 or newer",
    source="pyproject.toml",
    of=_machine,
)
def python(machine: Machine, facts: Facts) -> Finding:
    """Older ones lack what the tools are written with."""
    remedy = "install Python 3.11 or newer, and name it: make PYTHON=python3.12"
    if machine.python is None:
        return _bad(facts)("python3", "not on the PATH, or it does not run", remedy)
    found = ".".join(map(str, machine.python))
    if machine.python < _OLDEST_PYTHON:
        return _bad(facts)("python3", found, remedy)
    return ok("python3", found)


@rule(
    "commands",
    says="make is on the PATH, and uv there or beside pipelinectl: 'sam build' calls both",
    source="src/Makefile",
    of=_commands,
)
def commands(command: tuple[str, str | None], facts: Facts) -> Finding:
    """Functions are built by a Makefile, their dependencies installed by uv."""
    name, path = command
    if path is None:
        return _bad(facts)(name, "not found", _HOW[name])
    return ok(name, path)


@rule(
    "tools",
    says="make setup has installed ministack and sam",
    source="Makefile",
    of=_tools,
)
def tools(tool: tuple[str, bool], facts: Facts) -> Finding:
    """Each has an environment of its own, below .tools/."""
    path, there = tool
    if not there:
        return _bad(facts)(path, "not there", "run 'make setup'")
    return ok(path, "there")


@rule(
    "ports",
    says="nobody else holds the ports of the local cloud",
    source="localcloud/settings.py",
    of=_ports,
)
def ports(port: Port, facts: Facts) -> Finding:
    """It does not start next to another one on the same ports."""
    if port.holder is None:
        return ok(port.service, str(port.number))
    remedy = f"stop that process, or set {port.variable} to a free port"
    return _bad(facts)(port.service, f"{port.number} is held by {port.holder}", remedy)
