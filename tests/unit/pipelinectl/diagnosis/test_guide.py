"""The guide's table of checks against the rules; run as a module, it writes the table."""

from pathlib import Path

from pipelinectl.diagnosis.rules import RULES

ROOT = Path(__file__).parents[4]
GUIDE = ROOT / "docs" / "guides" / "doctor.md"
BEGIN = "<!-- checks: written by `python -m tests.unit.pipelinectl.diagnosis.test_guide` -->\n"
END = "<!-- end of checks -->"


def table() -> str:
    """One line a rule, in the order in which they are shown."""
    rows = [f"| `{rule.name}` | {rule.says} | {link(rule.source)} |\n" for rule in RULES]
    return "".join(["| check | rule | from |\n", "|---|---|---|\n", *rows])


def link(source: str) -> str:
    """A link to AWS's documentation or to a file of this project."""
    text = "AWS" if "://" in source else Path(source).name
    return f"[{text}]({source if '://' in source else f'../../{source}'})"


def parts() -> tuple[str, str, str]:
    """The guide before the table, the table, and the guide after it."""
    before, rest = GUIDE.read_text("utf-8").split(BEGIN)
    written, after = rest.split(END)
    return before, written, after


def test_the_guide_lists_every_check_with_its_rule_and_source() -> None:
    assert parts()[1] == table()


def test_what_a_rule_refers_to_in_this_project_is_there() -> None:
    files = [rule.source for rule in RULES if "://" not in rule.source]

    assert [name for name in files if not (ROOT / name).is_file()] == []


if __name__ == "__main__":
    before, _, after = parts()
    GUIDE.write_text(f"{before}{BEGIN}{table()}{END}{after}", "utf-8")
