"""Every pipelinectl command and make target in the docs exists. They are parsed, not run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.main import get_command

from pipelinectl.cli import app
from tests.documents import CHANGELOG, DOCUMENTS, ROOT, Document

CLI: Any = get_command(app)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
SEPARATORS = set("();<>|&")
ASSIGNMENT = re.compile(r"[A-Za-z_]+=")
SUBSTITUTION = re.compile(r"\$\((.+)\)", re.DOTALL)


def documented() -> Iterator[tuple[Document, list[str]]]:
    for document in DOCUMENTS:
        if document is CHANGELOG:  # it may speak of what is no more
            continue
        for text in document.commands() + document.code_spans():
            for words in invocations(text):
                if words[0] in {"pipelinectl", "make"} and "[OPTIONS]" not in words:
                    yield document, words


def invocations(command: str) -> Iterator[list[str]]:
    """The words of each program that a line of shell starts, also by a substitution."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="".join(SEPARATORS))
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        tokens = list(lexer)
    except ValueError:  # no shell: a code span of something else
        return
    for token in tokens:
        if substitution := SUBSTITUTION.search(token):
            yield from invocations(substitution[1])
        if set(token) <= SEPARATORS:
            yield from [words] if words else []
            words = []
        elif words or not ASSIGNMENT.match(token):
            words.append(token)
    yield from [words] if words else []


def parse(arguments: list[str]) -> None:
    """Parse a command line down to its command.

    Raises:
        TyperException: there is no such command or option, or a value is none it takes.
    """
    command, name, context = CLI, "pipelinectl", None
    while arguments:
        context = command.make_context(name, arguments, parent=context)
        if not hasattr(command, "commands"):
            return
        name, command, arguments = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )


@pytest.fixture(autouse=True)
def no_completion_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An eager option acts while it is parsed, and this one would write to the user's files."""
    monkeypatch.setattr("typer.completion.install", lambda **_: pytest.fail("it was run"))


def test_an_eager_option_in_the_docs_would_install_nothing() -> None:
    with pytest.raises(pytest.fail.Exception):
        parse(["--install-completion", "bash"])


def test_a_command_in_the_docs_exists() -> None:
    every = list(documented())

    assert every
    assert [
        f"{document}: {shlex.join(words)}: {wrong}"
        for document, words in every
        if (wrong := fault(*words))
    ] == []


def fault(program: str, *arguments: str) -> str:
    """What is wrong with a command; nothing may be."""
    if program == "make":
        unknown = {word for word in arguments if "=" not in word} - TARGETS  # others are variables
        return f"no targets: {unknown}" if unknown else ""
    try:
        parse(list(arguments))
    except typer.TyperException as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["sends"],
        ["dlq", "lists"],
        ["items", "--colour"],
        ["executions", "list", "--status", "TIRED"],
    ],
)
def test_a_command_that_does_not_exist_is_noticed(arguments: list[str]) -> None:
    with pytest.raises(typer.TyperException):
        parse(arguments)


def test_commands_are_found_wherever_a_shell_would_run_them() -> None:
    line = 'A=1 pipelinectl a "$(pipelinectl b | jq c)" && x=$(pipelinectl d) | pipelinectl e # f'

    found = [words for words in invocations(line) if words[0] == "pipelinectl"]

    assert [words[1] for words in found] == ["b", "a", "d", "e"]
