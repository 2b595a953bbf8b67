import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelinectl.commands import output

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, ""),
        (0, "0 ms"),
        (0.0124, "12 ms"),
        (3.416, "3.42 s"),
        (125, "2 min 05 s"),
        (3720, "1 h 02 min"),
    ],
)
def test_duration_has_the_digits_that_matter(seconds: float | None, expected: str) -> None:
    assert output.duration(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-3, "0 s"), (59, "59 s"), (60, "1 min"), (7200, "2 h"), (86400 * 8, "8 d")],
)
def test_age_is_in_its_largest_unit(seconds: int, expected: str) -> None:
    assert output.age(NOW - timedelta(seconds=seconds), NOW) == expected


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 20, "3.0 MiB")]
)
def test_size_has_binary_units(count: int, expected: str) -> None:
    assert output.size(count) == expected


def test_text_is_cut_on_one_line() -> None:
    assert output.shorten("a\n b  c", 10) == "a b c"
    assert output.shorten("abcdef", 4) == "abc…"


@pytest.mark.parametrize(
    ("count", "expected"), [(1, "1 item"), (0, "0 items"), (2000, "2,000 items")]
)
def test_counts_agree_with_their_noun(count: int, expected: str) -> None:
    assert output.counted(count, "item") == expected


FRACTIONS = st.floats(min_value=0, max_value=1)


@given(FRACTIONS, FRACTIONS, st.floats(min_value=0, max_value=1e6), st.integers(1, 80))
def test_a_bar_fills_its_width_and_is_never_empty(
    one: float, other: float, total: float, width: int
) -> None:
    start, end = sorted((one * total, other * total))
    drawn = output.bar(start, end, total, width)

    assert len(drawn) == width
    assert drawn.strip()


def test_bars_of_parts_that_follow_each_other_meet() -> None:
    assert output.bar(0, 5, 10, 8) == "████    "
    assert output.bar(5, 10, 10, 8) == "    ████"
    assert output.bar(10, 10, 10, 8) == "       █"


def test_a_table_that_is_piped_is_not_padded(capsys: pytest.CaptureFixture[str]) -> None:
    found = output.table("name", "status")
    found.add_row("a much longer name", "")
    found.add_row("b", "RUNNING")

    output.out().print(found)

    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "name                status",
        "a much longer name",
        "b                   RUNNING",
    ]


def shown(table: Table, width: int) -> list[str]:
    """What a terminal of this width shows."""
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=True, color_system=None).print(table)
    return file.getvalue().splitlines()


IDS = ("local-7f3c2b1a-1111-2222-3333-444455556666", "till-7")
CELLS = st.text(st.characters(categories=("L", "N", "P", "Zs", "So")), max_size=60)
WIDE = "注文データの処理に失敗しました" * 4


@given(st.integers(20, 120), st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=5))
def test_no_line_of_a_table_is_wider_than_the_terminal(
    width: int, rows: list[tuple[str, str, str]]
) -> None:
    table = output.table("id", "one", "two", "three", spare=("two",), right=("three",))
    for n, cells in enumerate([*rows, (WIDE, "", WIDE)]):
        table.add_row(IDS[n % 2], *map(Text, cells))
        table.below(Text(WIDE))

    lines = shown(table, width)

    assert max(map(cell_len, lines)) <= width
    begin = [line for line in lines if line.startswith(("local-7f3c2b", "till-7"))]
    assert len(begin) == len(rows) + 1


def test_columns_that_can_be_spared_are_left_out_in_that_order() -> None:
    table = output.table("id", "state", "size", "age", spare=("size", "state"))
    table.add_row("a" * 36, "PROCESSING", "1,000,000 KiB", "12 min")

    assert shown(table, 60)[1].split()[1:] == ["PROCESSING", "1,000,000", "KiB", "12", "min"]
    headers = [shown(table, width)[0].split() for width in (100, 60, 44, 36, 24)]

    assert headers == [
        ["id", "state", "size", "age"],
        ["id", "state", "size", "age"],
        ["id", "state", "age"],
        ["id", "age"],
        ["id"],
    ]


def test_what_is_piped_is_whole_and_has_no_blanks_at_its_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = output.table("id", "text", spare=("text",))
    table.add_row(IDS[0], "x" * 5000)
    table.below(Text("y " * 300))

    output.print_parts([table, *output.titled("more", output.facts({"name": "z" * 300}))])

    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == [IDS[0], "x" * 5000]
    assert lines[2].split() == ["y"] * 300
    assert lines[-1].endswith("z" * 300)
    assert [line for line in lines if line != line.rstrip()] == []
