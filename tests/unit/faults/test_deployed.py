"""The copy of a template in which the stages have faults."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faults import NotWrappable
from faults.deployed import Application, with_faults

TEMPLATE = """
Resources:
  Stage:
    Type: AWS::Serverless::Function
    Properties:
      Handler: stage.main.handler
      Role: !GetAtt Role.Arn
      Environment: { Variables: { TABLE: !Ref Table } }
  Plain:
    Type: AWS::Serverless::Function
    Properties: { Handler: plain.handler }
  Table: { Type: AWS::DynamoDB::Table }
"""


@pytest.fixture
def application(tmp_path: Path) -> Application:
    template = tmp_path / "original" / "template.yaml"
    (template.parent / "src" / "stage").mkdir(parents=True)
    (template.parent / "src" / "Makefile").write_text("all:\n")
    template.write_text(TEMPLATE)
    return Application(template)


def test_a_stage_gets_the_wrapper_and_keeps_all_else(
    application: Application, tmp_path: Path
) -> None:
    copy = with_faults(application, {"work": "Stage"}, tmp_path / "copy")

    resources = json.loads(copy.read_text())["Resources"]
    properties = resources["Stage"]["Properties"]
    assert properties["Handler"] == "stage.fault_wrapper.handler"
    assert properties["Role"] == {"Fn::GetAtt": ["Role", "Arn"]}
    assert properties["Environment"]["Variables"] == {
        "TABLE": {"Ref": "Table"},
        "FAULTS_STAGE": "work",
        "FAULTS_HANDLER": "stage.main.handler",
    }
    assert resources["Plain"]["Properties"] == {"Handler": "plain.handler"}


def test_the_code_is_copied_with_the_wrapper_and_the_original_stays(
    application: Application, tmp_path: Path
) -> None:
    copy = with_faults(application, {"work": "Stage"}, tmp_path / "copy")

    assert (copy.parent / "src" / "Makefile").read_text() == "all:\n"
    assert (copy.parent / "src" / "stage" / "fault_wrapper.py").is_file()
    assert application.template.read_text() == TEMPLATE
    assert not (application.template.parent / "src" / "stage" / "fault_wrapper.py").exists()


def test_a_handler_without_a_package_has_the_wrapper_beside_it(
    application: Application, tmp_path: Path
) -> None:
    copy = with_faults(application, {"work": "Plain"}, tmp_path / "copy")

    properties = json.loads(copy.read_text())["Resources"]["Plain"]["Properties"]
    assert properties["Handler"] == "fault_wrapper.handler"
    assert (copy.parent / "src" / "fault_wrapper.py").is_file()


@pytest.mark.parametrize("logical_id", ["Nothing", "Table"])
def test_only_a_function_can_get_faults(
    application: Application, tmp_path: Path, logical_id: str
) -> None:
    with pytest.raises(NotWrappable, match=logical_id):
        with_faults(application, {"work": logical_id}, tmp_path / "copy")
