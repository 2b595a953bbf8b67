import io
import json

from rich.console import Console

from pipelinectl.commands.executions import render_timeline, timeline_document
from pipelinectl.exact_json import dumps
from tests.unit.pipelinectl.histories import recorded


def rendered(name: str, width: int = 100) -> list[str]:
    output = io.StringIO()
    console = Console(file=output, width=width)
    for part in render_timeline(recorded(name), "uuid/uuid", width):
        console.print(part)
    return [line.rstrip() for line in output.getvalue().splitlines()]


def test_heading_says_status_duration_and_counts() -> None:
    heading, kinds, arn, *_ = rendered("repeated.json")

    assert heading.startswith("SUCCEEDED in ")
    assert "14 operations, 10 invocations" in heading
    assert kinds.startswith("7 chained invokes, 3 step attempts, 2 contexts, 1 execution")
    assert arn == "uuid/uuid"


def test_each_operation_has_a_line_with_its_branch_and_attempt() -> None:
    lines = rendered("repeated.json")

    (dead_letter,) = [line for line in lines if "dead-letter" in line]
    assert dead_letter.startswith("├ dead-letter")
    failed, repeated = [line for line in lines if line.startswith("transform ")]
    assert "FAILED" in failed
    assert "SUCCEEDED" in repeated
    assert " 2 " in repeated


def test_errors_stand_below_in_full() -> None:
    assert any(
        line.startswith("✗ transform at ") and line.endswith("RuntimeError: Worker process died")
        for line in rendered("repeated.json")
    )


def test_error_of_the_execution_itself_is_said_and_where_it_happened() -> None:
    assert any(line.startswith("✗ execution in store: ") for line in rendered("failed.json"))
    assert timeline_document(recorded("failed.json"), "uuid/uuid")["failed_in"] == "store"


def test_nothing_is_wider_than_the_terminal_and_no_control_codes_are_piped() -> None:
    lines = rendered("repeated.json")

    assert max(map(len, lines)) <= 100
    assert "\x1b" not in "".join(lines)


def test_document_has_offsets_in_seconds_and_sizes_in_bytes() -> None:
    document = json.loads(dumps(timeline_document(recorded("repeated.json"), "uuid/uuid")))

    first = document["operations"][0]
    assert document["durable_execution_arn"] == "uuid/uuid"
    assert 0 <= first["start_seconds"] < 1
    assert first["function_name"] == "pipe-validate"
    assert first["input_bytes"] > 0
    assert [child["name"] for child in document["operations"][4]["operations"]] == [
        "dead-letter",
        "store",
    ]
