"""A stack is deployed by a change set, or stays as it was and the reason is told."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud.deploy import deploy_built
from localcloud.settings import LocalCloudError
from tests.e2e.localcloud.support import SECONDS, Cloud

STACK = "deploying"

QUEUE: Any = {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 11}}
IMPOSSIBLE: Any = {
    "Type": "AWS::Lambda::Function",
    "Properties": {
        "Code": {"ZipFile": "def handler(event, context): pass"},
        "Handler": "index.handler",
        "Runtime": "python3.13",
        "Role": "arn:aws:iam::000000000000:role/any",
        "Environment": {"Variables": {"NAME": "4 KB are taken" * 1000}},
    },
}


@pytest.fixture
def stack_name(cloud: Cloud) -> Iterator[str]:
    yield STACK
    cloud.client("cloudformation").delete_stack(StackName=STACK)


def deployed(cloud: Cloud, folder: Path, common: Any = None, **resources: Any) -> dict[str, str]:
    template = {
        "Transform": "AWS::Serverless-2016-10-31",
        "Globals": {"Function": common or {}},
        "Resources": resources,
        "Outputs": {name: {"Value": {"Ref": name}} for name in resources},
    }
    (folder / "template.json").write_text(json.dumps(template))
    return deploy_built(cloud.settings, folder / "template.json", STACK, {})


def visibility(cloud: Cloud, url: str) -> str:
    attributes = cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    found: str = attributes["Attributes"]["VisibilityTimeout"]
    return found


def test_a_deployment_creates_changes_and_leaves_alone(
    cloud: Cloud, stack_name: str, tmp_path: Path
) -> None:
    url = deployed(cloud, tmp_path, Queue=QUEUE)["Queue"]
    assert visibility(cloud, url) == "11"
    assert deployed(cloud, tmp_path, Queue=QUEUE) == {"Queue": url}
    other = {**QUEUE, "Properties": {"VisibilityTimeout": 12}}
    assert deployed(cloud, tmp_path, Queue=other) == {"Queue": url}
    assert visibility(cloud, url) == "12"
    events = cloud.client("cloudformation").describe_stack_events(StackName=stack_name)
    statuses = [
        e["ResourceStatus"] for e in events["StackEvents"] if "Queue" not in e["LogicalResourceId"]
    ]
    assert statuses.count("UPDATE_COMPLETE") == 1


def test_code_that_functions_have_in_common_is_deployed(
    cloud: Cloud, stack_name: str, tmp_path: Path
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "index.py").write_text("def handler(event, context): return 'run'")
    common = {"CodeUri": "code", "Runtime": "python3.14", "Handler": "index.handler"}
    function = {"Type": "AWS::Serverless::Function", "Properties": {}}

    outputs = deployed(cloud, tmp_path, common, One=function, Other=function)

    for name in outputs.values():
        answer = cloud.client("lambda").invoke(FunctionName=name)
        assert json.load(answer["Payload"]) == "run"


def test_a_stack_that_cannot_be_created_is_told_and_does_not_stand_in_the_way(
    cloud: Cloud, stack_name: str, tmp_path: Path
) -> None:
    for _ in range(2):
        with pytest.raises(LocalCloudError, match=f"{stack_name} was not deployed:\nFunction: "):
            deployed(cloud, tmp_path, Queue=QUEUE, Function=IMPOSSIBLE)
    assert visibility(cloud, deployed(cloud, tmp_path, Queue=QUEUE)["Queue"]) == "11"


def test_a_stack_that_cannot_be_changed_is_as_it_was(
    cloud: Cloud, stack_name: str, tmp_path: Path
) -> None:
    url = deployed(cloud, tmp_path, Queue=QUEUE)["Queue"]
    other = {**QUEUE, "Properties": {"VisibilityTimeout": 12}}
    with pytest.raises(LocalCloudError, match="Function: "):
        deployed(cloud, tmp_path, Queue=other, Function=IMPOSSIBLE)
    assert visibility(cloud, url) == "11"
    assert deployed(cloud, tmp_path, Queue=other) == {"Queue": url}
    assert visibility(cloud, url) == "12"


def test_a_template_that_is_none_is_refused(cloud: Cloud, stack_name: str, tmp_path: Path) -> None:
    with pytest.raises(LocalCloudError, match="No::Such"):
        deployed(cloud, tmp_path, Queue={"Type": "No::Such::Thing"})


def test_sam_deploys_here_as_it_does_to_aws(cloud: Cloud, stack_name: str, tmp_path: Path) -> None:
    (tmp_path / "template.json").write_text(json.dumps({"Resources": {"Queue": QUEUE}}))
    subprocess.run(
        [
            *(cloud.settings.sam_command, "deploy", "--template-file", "template.json"),
            *("--stack-name", stack_name, "--resolve-s3", "--region", cloud.settings.region),
        ],
        cwd=tmp_path,
        env=cloud.settings.client_environment() | {"SAM_CLI_TELEMETRY": "0", "HOME": str(tmp_path)},
        check=True,
        timeout=SECONDS,
    )
    found = cloud.client("cloudformation").describe_stack_resources(StackName=stack_name)
    assert [r["LogicalResourceId"] for r in found["StackResources"]] == ["Queue"]
