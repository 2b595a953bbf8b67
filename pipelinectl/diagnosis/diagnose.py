"""Asks every rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelinectl.diagnosis.findings import Finding, Level, Rule
from pipelinectl.diagnosis.rules import RULES

if TYPE_CHECKING:
    from pipelinectl.diagnosis.facts import Facts


@dataclass(frozen=True)
class Check:
    """A rule and what it found."""

    rule: Rule
    findings: list[Finding]

    @property
    def level(self) -> Level:
        """That of its worst finding."""
        return max((finding.level for finding in self.findings), key=lambda level: level.rank)

    @property
    def document(self) -> dict[str, Any]:
        """The check as --json prints it."""
        return {
            "check": self.rule.name,
            "level": self.level.value,
            "rule": self.rule.says,
            "source": self.rule.source,
            "findings": [
                {
                    "level": finding.level.value,
                    "subject": finding.subject,
                    "found": finding.found,
                    "remedy": finding.remedy,
                }
                for finding in self.findings
            ],
        }


def diagnose(facts: Facts) -> list[Check]:
    """Every check that has something to judge."""
    checks = (Check(rule, rule.findings(facts)) for rule in RULES)
    return [check for check in checks if check.findings]
