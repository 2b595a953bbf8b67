"""Runs what a document tells its readers to run, as they would: in one shell, line by line."""

from __future__ import annotations

import re
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Self

from tests.documents import ROOT, Document


@dataclass(frozen=True)
class Ran:
    """What became of a command."""

    exit_code: int
    output: str


class Shell:
    """A bash in the project's folder. What a command sets is there for the next one."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._bash = subprocess.Popen(
            ["bash", "--norc"],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bash.kill()
        self._bash.communicate()

    def run(self, command: str) -> Ran:
        """Run a command that asks nothing; it finds its stdin empty."""
        mark = uuid.uuid4().hex
        stdin, stdout = _pipe(self._bash.stdin), _pipe(self._bash.stdout)
        stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\n%s %s\\n' {mark} $?\n")
        stdin.flush()
        lines: list[str] = []
        for line in stdout:
            if line.startswith(mark):
                return Ran(int(line.removeprefix(mark)), "".join(lines))
            lines.append(line)
        raise AssertionError(f"the shell ended at: {command}\n{''.join(lines)}")


@dataclass(frozen=True)
class Walkthrough:
    """The commands of a document: those that are run, and those that are not.

    ``shows`` has for the beginning of each command that is run a pattern of what it prints, and
    ``left_out`` for that of each other one the reason. The longest beginning counts.
    """

    document: Document
    shows: Mapping[str, str]
    left_out: Mapping[str, str]

    def unknown(self) -> list[str]:
        """Commands that are neither run nor left out."""
        return [command for command in self.document.commands() if not self._entry(command)]

    def stale(self) -> set[str]:
        """Entries for which there is no command."""
        used = {self._entry(command) for command in self.document.commands()}
        return {*self.shows, *self.left_out} - used

    def run(self, command: str) -> bool:
        """Whether a command is one to run."""
        return self._entry(command) in self.shows

    def check(self, command: str, ran: Ran) -> None:
        """A command has ended well and printed what it should."""
        said = f"{self.document}: {command}\n{ran.output}"
        assert ran.exit_code == 0, said
        assert re.search(self.shows[self._entry(command)], ran.output, re.MULTILINE), said

    def _entry(self, command: str) -> str:
        entries = [entry for entry in (*self.shows, *self.left_out) if command.startswith(entry)]
        return max(entries, key=len, default="")


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
