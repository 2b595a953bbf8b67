"""Writes the references below docs/ from what they speak of: commands, the template, figures.

Run it with `make docs`; a test fails when a reference and its source differ.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from typer import Context
from typer.cli import get_docs_for_click
from typer.main import get_command

from docs import scale
from localcloud.cloudformation_yaml import load
from pipelinectl.cli import app
from pipelinectl.doctor import CHECKS

PROGRAM = "pipelinectl"
FOLDER = Path(__file__).parent
TEMPLATE = FOLDER.parent / "template.yaml"
DOCTOR = "guides/doctor.md"
CHECKS_BEGIN = "<!-- checks: written by `make docs` -->\n"
CHECKS_END = "<!-- end of checks -->"


def cli() -> str:
    """The reference of the command line."""
    root: Any = get_command(app)
    for command in _below(root):
        # Typer cuts what a list of commands says of each at 45 characters, unless it is given.
        command.short_help = command.get_short_help_str(limit=sys.maxsize)
    return get_docs_for_click(obj=root, ctx=Context(root), name=PROGRAM).strip() + "\n"


def parameters() -> str:
    """The reference of the stack's parameters and outputs."""
    template = load(TEMPLATE)
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    parts = [
        "# Parameters and outputs",
        "What `template.yaml` takes, and what the stack says of itself.",
    ]
    for group in groups:
        rows = [_parameter(name, template["Parameters"][name]) for name in group["Parameters"]]
        heading = ("parameter", "default", "takes", "what it is")
        parts += [f"## {group['Label']['default']}", _table(heading, rows)]
    outputs = [(f"`{name}`", output["Description"]) for name, output in template["Outputs"].items()]
    parts += ["## Outputs", _table(("output", "what it is"), outputs)]
    return "\n\n".join(parts) + "\n"


def doctor() -> str:
    """The guide to the doctor, whose table is of its checks."""
    before, rest = (FOLDER / DOCTOR).read_text("utf-8").split(CHECKS_BEGIN)
    after = rest.split(CHECKS_END)[1]
    rows = [(f"`{check.name}`", check.says, _source(check.source)) for check in CHECKS]
    table = _table(("check", "rule", "from"), rows)
    return f"{before}{CHECKS_BEGIN}{table}\n{CHECKS_END}{after}"


REFERENCES: Mapping[str, Callable[[], str]] = {
    "cli.md": cli,
    "parameters.md": parameters,
    DOCTOR: doctor,
    "scale.md": scale.page,
}
"""What makes each file below this folder that nobody writes by hand, all of it or its table."""


def _source(source: str) -> str:
    """A link to AWS's documentation or to a file of this project."""
    if "://" in source:
        return f"[AWS]({source})"
    return f"[{Path(source).name}](../../{source})"


def _below(group: Any) -> Iterator[Any]:
    for command in getattr(group, "commands", {}).values():
        yield command
        yield from _below(command)


def _parameter(name: str, parameter: Mapping[str, Any]) -> tuple[str, str, str, str]:
    default = f"`{parameter['Default']}`" if parameter["Default"] != "" else "none"
    return f"`{name}`", default, _taken(parameter), parameter["Description"]


def _taken(parameter: Mapping[str, Any]) -> str:
    match parameter:
        case {"AllowedValues": values}:
            return ", ".join(f"`{value}`" for value in values)
        case {"MinValue": least, "MaxValue": most}:
            return f"{least:,} to {most:,}"
        case {"AllowedPattern": pattern}:
            optional = "nothing, or " if pattern.startswith("|") else ""
            return f"{optional}`{pattern.removeprefix('|')}`"
    raise ValueError(f"a parameter without bounds: {parameter}")


def _table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    cells = [list(heading), *map(list, rows)]
    cells.insert(1, ["---"] * len(cells[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


if __name__ == "__main__":
    for name, reference in REFERENCES.items():
        (FOLDER / name).write_text(reference(), "utf-8")
