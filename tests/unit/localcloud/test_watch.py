"""Which function a change goes to, and what keeps it from going live."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from localcloud import watch
from localcloud.settings import LocalCloudError, Settings
from localcloud.watch import Watch

FUNCTION = "{ Type: AWS::Serverless::Function, Properties: { CodeUri: %s } }"


class PutLive:
    """Keeps which functions were put live; fails as often as told to."""

    def __init__(self) -> None:
        self.functions: list[list[str]] = []
        self.failures = 0

    def __call__(self, settings: Settings, stack_name: str, logical_ids: Iterable[str]) -> None:
        if self.failures:
            self.failures -= 1
            raise EndpointConnectionError(endpoint_url="there")
        self.functions.append(sorted(logical_ids))


class Project:
    """A template with two functions, built: both carry `common`, each a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings = Settings.from_environment({"LOCALCLOUD_DIR": str(root / ".local")})
        self.build = root / ".local" / "build" / "stack"
        functions = {"One": "src/", "Two": "src/"}
        self.write("template.yaml", self.template(functions))
        self.write("src/Makefile", "build-One:\n")
        for name in ("common/common.py", "one/handler.py", "two/handler.py", "two/rules.json"):
            self.write(f"src/{name}", "1\n")
        for name in ("One/common", "One/one", "One/boto3", "Two/common", "Two/two"):
            self.write(f".local/build/stack/{name}/__init__.py", "")
        overlaid = {
            "Resources": {
                name: {"Type": "AWS::Serverless::Function", "Properties": {"CodeUri": name}}
                for name in ("One", "Two")
            }
        }
        self.write(".local/build/stack/localcloud-template.json", json.dumps(overlaid))

    @staticmethod
    def template(functions: dict[str, str]) -> str:
        lines = [f"  {name}: {FUNCTION % code}" for name, code in functions.items()]
        return "\n".join(["Resources:", *lines, ""])

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def watch(self) -> Watch:
        return Watch(self.settings, self.root / "template.yaml", "stack")

    def built(self, name: str) -> str | None:
        path = self.build / name
        return path.read_text() if path.exists() else None


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def put_live(monkeypatch: pytest.MonkeyPatch) -> PutLive:
    fake = PutLive()
    monkeypatch.setattr(watch, "put_live", fake)
    return fake


def test_nothing_is_told_or_done_when_nothing_has_changed(
    project: Project, put_live: PutLive
) -> None:
    assert project.watch().poll() is None
    assert put_live.functions == []


@pytest.mark.parametrize(
    ("name", "functions"),
    [
        ("one/handler.py", ["One"]),
        ("two/rules.json", ["Two"]),
        ("one/new/module.py", ["One"]),
        ("common/common.py", ["One", "Two"]),
    ],
)
def test_a_change_goes_live_in_the_functions_that_carry_it_and_once(
    project: Project, put_live: PutLive, name: str, functions: list[str]
) -> None:
    watched = project.watch()
    project.write(f"src/{name}", "2 + 2\n")
    told = watched.poll() or ""
    assert told.startswith(f"{', '.join(functions)} live in ")
    assert told.endswith(f" s: src/{name}")
    assert put_live.functions == [functions]
    assert {f: project.built(f"{f}/{name}") for f in ("One", "Two")} == {
        f: "2 + 2\n" if f in functions else None for f in ("One", "Two")
    }
    assert watched.poll() is None


def test_a_change_leaves_an_artifact_alone_that_has_the_file_by_a_link(
    project: Project, put_live: PutLive
) -> None:
    project.write(".local/build/stack/One/one/handler.py", "1\n")
    elsewhere = project.root / "elsewhere.py"
    elsewhere.hardlink_to(project.build / "One/one/handler.py")
    watched = project.watch()
    project.write("src/one/handler.py", "2 + 2\n")

    assert watched.poll()

    assert (project.built("One/one/handler.py"), elsewhere.read_text()) == ("2 + 2\n", "1\n")


def test_a_file_that_is_removed_is_removed_there(project: Project, put_live: PutLive) -> None:
    project.write(".local/build/stack/Two/two/rules.json", "1")
    watched = project.watch()
    (project.root / "src" / "two" / "rules.json").unlink()
    assert watched.poll()
    assert project.built("Two/two/rules.json") is None
    assert put_live.functions == [["Two"]]


def test_a_syntax_error_is_told_and_nothing_replaced_until_it_is_put_right(
    project: Project, put_live: PutLive
) -> None:
    watched = project.watch()
    project.write("src/common/common.py", "good = 1\n")
    project.write("src/one/handler.py", "x = 1\nif x\n")
    assert watched.poll() == "src/one/handler.py:2: expected ':'; nothing was replaced"
    assert project.built("One/common/common.py") is None
    assert put_live.functions == []
    project.write("src/one/handler.py", "x = 1\n")
    told = watched.poll() or ""
    assert told.endswith(": src/common/common.py, src/one/handler.py")
    assert project.built("Two/common/common.py") == "good = 1\n"
    assert put_live.functions == [["One", "Two"]]


@pytest.mark.parametrize(
    "name", ["template.yaml", "src/Makefile", "src/one/requirements.txt", "src/one/requirements.in"]
)
def test_what_takes_a_deployment_is_told(project: Project, put_live: PutLive, name: str) -> None:
    watched = project.watch()
    project.write(name, "# changed\n")
    assert watched.poll() == f"{name} changed: run `pipelinectl local up` for that"
    assert put_live.functions == []


@pytest.mark.parametrize(
    "name",
    [
        *("src/nobody/carries.py", "src/one/.handler.py.swp", "src/one/handler.py~"),
        *("src/one/__pycache__/handler.cpython-311.pyc", "README.md"),
    ],
)
def test_what_no_function_carries_is_passed_over(
    project: Project, put_live: PutLive, name: str
) -> None:
    watched = project.watch()
    project.write(name, "changed")
    assert watched.poll() is None
    assert put_live.functions == []


def test_what_could_not_be_put_live_is_with_the_next_change(
    project: Project, put_live: PutLive
) -> None:
    watched = project.watch()
    put_live.failures = 1
    project.write("src/one/handler.py", "2 + 2\n")
    assert "src/one/handler.py could not be put live" in (watched.poll() or "")
    project.write("src/two/handler.py", "2 + 2\n")
    assert (watched.poll() or "").endswith(": src/one/handler.py, src/two/handler.py")
    assert put_live.functions == [["One", "Two"]]


def test_functions_built_from_several_folders_cannot_be_watched(project: Project) -> None:
    project.write("template.yaml", project.template({"One": "one/", "Two": "two/"}))
    with pytest.raises(LocalCloudError, match="leave out --watch"):
        project.watch()


def test_the_source_folder_may_be_common_to_all(project: Project) -> None:
    globals_: Any = "Globals: { Function: { CodeUri: src/ } }\n"
    body = "Resources: { One: { Type: AWS::Serverless::Function, Properties: {} } }\n"
    project.write("template.yaml", globals_ + body)
    assert watch.source_folder(project.root / "template.yaml") == project.root / "src"
