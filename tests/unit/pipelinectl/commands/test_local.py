import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from localcloud import credentials
from localcloud.settings import LocalCloudError
from localcloud.supervisor import ProcessStatus
from pipelinectl import local
from pipelinectl.cli import app
from pipelinectl.errors import NotFoundError

RUN = CliRunner()
RUNNING = ProcessStatus("gateway", 42, "running", 4570, 1, 1_700_000_000.0)
STOPPED = ProcessStatus("runner", None, "stopped", 4571, 0, None)


def processes(monkeypatch: pytest.MonkeyPatch, *statuses: ProcessStatus) -> None:
    monkeypatch.setattr("localcloud.supervisor.status", lambda _: list(statuses))


def test_env_can_be_evaluated_by_a_shell_and_parsed_as_json(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LOCALCLOUD_DIR", str(tmp_path))
    monkeypatch.setenv("LOCALCLOUD_LAMBDA_PORT", "4999")
    credentials.make(tmp_path / "credentials.json")

    lines = RUN.invoke(app, ["local", "env"]).stdout.splitlines()
    document = json.loads(RUN.invoke(app, ["local", "env", "--json"]).stdout)

    exported = dict(shlex.split(line)[1].split("=", 1) for line in lines)
    assert exported == document
    assert document["AWS_ENDPOINT_URL_LAMBDA"] == "http://127.0.0.1:4999"


def test_env_of_a_cloud_that_never_was_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LOCALCLOUD_DIR", str(tmp_path))

    result = RUN.invoke(app, ["local", "env"])

    assert result.exit_code == 1
    assert "local up" in result.stderr
    assert result.stderr.count("\n") == 1


def test_status_is_0_when_something_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    processes(monkeypatch, RUNNING, STOPPED)

    result = RUN.invoke(app, ["local", "status"])

    assert result.exit_code == 0
    assert "gateway" in result.stdout
    assert "42" in result.stdout


def test_status_is_1_when_nothing_runs_and_json_is_still_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    processes(monkeypatch, STOPPED)

    result = RUN.invoke(app, ["local", "status", "--json"])

    assert result.exit_code == 1
    assert json.loads(result.stdout)[0] == {
        "name": "runner",
        "pid": None,
        "state": "stopped",
        "port": 4571,
        "restarts": 0,
        "since": None,
    }
    assert "pipelinectl local up" in result.stderr


def test_down_says_what_was_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localcloud.supervisor.down", lambda _: ["gateway", "runner"])

    assert RUN.invoke(app, ["local", "down"]).stdout == "stopped gateway, runner\n"


def test_killing_nothing_is_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localcloud.supervisor.kill", lambda *_: [])

    result = RUN.invoke(app, ["local", "kill", "store"])

    assert result.exit_code == 1
    assert "nothing of 'store' runs now" in result.stderr


@pytest.mark.parametrize(
    ("target", "meant"), [("store", "shop-store"), ("gateway", "gateway"), ("a-store", "a-store")]
)
def test_a_role_means_the_function_of_the_stack(
    monkeypatch: pytest.MonkeyPatch, target: str, meant: str
) -> None:
    asked: list[object] = []

    def kill(_: object, name: str, *__: object) -> list[int]:
        asked.append(name)
        return [7]

    monkeypatch.setattr("localcloud.supervisor.kill", kill)

    result = RUN.invoke(app, ["--stack-name", "shop", "local", "kill", target])

    assert (result.stdout, asked) == ("killed 7\n", [meant])


def test_an_error_of_the_local_cloud_is_told_without_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise LocalCloudError("port 4566 is taken")

    monkeypatch.setattr("localcloud.supervisor.down", refuse)

    result = RUN.invoke(app, ["local", "down"])

    assert (result.exit_code, result.stderr) == (1, "pipelinectl: port 4566 is taken\n")


def test_up_starts_deploys_with_the_local_parameters_and_prints_the_outputs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deployed: dict[str, object] = {}

    def deploy(_: object, **options: object) -> dict[str, str]:
        deployed.update(options)
        return {"DataProcessingQueueUrl": "http://q"}

    monkeypatch.setattr("localcloud.supervisor.up", lambda _: None)
    monkeypatch.setattr("localcloud.deploy.deploy", deploy)
    processes(monkeypatch, RUNNING)
    (tmp_path / "template.yaml").touch()
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")

    result = RUN.invoke(app, ["local", "up", "--stack-name", "mine"])

    assert result.exit_code == 0
    assert result.stdout == "DataProcessingQueueUrl=http://q\n"
    assert deployed["template"] == tmp_path / "template.yaml"
    assert deployed["stack_name"] == "mine"
    assert deployed["parameters"] == dict(local.LOCAL_PARAMETERS)
    assert "gateway" in result.stderr
    assert "\x1b" not in result.stderr


def test_a_parameter_is_deployed_beside_the_local_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deployed: dict[str, Any] = {}
    monkeypatch.setattr("localcloud.supervisor.up", lambda _: None)
    monkeypatch.setattr("localcloud.deploy.deploy", lambda _, **given: deployed.update(given) or {})
    processes(monkeypatch, RUNNING)

    result = RUN.invoke(app, ["local", "up", "--parameter", "BatchSize=7=8"])

    assert result.exit_code == 0
    assert deployed["parameters"] == {**local.LOCAL_PARAMETERS, "BatchSize": "7=8"}


@pytest.mark.parametrize("wrong", ["BatchSize", "batchsize=1", "=1", ""])
def test_a_parameter_that_the_template_does_not_have_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setattr("localcloud.supervisor.up", lambda _: pytest.fail("it was started"))

    result = RUN.invoke(app, ["local", "up", "--parameter", wrong])

    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "NAME=VALUE" in result.stderr
    assert "BatchSize" in result.stderr


def test_up_watches_from_before_the_deployment_until_it_is_interrupted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    happened: list[str] = []

    class Watch:
        def __init__(self, _: object, template: Path, stack_name: str) -> None:
            happened.append(f"watching {template.name} of {stack_name}")

        def poll(self) -> str | None:
            happened.append("looked")
            if happened.count("looked") == 3:
                raise KeyboardInterrupt
            return "Function live in 1.0 s: src/a.py" if happened.count("looked") == 1 else None

    def deploy(*_: object, **__: object) -> dict[str, str]:
        happened.append("deployed")
        return {}

    monkeypatch.setattr("localcloud.supervisor.up", lambda _: None)
    monkeypatch.setattr("localcloud.deploy.deploy", deploy)
    monkeypatch.setattr("localcloud.watch.Watch", Watch)
    monkeypatch.setattr("time.sleep", lambda _: None)
    processes(monkeypatch, RUNNING)
    (tmp_path / "template.yaml").touch()
    monkeypatch.chdir(tmp_path)

    result = RUN.invoke(app, ["--stack-name", "mine", "local", "up", "--watch"])

    assert result.exit_code == 0
    assert happened == ["watching template.yaml of mine", "deployed", *["looked"] * 3]
    assert result.stderr.count("live in") == 1
    assert "watching src/: Ctrl-C ends it, and the local cloud stays up" in result.stderr


def test_a_missing_template_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no template\.yaml in"):
        local.find_template(tmp_path)


def test_local_parameters_are_parameters_of_the_template() -> None:
    template = (Path(__file__).parents[4] / "template.yaml").read_text()

    assert [name for name in local.LOCAL_PARAMETERS if f"\n  {name}:\n" not in template] == []


@pytest.mark.parametrize("name", ["StageTimeout", "FilesTimeout"])
def test_on_a_laptop_a_call_that_hangs_ends_before_its_execution(name: str) -> None:
    parameters = {key: int(local.LOCAL_PARAMETERS[key]) for key in (name, "ExecutionTimeout")}

    assert parameters[name] <= parameters["ExecutionTimeout"] / 2
