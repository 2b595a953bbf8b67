"""Runs what a document tells its readers to run, as they would: in one shell, line by line."""

from __future__ import annotations

import os
import re
import subprocess
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from tests.documents import ROOT, Document
from tests.e2e.conftest import BIN, Stack
from tests.e2e.localcloud.support import wait_for
from tests.events import order

KILL = "pipelinectl local kill"
ANYTHING = ""
SENT = r"sent (\d+ of )?\d+ message"
ITEM = r"TEST\.CSV"
TIMELINE = r"(?s)validate.*transform.*store"


@dataclass(frozen=True)
class Ran:
    """What became of a command."""

    exit_code: int
    output: str


class Shell:
    """A bash in a folder, the project's if no other. What a command sets is there for the next."""

    def __init__(self, environment: Mapping[str, str], folder: Path = ROOT) -> None:
        self._bash = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
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


def reader_of(stack: Stack) -> dict[str, str]:
    """The environment of someone who ran `make up`, and whose editor corrects a quantity."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    path = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "120"}
    editor = {"VISUAL": """sed -i 's/"quantity": 0/"quantity": 1/'"""}
    return own | path | editor | stack.cloud.settings.to_environment()


def filling_in(stack: Stack) -> Callable[[str], str]:
    """Puts outputs in the place of their <Name>, and a new dead letter in that of ID and 3f2a."""
    stack.take_dead_letters()
    stack.send([order(quantity=0, order_id=f"a-{number}") for number in range(3)])

    def dead_letters() -> list[str]:
        queue = stack.outputs["DeadLetterQueueUrl"]
        messages = stack.client("sqs").receive_message(
            QueueUrl=queue, VisibilityTimeout=0, MaxNumberOfMessages=10
        )
        return [message["MessageId"] for message in messages.get("Messages", [])]

    letter = wait_for(dead_letters)[0]

    def filled(command: str) -> str:
        with_outputs = re.sub(r"<(\w+)>", lambda name: stack.outputs[name[1]], command)
        return re.sub(r"(?<!\$)\b(ID|3f2a)\b", letter, with_outputs)

    return filled


def walk(walkthrough: Walkthrough, stack: Stack, shell: Shell, before: str = "") -> None:
    """Run each command that is to be run, when all that came before has been worked on.

    ``before`` is run first: a script that makes what the document takes to be there.
    """
    fill_in = filling_in(stack)
    prepared = shell.run(f"set -e\n{before}\nset +e") if before else Ran(0, "")
    assert prepared.exit_code == 0, prepared.output
    for command in filter(walkthrough.run, walkthrough.document.commands()):
        if command.startswith(KILL):
            _kill_at_work(shell, command)
        else:
            wait_for(lambda: stack.in_flight() == 0, seconds=120)
            walkthrough.check(command, shell.run(fill_in(command)))
    stack.take_dead_letters()


def _kill_at_work(shell: Shell, command: str) -> None:
    """Kill workers while there is work; they start when it comes."""
    wait_for(lambda: shell.run(command).exit_code == 0)


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
