from __future__ import annotations

from pipelinectl.commands.doctor import render_diagnosis, summary
from pipelinectl.doctor import diagnose
from tests.unit.pipelinectl.doctor import sound

FAULTY = diagnose(sound.deployed(sound.but(sound.FROM_IN, State="Disabled")))


def lines(width: int | None = None) -> list[str]:
    return [line.plain for line in render_diagnosis(FAULTY, "prod", width)]


def test_each_check_has_one_line_with_its_figures() -> None:
    begins = [line.split()[:2] for line in lines() if not line.startswith(" ")]

    assert begins == [[result.level.value, result.check.name] for result in FAULTY]
    assert any("in: 960 s for executions of 900 s" in line for line in lines())


def test_what_was_found_stands_beside_problem_with_remedy_and_rule_below() -> None:
    at = next(n for n, line in enumerate(lines()) if line.startswith("problem"))

    found, remedy, rule = (line.strip() for line in lines()[at : at + 3])
    assert found.endswith(" in: Disabled")
    assert remedy == "→ 'pipelinectl resume' takes messages in again"
    assert rule == "the rule: every queue's event source mapping is enabled"


def test_a_narrow_terminal_cuts_what_is_ok_and_no_remedy() -> None:
    narrow = lines(width=60)

    assert max(len(line) for line in narrow if line.startswith("ok")) <= 60
    assert any(line.endswith("takes messages in again") for line in narrow)


def test_what_a_terminal_would_obey_is_escaped() -> None:
    alarms = sound.alarms(StateValue="ALARM", StateReason="\x1b[2J")
    checks = diagnose(sound.deployed(sound.answering(sound.ALARMS, alarms)))

    assert not [line for line in render_diagnosis(checks, "prod", None) if "\x1b" in line.plain]


def test_the_summary_counts_checks_by_their_worst_finding() -> None:
    assert summary(FAULTY) == f"{len(FAULTY)} checks, 1 problem, 0 warnings"
