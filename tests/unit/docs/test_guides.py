"""Guides against the template and the folder that they are in."""

from __future__ import annotations

import re

import pytest

from localcloud.cloudformation_yaml import load
from tests.documents import ROOT, Document

TEMPLATE = load(ROOT / "template.yaml")
GUIDES = [Document(path) for path in sorted((ROOT / "docs" / "guides").glob("*.md"))]
INDEX = Document(ROOT / "docs" / "README.md")
OF_CLOUDFORMATION = {"CloudFormation"}  # deploys the template and is not in it


def test_the_index_has_every_document() -> None:
    documents = (ROOT / "docs").rglob("*.md")
    paths = {str(path.relative_to(INDEX.path.parent)) for path in documents}

    missing = paths - {"README.md", *INDEX.links()}
    assert missing == set(), f"link {sorted(missing)} in {INDEX}"


def test_deploying_needs_rights_in_the_services_of_the_template_and_in_no_other() -> None:
    (services, *_) = Document(ROOT / "docs" / "guides" / "deploy.md").tables()
    named = {re.split(r",? and |, ", row[0])[0] for row in services[1:]}

    types = {resource["Type"].split("::")[1] for resource in TEMPLATE["Resources"].values()}
    assert named - OF_CLOUDFORMATION == {t.replace("Serverless", "Lambda") for t in types}


@pytest.mark.parametrize("guide", GUIDES, ids=str)
def test_the_first_column_of_a_table_of_parameters_names_parameters(guide: Document) -> None:
    tables = [table for table in guide.tables() if table[0][0] == "parameter"]
    named = [
        name for table in tables for row in table[1:] for name in re.findall(r"`(\w+)`", row[0])
    ]

    assert set(named) <= set(TEMPLATE["Parameters"])


@pytest.mark.parametrize("guide", GUIDES, ids=str)
def test_a_default_in_a_table_of_parameters_is_the_templates(guide: Document) -> None:
    for table in guide.tables():
        if table[0][:2] == ["parameter", "default"]:
            for name, default, *_ in table[1:]:
                assert default == str(TEMPLATE["Parameters"][name.strip("`")]["Default"])
