"""Deploys a SAM template to the local cloud: `sam` builds it, CloudFormation deploys it.

By a change set, as `sam deploy` does, which works here as well and takes ten seconds longer: it
compresses all code each time, and reads and writes the template as YAML. `put_live` replaces the
code of single functions without a deployment, in about a second.
"""

import collections
import hashlib
import io
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from localcloud import cloudformation_yaml
from localcloud.overlay import PLAIN_FUNCTION, SAM_FUNCTION, overlay
from localcloud.quotas import MAX_UNZIPPED_BYTES
from localcloud.settings import LocalCloudError, Settings
from localcloud.supervisor import neutral_environment

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.literals import ChangeSetTypeType
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

_BUCKET = "localcloud-artifacts"
_TAIL_LINES = 30
_CODE = {
    SAM_FUNCTION: "CodeUri",
    PLAIN_FUNCTION: "Code",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Lambda::LayerVersion": "Content",
}
"""The property of a resource that has code, in whose place a built template has a folder."""
_WAIT: Any = {"Delay": 0.2, "MaxAttempts": 3000}
_NOT_CREATED = ("ROLLBACK_COMPLETE", "CREATE_FAILED", "ROLLBACK_FAILED")
_OVERLAID = "localcloud-template.json"
_SAVE_SECONDS = 10.0
_CHANGE_SET_SECONDS = 120
_UNIX = 3
_EXECUTABLE = 0o100755
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
    contradict each other or the local cloud does not answer; with the last lines of what `sam`
    printed when building fails; and with what CloudFormation says of it when deploying fails.
    """
    template = template.resolve()
    source = cloudformation_yaml.load(template)
    parameters = parameter_values(source, parameters)
    if wrong := contradictions(source, parameters):
        raise LocalCloudError("\n".join(wrong))
    build = build_directory(settings, stack_name)
    build.mkdir(parents=True, exist_ok=True)
    sam = _sam(settings, template.parent, echo)
    _ensure_bucket(settings)
    _build(sam, template, build, _empty_configuration(settings))
    overlaid = _write_overlaid(settings, build, parameters)
    if echo:
        echo(f"deploying {stack_name}")
    outputs = deploy_built(settings, overlaid, stack_name, parameters)
    _replace_what_was_put_live(settings, stack_name)
    _save_state(settings)
    return outputs


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
    """The folder as an archive: the same files, the same bytes. It has no far way to go."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(str(path.relative_to(folder)))
            entry.create_system = _UNIX
            entry.external_attr = _EXECUTABLE << 16
            archive.writestr(entry, path.read_bytes())
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


def deploy_built(
    settings: Settings, overlaid: Path, stack_name: str, parameters: Mapping[str, str]
) -> dict[str, str]:
    """Create or update a stack by a built template, in JSON; return its outputs.

    Raises LocalCloudError with what CloudFormation says; the stack is then as it was before.
    """
    options = settings.root_client_options()
    address = _upload(boto3.client("s3", **options), overlaid, stack_name)
    # Making a change set takes long on a busy machine; asked again, ministack says it is there.
    patient = options["config"].merge(Config(read_timeout=_CHANGE_SET_SECONDS))
    cloudformation = boto3.client("cloudformation", **{**options, "config": patient})
    kind = _change_set_type(cloudformation, stack_name)
    try:
        if change_set := _change_set(
            cloudformation,
            kind,
            stack_name,
            f"{settings.aws_endpoint_url}/{_BUCKET}/{address}",
            parameters,
        ):
            began = _last_event(cloudformation, stack_name)
            cloudformation.execute_change_set(ChangeSetName=change_set, StackName=stack_name)
            _wait(cloudformation, kind, stack_name, began)
    except ClientError as error:
        raise LocalCloudError(f"{stack_name} was not deployed: {error}") from error
    [stack] = cloudformation.describe_stacks(StackName=stack_name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def _upload(s3: "S3Client", overlaid: Path, stack_name: str) -> str:
    """Put the template and all code that it names into the bucket; return the template's key."""
    template = json.loads(overlaid.read_text())
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=_BUCKET, Prefix=f"{stack_name}/")
    there = {entry["Key"] for page in pages for entry in page.get("Contents", ())}
    common = {"Type": SAM_FUNCTION, "Properties": template.get("Globals", {}).get("Function", {})}
    for resource in (common, *template["Resources"].values()):
        name = _CODE.get(resource["Type"])
        code = resource.get("Properties", {}).get(name)
        if name is None or not isinstance(code, str):
            continue
        key = _put(s3, stack_name, _zipped(overlaid.parent / code), there)
        resource["Properties"][name] = (
            {"S3Bucket": _BUCKET, "S3Key": key}
            if resource["Type"] in (PLAIN_FUNCTION, "AWS::Lambda::LayerVersion")
            else f"s3://{_BUCKET}/{key}"
        )
    return _put(s3, stack_name, json.dumps(template).encode(), there)


def _put(s3: "S3Client", stack_name: str, content: bytes, there: Container[str]) -> str:
    """Put ``content`` under a key of its own, so that the same content is no change to a stack.

    What is ``there`` from an earlier deployment need not be put again.
    """
    key = f"{stack_name}/{hashlib.sha256(content).hexdigest()}"
    if key not in there:
        s3.put_object(Bucket=_BUCKET, Key=key, Body=content)
    return key


def _change_set_type(client: "CloudFormationClient", stack_name: str) -> "ChangeSetTypeType":
    """Whether the stack is to be created; the remains of one that could not be are removed."""
    try:
        [stack] = client.describe_stacks(StackName=stack_name)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            return "CREATE"
        raise
    if stack["StackStatus"] in _NOT_CREATED:
        client.delete_stack(StackName=stack_name)
        client.get_waiter("stack_delete_complete").wait(StackName=stack_name, WaiterConfig=_WAIT)
        return "CREATE"
    return "CREATE" if stack["StackStatus"] == "REVIEW_IN_PROGRESS" else "UPDATE"


def _change_set(
    client: "CloudFormationClient",
    kind: "ChangeSetTypeType",
    stack_name: str,
    url: str,
    parameters: Mapping[str, str],
) -> str | None:
    """The ARN of a change set that can be executed; None if there is nothing to change."""
    made = client.create_change_set(
        StackName=stack_name,
        ChangeSetName=f"localcloud-{time.time_ns()}",
        ChangeSetType=kind,
        TemplateURL=url,
        Parameters=[
            {"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()
        ],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
    )["Id"]
    try:
        client.get_waiter("change_set_create_complete").wait(
            ChangeSetName=made, StackName=stack_name, WaiterConfig=_WAIT
        )
    except WaiterError as error:
        reason = str(error.last_response.get("StatusReason", error))
        client.delete_change_set(ChangeSetName=made, StackName=stack_name)
        if "didn't contain changes" in reason or "No updates" in reason:
            return None
        raise LocalCloudError(f"CloudFormation refuses {stack_name}: {reason}") from error
    return made


def _last_event(client: "CloudFormationClient", stack_name: str) -> str | None:
    events = client.describe_stack_events(StackName=stack_name)["StackEvents"]
    return events[0]["EventId"] if events else None


def _wait(
    client: "CloudFormationClient", kind: "ChangeSetTypeType", stack_name: str, began: str | None
) -> None:
    """Wait for the stack's changes; LocalCloudError says of which resources they failed, and why.

    ``began`` is the last event before them.
    """
    try:
        if kind == "CREATE":
            created = client.get_waiter("stack_create_complete")
            created.wait(StackName=stack_name, WaiterConfig=_WAIT)
        else:
            updated = client.get_waiter("stack_update_complete")
            updated.wait(StackName=stack_name, WaiterConfig=_WAIT)
    except WaiterError as error:
        failed = []
        pages = client.get_paginator("describe_stack_events").paginate(StackName=stack_name)
        for event in (event for page in pages for event in page["StackEvents"]):
            if event["EventId"] == began:
                break
            if event.get("ResourceStatus", "").endswith("_FAILED"):
                why = event.get("ResourceStatusReason", "no reason is given")
                failed.append(f"{event['LogicalResourceId']}: {why}")
        told = "\n".join(reversed(failed)) or str(error)
        raise LocalCloudError(f"{stack_name} was not deployed:\n{told}") from error


def _build(sam: _Sam, template: Path, build: Path, configuration: Path) -> None:
    command = (
        *(str(sam.command), "build", "--template-file", str(template), "--build-dir", str(build)),
        *("--config-file", str(configuration)),
    )
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
        raise LocalCloudError(f"`sam build` failed with exit code {process.returncode}:\n{output}")
