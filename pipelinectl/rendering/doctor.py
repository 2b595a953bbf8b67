"""A diagnosis: one line a check, and below it what is wrong and how to mend it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.text import Text

from pipelinectl.diagnosis.findings import Level
from pipelinectl.rendering.formatting import counted, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipelinectl.diagnosis.diagnose import Check
    from pipelinectl.diagnosis.findings import Finding

_STYLES = {
    Level.OK: "green",
    Level.UNCHECKED: "magenta",
    Level.WARNING: "yellow",
    Level.PROBLEM: "bold red",
}
_LEVEL_WIDTH = max(len(level.value) for level in Level)
_GAP = "  "


def render_diagnosis(checks: Sequence[Check], stack_name: str, width: int | None) -> Iterator[Text]:
    """One line a check: what was found, or the rule that is broken and how to mend it.

    Lines of checks that are ok are cut to `width`, where there is one; the others are whole, so
    that a remedy can be copied. Names go without the stack's.
    """
    name_width = max(len(check.rule.name) for check in checks)
    indent = " " * (_LEVEL_WIDTH + len(_GAP))
    for check in checks:
        bad = [finding for finding in check.findings if finding.level is not Level.OK]
        line = Text(check.level.value.ljust(_LEVEL_WIDTH), _STYLES[check.level])
        line.append(f"{_GAP}{check.rule.name.ljust(name_width)}{_GAP}", "default")
        line.append(check.rule.says if bad else _figures(check, stack_name), "dim")
        if width is not None and not bad:
            line.truncate(width, overflow="ellipsis")
        yield line
        for finding in bad:
            yield Text(f"{indent}{_named(finding, stack_name)}", _STYLES[finding.level])
            yield Text(f"{indent}→ {visible(finding.remedy)}")


def summary(checks: Sequence[Check]) -> str:
    """How many checks there were, and how they ended."""
    levels = Counter(check.level for check in checks)
    parts = [counted(len(checks), "check")]
    parts += [counted(levels[Level.PROBLEM], "problem"), counted(levels[Level.WARNING], "warning")]
    if levels[Level.UNCHECKED]:
        parts.append(f"{levels[Level.UNCHECKED]} could not be checked")
    return ", ".join(parts)


def _figures(check: Check, stack_name: str) -> str:
    same = {finding.found for finding in check.findings}
    if len(same) == 1 and len(check.findings) > 1:
        return f"{len(check.findings)} x {visible(check.findings[0].found)}"
    return ", ".join(_named(finding, stack_name) for finding in check.findings)


def _named(finding: Finding, stack_name: str) -> str:
    subject = finding.subject.removeprefix(f"{stack_name}-")
    return visible(": ".join(filter(None, [subject, finding.found])))
