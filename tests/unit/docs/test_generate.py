"""The references that are generated are current."""

from __future__ import annotations

import pytest

from docs.generate import REFERENCES, TEMPLATE
from localcloud.cloudformation_yaml import load
from pipelinectl.doctor import CHECKS
from tests.documents import ROOT, Document


@pytest.mark.parametrize("name", REFERENCES)
def test_a_reference_is_what_its_source_says(name: str) -> None:
    written = (ROOT / "docs" / name).read_text("utf-8")
    assert written == REFERENCES[name](), f"docs/{name} is out of date: run 'make docs'"


def test_what_a_check_of_the_doctor_refers_to_in_this_project_is_there() -> None:
    files = [check.source for check in CHECKS if "://" not in check.source]

    assert [name for name in files if not (ROOT / name).is_file()] == []


def test_every_parameter_and_output_is_in_the_reference() -> None:
    template = load(TEMPLATE)
    *groups, outputs = Document(ROOT / "docs" / "parameters.md").tables()

    named = [row[0].strip("`") for group in groups for row in group[1:]]
    assert sorted(named) == sorted(template["Parameters"])
    assert [row[0].strip("`") for row in outputs[1:]] == list(template["Outputs"])
