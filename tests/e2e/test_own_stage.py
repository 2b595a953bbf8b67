"""The example of an own stage, deployed from a clean folder, in a pipeline that is told of it."""

from __future__ import annotations

import ast
import json
import shutil
import sys
from typing import Any

import pytest

from localcloud.deploy import deploy
from localcloud.settings import Settings
from pipelinectl.aws import Connection
from pipelinectl.doctor import diagnose
from pipelinectl.doctor.stack import Deployed
from tests.e2e.conftest import PARAMETERS, ROOT, Stack
from tests.e2e.localcloud.support import Cloud, wait_for
from tests.events import order, standard

EXAMPLE = ROOT / "examples" / "enrich"
NAME = "enriched"
CHAIR = {"M": {"name": {"S": "Chair"}, "category": {"S": "furniture"}}}


@pytest.fixture(scope="module")
def enriched(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A pipeline with the example as its own stage, which was deployed by itself before."""
    folder = tmp_path_factory.mktemp("clean") / "enrich"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    example = deploy(
        settings,
        template=folder / "template.yaml",
        stack_name="enrich",
        parameters={"StageTimeout": PARAMETERS["StageTimeout"]},
    )
    outputs = deploy(
        settings,
        template=ROOT / "template.yaml",
        stack_name=NAME,
        parameters={**PARAMETERS, **example},
    )
    return Stack(Cloud(settings, outputs), outputs)


def test_the_example_imports_nothing_but_python() -> None:
    for path in EXAMPLE.rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text("utf-8")))
        imported = {
            name.partition(".")[0]
            for node in nodes
            for name in _imported(node)
            if name != "enrich"  # the example itself, in its own test
        }
        assert imported <= sys.stdlib_module_names, path


def _imported(node: ast.AST) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=str(module)):
            return [module]
    return []


def test_orders_get_their_product_and_others_stay_as_they_are(enriched: Stack) -> None:
    known, other, unknown = enriched.send(
        [order(sku="sku-1"), standard(), order(sku="sku-9", record_id="unknown-product")]
    )

    items = enriched.wait_for_items([known, other])
    letters = wait_for(enriched.take_dead_letters)

    assert items[known]["transformed_data"]["M"]["product"] == CHAIR
    assert items[known]["transformed_data"]["M"]["total"] == {"N": "37.5"}
    assert "product" not in items[other]["transformed_data"]["M"]
    (letter,) = letters
    told = {k: v["StringValue"] for k, v in letter["MessageAttributes"].items()}
    assert told["original_message_id"] == unknown
    assert (told["stage"], told["error_type"]) == ("enrich", "ValidationError")
    assert told["error_message"] == "sku 'SKU-9' is no product of ours"


def test_rows_of_a_file_get_it_too_and_those_it_refuses_are_rejects(enriched: Stack) -> None:
    rows = [json.loads(order(sku=sku)) for sku in ("sku-1", "sku-9", "sku-2") * 50]
    body = "".join(f"{json.dumps(row)}\n" for row in rows)
    s3, bucket = enriched.client("s3"), enriched.outputs["InputBucketName"]
    s3.put_object(Bucket=bucket, Key="input/orders.jsonl", Body=body)

    item = wait_for(lambda: _of_file(enriched))

    summary = item["transformed_data"]["M"]
    assert {k: v["N"] for k, v in summary["counts"]["M"].items()} == {
        "rows": "150",
        "results": "100",
        "rejects": "50",
    }
    manifest = _read(enriched, {k: v["S"] for k, v in summary["manifest"]["M"].items()})
    results = _lines(enriched, manifest, "results_key")
    assert {line["record"]["product"]["name"] for line in results} == {"Chair", "Lamp"}
    rejects = _lines(enriched, manifest, "rejects_key")
    assert {line["reason"]["message"] for line in rejects} == {"sku 'SKU-9' is no product of ours"}


def _of_file(stack: Stack) -> Any:
    return next((i for i in stack.items().values() if "manifest" in _became(i)), None)


def _became(item: Any) -> Any:
    return item["transformed_data"]["M"]


def _read(stack: Stack, pointer: dict[str, str]) -> Any:
    return json.loads(_content(stack, pointer["key"]))


def _lines(stack: Stack, manifest: Any, which: str) -> list[Any]:
    texts = (_content(stack, part[which]) for part in manifest["parts"])
    return [json.loads(line) for text in texts for line in text.splitlines()]


def _content(stack: Stack, key: str) -> bytes:
    bucket = stack.outputs["OutputBucketName"]
    content: bytes = stack.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return content


def test_the_doctor_knows_it_and_that_it_may_be_invoked(enriched: Stack) -> None:
    connection = Connection(enriched.cloud.settings.client_environment())

    (found,) = [r for r in diagnose(Deployed(connection, NAME)) if r.check.name == "own-stage"]

    assert [(one.level.value, one.found) for one in found.findings] == [
        ("ok", "Active"),
        ("ok", "20 s of 20 s"),
        ("ok", "allowed to invoke it"),
        ("ok", "allowed to invoke it"),
    ]
