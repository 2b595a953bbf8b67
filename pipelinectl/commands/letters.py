"""Dead letters as they are printed: in lines, or as JSON."""

from datetime import UTC, datetime
from typing import Any

from pipelinectl.dead_letters import DeadLetter, grouped
from pipelinectl.rendering.console import out


def print_dead_letters(letters: list[DeadLetter]) -> None:
    """Print the reasons with their counts, then one line a dead letter."""
    from pipelinectl.rendering.tables import reasons_table, render_dead_letters

    if letters:
        console = out()
        console.print(reasons_table(grouped(letters)))
        console.print()
        for part in render_dead_letters(letters, datetime.now(UTC)):
            console.print(part)


def document(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter as JSON."""
    return {
        "message_id": letter.message_id,
        "execution_id": letter.execution_id,
        "stage": letter.stage,
        "error_type": letter.error_type,
        "error_message": letter.error_message,
        "errors": letter.errors,
        "attempts": letter.attempts,
        "failed_at": letter.failed_at,
        "attributes": letter.attributes,
        "payload": str(letter.payload) if letter.payload else None,
        "body": letter.body,
    }
