"""How the body of a dead letter is mended before it is sent again."""

import os

from pipelinectl import bodies, editor
from pipelinectl.bodies import Body
from pipelinectl.commands.input import STDIN, content
from pipelinectl.dead_letters import DeadLetter
from pipelinectl.errors import UsageError
from pipelinectl.redrive import Mend
from pipelinectl.rendering.console import note


def replacement(body: str | None, body_file: str | None, *, edit: bool) -> Body | None:
    """The body that the options give, if they do.

    Raises:
        UsageError: they contradict each other, or SQS would not take the body.
    """
    if sum((body is not None, body_file is not None, edit)) > 1:
        msg = "--edit, --body and --body-file each say how to mend: give one of them"
        raise UsageError(msg)
    found = _read(body, body_file)
    bodies.check([found] if found else [])
    return found


def _read(body: str | None, body_file: str | None) -> Body | None:
    source = STDIN if body == STDIN else body_file
    if source is not None:
        return bodies.from_whole(content(source), "stdin" if source == STDIN else source)
    return None if body is None else Body(body, "--body")


def by(body: Body) -> Mend:
    """Send `body` instead."""
    return lambda _: body.text


def by_editor(letter: DeadLetter) -> str | None:
    """Let the operator edit the body, and say so where it stays as it is."""
    name = f"dead letter {letter.message_id}"
    note(f"{name}: {letter.error_message}")
    edited = editor.edit(letter.body, os.environ)
    if edited is None:
        note(f"{name} was left unchanged or emptied: it stays a dead letter")
        return None
    try:
        bodies.check([Body(edited, name)])
    except UsageError as error:
        note(f"{error}; it stays a dead letter")
        return None
    return edited
