"""What the README and its picture show of the system against the template and the folders."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from localcloud.cloudformation_yaml import load
from pipeline_core.telemetry import NAMESPACE
from tests.documents import README, ROOT

TEMPLATE = load(ROOT / "template.yaml")
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
PIPELINE = RESOURCES["DurablePipelineFunction"]["Properties"]
PICTURE = ROOT / "docs" / "pipeline.svg"
SVG = "{http://www.w3.org/2000/svg}"
WORDS = [
    word
    for text in ET.parse(PICTURE).iter(f"{SVG}text")
    for word in re.findall(r"\w+", "".join(text.itertext()))
]
"""Of the picture, in the order in which its text draws them."""
NAMED = [span for span in README.code_spans() if re.fullmatch(r"([A-Z][a-z]+){2,}", span)]
FOLDERS = [re.findall(r"`([^`]+)`", row[0]) for row in README.tables()[-1][1:]]
LISTED = {folder.rstrip("/") for row in FOLDERS for folder in row}


@pytest.mark.parametrize("name", sorted(set(NAMED)))
def test_what_the_readme_names_is_an_output_a_parameter_or_the_metrics_namespace(name: str) -> None:
    assert name in {*TEMPLATE["Outputs"], *TEMPLATE["Parameters"], NAMESPACE}


@pytest.mark.parametrize(
    "output", [name for name in TEMPLATE["Outputs"] if name.endswith(("Name", "Table", "TopicArn"))]
)
def test_each_table_bucket_and_topic_is_a_door_in_the_readme(output: str) -> None:
    assert output in NAMED


def test_the_doors_below_the_buckets_are_those_of_the_notifications() -> None:
    buckets = [r["Properties"] for r in RESOURCES.values() if r["Type"] == "AWS::S3::Bucket"]
    rules = re.findall(
        r"'prefix', 'Value': '(\w+/)'",
        str([bucket.get("NotificationConfiguration") for bucket in buckets]),
    )

    (ways_in, *_) = README.tables()
    doors = {span for row in ways_in[1:] for span in re.findall(r"`(\w+/)`", row[0])}
    assert doors == set(rules)


def test_the_readme_shows_the_picture() -> None:
    assert str(PICTURE.relative_to(ROOT)) in README.links()


def test_the_picture_shows_the_functions_that_are_chained() -> None:
    arns = [
        value["Fn::GetAtt"][0]
        for name, value in PIPELINE["Environment"]["Variables"].items()
        if name.endswith("_FUNCTION_ARN") and "Fn::If" not in value  # the own stage is optional
    ]
    *stages, files = [RESOURCES[arn]["Properties"]["Handler"].split(".")[0] for arn in arns]

    assert files == "csv_file"  # files take a way of their own
    assert [word for word in WORDS if word in stages] == stages
    assert PIPELINE["Handler"].split(".")[0] in WORDS


def test_the_picture_shows_what_invokes_the_durable_function_and_where_records_end() -> None:
    sources = {event["Type"] for event in PIPELINE["Events"].values()}
    tables = {"DynamoDB" for r in RESOURCES.values() if r["Type"] == "AWS::DynamoDB::Table"}

    assert sources | tables | {"DLQ"} <= set(WORDS)


@pytest.mark.parametrize("folder", sorted(LISTED))
def test_a_folder_in_find_your_way_exists(folder: str) -> None:
    assert (ROOT / folder).exists()


def folders() -> list[str]:
    """Each function and each package."""
    functions = [path.parent for path in (ROOT / "src").glob("*/__init__.py")]
    packages = [path.parent for path in ROOT.glob("*/__init__.py")]
    return [str(folder.relative_to(ROOT)) for folder in [*functions, *packages]]


@pytest.mark.parametrize("folder", folders())
def test_each_folder_of_code_is_in_find_your_way(folder: str) -> None:
    assert folder in LISTED, f"{folder}/ is not in README.md, 'Find your way'"


def test_each_function_of_the_template_has_a_folder_in_find_your_way() -> None:
    functions = [r for r in RESOURCES.values() if r["Type"] == "AWS::Serverless::Function"]
    handlers = [Path("src") / r["Properties"]["Handler"].split(".")[0] for r in functions]

    assert {str(handler) for handler in handlers} <= LISTED
