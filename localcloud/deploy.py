"""Deploys a SAM template to the local cloud, with the same `sam` that deploys it to AWS.

`put_live` replaces the code of single functions without it, in about a second.
"""

import collections
import io
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from localcloud import cloudformation_yaml
from localcloud.overlay import PLAIN_FUNCTION, SAM_FUNCTION, overlay
from localcloud.quotas import MAX_UNZIPPED_BYTES
from localcloud.settings import LocalCloudError, Settings
from localcloud.supervisor import neutral_environment

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

_BUCKET = "localcloud-artifacts"
_TAIL_LINES = 30
_OVERLAID = "localcloud-template.json"
_SAVE_SECONDS = 10.0
_EMPTY: Mapping[str, str] = {}


@dataclass(frozen=True)
class _Sam:
    """How `sam` is run: which command, in which environment, and who hears its output."""

    command: Path
    environment: Mapping[str, str]
    directory: Path
    echo: Callable[[str], None] | None


def deploy(
    settings: Settings,
    *,
    template: Path,
    stack_name: str,
    parameters: Mapping[str, str] = _EMPTY,
    echo: Callable[[str], None] | None = None,
) -> dict[str, str]:
    """Build the template, overlay it and deploy it; return the stack's outputs.

    A parameter that is not named has its default, also where an earlier deployment named it or the
    default was another one: `sam deploy` by itself would keep the value that the stack has.

    `echo` receives each line that `sam` prints. Raises LocalCloudError when the parameters
    contradict each other or the local cloud does not answer, and, with the last lines of what `sam`
    printed, when building or deploying fails.
    """
    template = template.resolve()
    source = cloudformation_yaml.load(template)
    parameters = parameter_values(source, parameters)
    if wrong := contradictions(source, parameters):
        raise LocalCloudError("\n".join(wrong))
    build = build_directory(settings, stack_name)
    build.mkdir(parents=True, exist_ok=True)
    sam = _sam(settings, template.parent, echo)
    configuration = _empty_configuration(settings)
    _ensure_bucket(settings)
    _run(sam, ("build", "--template-file", str(template), "--build-dir", str(build)), configuration)
    overlaid = _write_overlaid(settings, build, parameters)
    _run(sam, _deploy_arguments(settings, overlaid, stack_name, parameters), configuration)
    _replace_what_was_put_live(settings, stack_name)
    _save_state(settings)
    cloudformation = boto3.client("cloudformation", **settings.root_client_options())
    [stack] = cloudformation.describe_stacks(StackName=stack_name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def build_directory(settings: Settings, stack_name: str) -> Path:
    """Return the folder of a stack's built template and, beside it, of each function's artifact."""
    return (settings.directory / "build" / stack_name).resolve()


def artifacts(build: Path) -> dict[str, Path]:
    """Return the built folder of each function of the template, by logical id."""
    # What was deployed last; JSON is read at once, unlike YAML.
    resources = json.loads((build / _OVERLAID).read_text())["Resources"]
    return {
        logical_id: build / resource["Properties"]["CodeUri"]
        for logical_id, resource in resources.items()
        if resource["Type"] == SAM_FUNCTION
    }


def put_live(settings: Settings, stack_name: str, logical_ids: Iterable[str]) -> None:
    """Replace the code of some of the stack's functions by what lies in their artifacts.

    The aliases of a function that has some are moved to a new version of it, as `sam sync` does;
    executions that run go on with theirs. As on every update of its code, ministack ends the
    workers of the function's newest code. botocore's errors pass through; LocalCloudError is raised
    for a function that is not deployed.
    """
    logical_ids = set(logical_ids)
    options = settings.root_client_options()
    pages = boto3.client("cloudformation", **options).get_paginator("list_stack_resources")
    names = {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for page in pages.paginate(StackName=stack_name)
        for resource in page["StackResourceSummaries"]
    }
    client = boto3.client("lambda", **options)
    known = _put_live_since_deployed(settings, stack_name)
    _put_live_file(settings, stack_name).write_text(json.dumps(sorted(known | logical_ids)))
    folders = artifacts(build_directory(settings, stack_name))
    for logical_id in sorted(logical_ids):
        name = names.get(logical_id)
        if name is None:
            raise LocalCloudError(f"{logical_id} is not deployed: run `pipelinectl local up`.")
        client.update_function_code(FunctionName=name, ZipFile=_zipped(folders[logical_id]))
        _move_aliases(client, name)
    settings.save_request_file.touch()


def _move_aliases(client: "LambdaClient", name: str) -> None:
    aliases = client.list_aliases(FunctionName=name)["Aliases"]
    if not aliases:
        return
    version = client.publish_version(FunctionName=name)["Version"]
    for alias in aliases:
        client.update_alias(FunctionName=name, Name=alias["Name"], FunctionVersion=version)


def _replace_what_was_put_live(settings: Settings, stack_name: str) -> None:
    """Put the built code live where other code was: to a deployment, that is no change."""
    replaced = _put_live_since_deployed(settings, stack_name)
    if replaced:
        built = artifacts(build_directory(settings, stack_name))
        put_live(settings, stack_name, replaced & built.keys())
        _put_live_file(settings, stack_name).unlink()


def _put_live_since_deployed(settings: Settings, stack_name: str) -> set[str]:
    path = _put_live_file(settings, stack_name)
    return set(json.loads(path.read_text())) if path.exists() else set()


def _put_live_file(settings: Settings, stack_name: str) -> Path:
    return settings.directory / "build" / f"{stack_name}.put-live.json"


def _zipped(folder: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return content.getvalue()


def _save_state(settings: Settings) -> None:
    """Have ministack save its state: what was deployed would be gone if it were killed."""
    request = settings.save_request_file
    request.touch()
    deadline = time.monotonic() + _SAVE_SECONDS
    while request.exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def parameter_values(template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """Return the values of the template's parameters, as text: what is given, and the defaults."""
    declared = template.get("Parameters", {})
    defaults = {name: str(p["Default"]) for name, p in declared.items() if "Default" in p}
    return {**defaults, **given}


def contradictions(template: Mapping[str, Any], values: Mapping[str, str]) -> list[str]:
    """Say which of the template's own Comparisons of its parameters do not hold, and the remedy.

    `values` are those of all parameters. The comparisons are in its Metadata, `Twice` one parameter
    `AtMost` another one, because CloudFormation's Rules, which the local cloud has as well, cannot
    compare numbers.
    """
    return [
        f"{small} {values[small]} is more than half of {large} {values[large]}. {why} "
        f"Set {small} to {int(values[large]) // 2} or less, or a longer {large}."
        for small, large, why in (
            (c["Twice"], c["AtMost"], c["Because"])
            for c in template.get("Metadata", {}).get("Comparisons", ())
        )
        if 2 * int(values[small]) > int(values[large])
    ]


def _sam(settings: Settings, directory: Path, echo: Callable[[str], None] | None) -> _Sam:
    if not settings.sam_command.is_file():
        raise LocalCloudError(
            f"{settings.sam_command} does not exist: run `make setup` in a checkout of "
            "durable-pipeline, or set LOCALCLOUD_SAM to the sam command."
        )
    environment = {
        **neutral_environment(os.environ),
        **settings.client_environment(),
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "1",
        # The functions' build rules call `uv`, which is installed beside this interpreter.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    return _Sam(settings.sam_command, environment, directory, echo)


def _empty_configuration(settings: Settings) -> Path:
    """Keep a samconfig.toml that is meant for AWS from setting options here."""
    path = settings.directory / "samconfig.toml"
    path.touch(mode=0o600)
    path.write_text("version = 0.1\n")
    return path


def _write_overlaid(settings: Settings, build: Path, parameters: Mapping[str, str]) -> Path:
    built = cloudformation_yaml.load(build / "template.yaml")
    require_deployable(built, build)
    # Beside the built template, because its paths are relative to that.
    path = build / _OVERLAID
    path.write_text(json.dumps(overlay(built, settings, parameters), indent=1))
    return path


def require_deployable(built: Mapping[str, Any], directory: Path) -> None:
    """Refuse functions whose code with their layers is larger than Lambda takes.

    `built` is a template that `sam build` wrote into `directory`. What else Lambda refuses of a
    function, ministack refuses while the stack is deployed (see `ministack`).
    """
    resources = built.get("Resources", {})
    for logical_id, resource in resources.items():
        if resource.get("Type") not in (SAM_FUNCTION, PLAIN_FUNCTION):
            continue
        size = sum(_folder_bytes(directory / code) for code in _code_of(resource, resources))
        if size > MAX_UNZIPPED_BYTES:
            raise LocalCloudError(
                f"{logical_id} has {size:,} bytes of code and layers, and Lambda takes at most "
                f"{MAX_UNZIPPED_BYTES:,}: leave out of its folder, or of its requirements, what it "
                "does not need."
            )


def _code_of(function: Mapping[str, Any], resources: Mapping[str, Any]) -> list[str]:
    """The built folders of a function and of the layers that the template has for it."""
    properties = function.get("Properties", {})
    layers = [
        resources.get(layer.get("Ref", ""), {}).get("Properties", {})
        for layer in properties.get("Layers", [])
        if isinstance(layer, dict)
    ]
    sources = [
        properties.get("CodeUri", properties.get("Code")),
        *(layer.get("ContentUri", layer.get("Content")) for layer in layers),
    ]
    return [source for source in sources if isinstance(source, str)]


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _ensure_bucket(settings: Settings) -> None:
    try:
        boto3.client("s3", **settings.root_client_options()).create_bucket(
            Bucket=_BUCKET,
            CreateBucketConfiguration={"LocationConstraint": settings.region},  # type: ignore[typeddict-item]  # any region
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":
            raise
    except BotoCoreError as error:
        raise LocalCloudError(
            f"The local cloud does not answer on {settings.aws_endpoint_url} ({error}): start it "
            "first, or set LOCALCLOUD_AWS_PORT to the port it uses."
        ) from error


def _deploy_arguments(
    settings: Settings, template: Path, stack_name: str, parameters: Mapping[str, str]
) -> tuple[str, ...]:
    overrides = [f"{name}={_quoted(value)}" for name, value in parameters.items()]
    return (
        *("deploy", "--template-file", str(template), "--stack-name", stack_name),
        *("--region", settings.region, "--s3-bucket", _BUCKET, "--s3-prefix", stack_name),
        *("--capabilities", "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"),
        *("--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"),
        *(("--parameter-overrides", *overrides) if overrides else ()),
    )


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _run(sam: _Sam, arguments: Sequence[str], configuration: Path) -> None:
    command = (str(sam.command), *arguments, "--config-file", str(configuration))
    tail: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)
    with subprocess.Popen(  # noqa: S603 - the configured sam
        command,
        cwd=sam.directory,
        env=dict(sam.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            tail.append(line.rstrip())
            if sam.echo:
                sam.echo(line.rstrip())
    if process.returncode != 0:
        output = "\n".join(tail)
        raise LocalCloudError(
            f"`sam {arguments[0]}` failed with exit code {process.returncode}:\n{output}"
        )
