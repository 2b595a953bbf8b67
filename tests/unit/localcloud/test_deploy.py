"""What Lambda would not take is refused before anything is deployed; code is put live without."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import boto3
import pytest

from localcloud import deploy
from localcloud.settings import LocalCloudError, Settings

MAX_BYTES = 250 * 1024 * 1024


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A build whose function and layer come to the limit; their files take no room on the disk."""
    for folder, size in {"Function": MAX_BYTES - 10, "Layer": 10}.items():
        (tmp_path / folder / "package").mkdir(parents=True)
        with (tmp_path / folder / "package" / "file").open("wb") as file:
            file.truncate(size)
    return tmp_path


def template(*layers: Any) -> dict[str, Any]:
    return {
        "Resources": {
            "Function": {
                "Type": "AWS::Serverless::Function",
                "Properties": {"CodeUri": "Function", "Layers": list(layers)},
            },
            "Layer": {
                "Type": "AWS::Serverless::LayerVersion",
                "Properties": {"ContentUri": "Layer"},
            },
        }
    }


def test_code_and_layers_at_the_limit_are_taken(build: Path) -> None:
    deploy.require_deployable(template({"Ref": "Layer"}), build)


def test_one_byte_more_is_refused_with_the_function_and_the_remedy(build: Path) -> None:
    (build / "Layer" / "one-more").write_text("x")
    deploy.require_deployable(template(), build)
    with pytest.raises(
        LocalCloudError, match=r"Function has 262,144,001 bytes .* at most 262,144,000: leave out"
    ):
        deploy.require_deployable(template({"Ref": "Layer"}), build)


class FakeAws:
    """A stack of a function with an alias and one without; keeps the code that they get."""

    def __init__(self) -> None:
        self.code: dict[str, bytes] = {}
        self.versions = 1
        self.aliases = {"stack-d": {"live": "1"}}

    def client(self, _: str, **__: Any) -> FakeAws:
        return self

    def get_paginator(self, _: str) -> FakeAws:
        return self

    def paginate(self, StackName: str) -> list[Any]:
        names = {"Durable": f"{StackName}-d", "Plain": f"{StackName}-p"}
        return [
            {
                "StackResourceSummaries": [
                    {"LogicalResourceId": logical_id, "PhysicalResourceId": name}
                    for logical_id, name in names.items()
                ]
            }
        ]

    def update_function_code(self, FunctionName: str, ZipFile: bytes) -> None:
        self.code[FunctionName] = ZipFile

    def list_aliases(self, FunctionName: str) -> dict[str, Any]:
        return {"Aliases": [{"Name": name} for name in self.aliases.get(FunctionName, {})]}

    def publish_version(self, FunctionName: str) -> dict[str, str]:
        assert FunctionName in self.aliases, "nobody would use the version"
        self.versions += 1
        return {"Version": str(self.versions)}

    def update_alias(self, FunctionName: str, Name: str, FunctionVersion: str) -> None:
        self.aliases[FunctionName][Name] = FunctionVersion


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> FakeAws:
    fake = FakeAws()
    monkeypatch.setattr(boto3, "client", fake.client)
    return fake


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a local cloud on which the stack was built."""
    settings = Settings.from_environment({"LOCALCLOUD_DIR": str(tmp_path)})
    settings.save_request_file.parent.mkdir()
    settings.make_credentials()
    resources = {
        name: {"Type": "AWS::Serverless::Function", "Properties": {"CodeUri": name}}
        for name in ("Durable", "Plain", "New")
    }
    build = deploy.build_directory(settings, "stack")
    for name in ("Durable", "Plain", "New"):
        (build / name).mkdir(parents=True)
        (build / name / "handler.py").write_text(name)
    (build / "localcloud-template.json").write_text(json.dumps({"Resources": resources}))
    return settings


def test_built_code_is_put_live_where_it_runs_and_saved(aws: FakeAws, settings: Settings) -> None:
    deploy.put_live(settings, "stack", ["Durable", "Plain"])
    handlers = {
        name: zipfile.ZipFile(io.BytesIO(code)).read("handler.py")
        for name, code in aws.code.items()
    }
    assert handlers == {"stack-d": b"Durable", "stack-p": b"Plain"}
    assert aws.aliases == {"stack-d": {"live": "2"}}
    assert settings.save_request_file.exists()


def test_a_deployment_replaces_what_was_put_live_once(aws: FakeAws, settings: Settings) -> None:
    deploy.put_live(settings, "stack", ["Durable"])
    deploy.put_live(settings, "stack", ["Plain"])
    aws.code.clear()
    deploy._replace_what_was_put_live(settings, "stack")
    assert sorted(aws.code) == ["stack-d", "stack-p"]
    aws.code.clear()
    deploy._replace_what_was_put_live(settings, "stack")
    assert aws.code == {}


def test_a_function_that_is_not_deployed_is_named(aws: FakeAws, settings: Settings) -> None:
    with pytest.raises(LocalCloudError, match="New is not deployed: run `pipelinectl local up`"):
        deploy.put_live(settings, "stack", ["New"])


def test_a_parameter_that_is_not_given_has_its_default_as_text() -> None:
    template = {"Parameters": {"Most": {"Default": 5}, "Least": {"Default": 1}, "Name": {}}}
    assert deploy.parameter_values(template, {"Most": "7"}) == {"Most": "7", "Least": "1"}
    assert deploy.parameter_values({}, {}) == {}


class Bucket:
    """S3 with one bucket, which notes each object that is put."""

    def __init__(self) -> None:
        self.puts: list[str] = []

    def get_paginator(self, _: str) -> Bucket:
        return self

    def paginate(self, *, Prefix: str, **_: Any) -> list[Any]:
        there = [{"Key": key} for key in self.puts if key.startswith(Prefix)]
        return [{"Contents": there}, {}]

    def put_object(self, *, Key: str, **_: Any) -> None:
        self.puts.append(Key)


def test_only_what_is_new_to_a_stack_is_uploaded(tmp_path: Path) -> None:
    for name in ("One", "Two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "handler.py").write_text(name)
    function = {"Type": "AWS::Serverless::Function"}
    resources = {name: {**function, "Properties": {"CodeUri": name}} for name in ("One", "Two")}
    overlaid = tmp_path / "template.json"
    overlaid.write_text(json.dumps({"Resources": resources}))
    bucket: Any = Bucket()

    first = deploy._upload(bucket, overlaid, "stack")
    everything = len(bucket.puts)
    again = deploy._upload(bucket, overlaid, "stack")
    nothing = len(bucket.puts) - everything
    deploy._upload(bucket, overlaid, "other")
    all_of_another = len(bucket.puts) - everything
    (tmp_path / "Two" / "handler.py").write_text("changed")
    changed = deploy._upload(bucket, overlaid, "stack")

    assert (everything, nothing, all_of_another) == (3, 0, 3)
    assert first == again != changed
    assert len(bucket.puts) == len(set(bucket.puts)) == 3 + 3 + 2
