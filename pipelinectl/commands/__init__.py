"""The commands of `pipelinectl`: where each is, and what the list of them says of it.

None is imported before it is used, or each would wait for what all the others need.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group


class Place(NamedTuple):
    """Where a command is, or an app of several, and its line in the list of commands."""

    module: str
    attribute: str
    summary: str


PLACES: Mapping[str, Place] = {
    "send": Place(
        "send", "send", "Send messages to the pipeline's queue, as they are, in full batches."
    ),
    "upload": Place(
        "upload",
        "upload",
        "Upload files for the pipeline to process: rows of CSV or JSON Lines, or a JSON document.",
    ),
    "download": Place(
        "objects",
        "download",
        "Download an upload, an object, or what was made of the rows of one, as it is.",
    ),
    "items": Place("items", "items", "Show what the pipeline stored, one item a record."),
    "status": Place(
        "status",
        "status",
        "Say what lies where now: in each queue, under way, and what the last hour brought.",
    ),
    "record": Place(
        "record",
        "record",
        "Tell the life of one record: deliveries, stages, item, dead letters, what operators did.",
    ),
    "reprocess": Place(
        "reprocess",
        "reprocess",
        "Take stored records through the pipeline again, after a transform was corrected.",
    ),
    "pause": Place(
        "doors",
        "pause",
        "Pause the intake: disable the event source mappings, and wait until they are.",
    ),
    "resume": Place(
        "doors",
        "resume",
        "Resume the intake: enable the event source mappings, and wait until they are.",
    ),
    "logs": Place(
        "logs",
        "logs",
        "Show what all functions log, in the order of time, on AWS and on the local cloud.",
    ),
    "cost": Place(
        "cost",
        "cost",
        "Show what executions used and what AWS charges for it, per million records.",
    ),
    "console": Place(
        "console",
        "console",
        "Show the pipeline on a web page, on this machine and to whoever opens the printed "
        "address.",
    ),
    "demo": Place(
        "demo", "demo", "Show the whole pipeline at work on this machine, in about a minute."
    ),
    "doctor": Place(
        "doctor",
        "doctor",
        "Say what is wrong with the pipeline as it is deployed, and what to do about it.",
    ),
    "verify": Place(
        "verify", "verify", "See for yourself that a deployed pipeline does what its docs promise."
    ),
    "local": Place("local", "app", "Run the whole pipeline on this machine."),
    "objects": Place("objects", "app", "See what became of files and other S3 objects."),
    "executions": Place("executions", "app", "See, stop and retry durable executions."),
    "dlq": Place("dlq", "app", "See what could not be processed, and why; send it again."),
}


class Commands(Mapping[str, Any]):
    """All commands by name, each imported when it is first asked for."""

    def __init__(self) -> None:
        self._imported: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._imported:
            self._imported[name] = _imported(PLACES[name], name)
        return self._imported[name]

    def __contains__(self, name: object) -> bool:
        return name in PLACES

    def __iter__(self) -> Iterator[str]:
        return iter(PLACES)

    def __len__(self) -> int:
        return len(PLACES)


def _imported(place: Place, name: str) -> Any:
    found = getattr(import_module(f"{__name__}.{place.module}"), place.attribute)
    alone = typer.Typer(add_completion=False, rich_markup_mode="markdown")
    if isinstance(found, typer.Typer):
        alone.add_typer(found)
    else:
        alone.command(name)(found)
    return get_group(alone).commands[name]


class LazyGroup(TyperGroup):
    """A group of all commands, which lists them without importing one."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: Any = Commands()
        self._listing = False

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name; no more than its line while commands are listed."""
        if self._listing and cmd_name in PLACES:
            return TyperCommand(cmd_name, help=PLACES[cmd_name].summary)
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - it is the same for all
        """Names of all commands, in the order of the list."""
        return list(PLACES)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help of all."""
        with self._listed():
            super().format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """What `incomplete` may become."""
        with self._listed():
            return super().shell_complete(ctx, incomplete)

    @contextmanager
    def _listed(self) -> Iterator[None]:
        self._listing = True
        try:
            yield
        finally:
            self._listing = False
