"""A deployment with other parameters: what reaches `live`, what is kept, and what is refused."""

from __future__ import annotations

import dataclasses
import itertools
import os
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.deploy import deploy
from localcloud.settings import LocalCloudError, Settings
from tests.e2e.building import building_once
from tests.e2e.conftest import PARAMETERS, ROOT, Stack
from tests.e2e.localcloud.support import Cloud
from tests.events import standard

NAME = "redeployed"
FUNCTION = f"{NAME}-durable-pipeline"
FIRST = {**PARAMETERS, "LogLevel": "INFO"}
OTHER = {**FIRST, "StageTimeout": "19", "LogLevel": "WARNING"}


def deployed(settings: Settings, parameters: dict[str, str]) -> Stack:
    outputs = deploy(
        settings, template=ROOT / "template.yaml", stack_name=NAME, parameters=parameters
    )
    return Stack(Cloud(settings, outputs), outputs)


@pytest.fixture(scope="module")
def first(settings: Settings) -> Stack:
    return deployed(settings, FIRST)


def configuration(stack: Stack, qualifier: str) -> Any:
    client = stack.client("lambda")
    return client.get_function_configuration(FunctionName=FUNCTION, Qualifier=qualifier)


def test_a_parameter_reaches_what_the_alias_names_and_no_change_publishes_nothing(
    settings: Settings, first: Stack, built: Path
) -> None:
    before = configuration(first, "live")

    stack = deployed(settings, OTHER)
    after = configuration(stack, "live")

    assert after["Version"] != before["Version"]
    variables = after["Environment"]["Variables"]
    assert (variables["STAGE_TIMEOUT"], variables["POWERTOOLS_LOG_LEVEL"]) == ("19", "WARNING")
    assert after["LoggingConfig"]["ApplicationLogLevel"] == "WARN"
    assert after["Description"] != before["Description"]
    # Executions that run end with the version that they began with.
    kept = configuration(stack, before["Version"])
    assert kept["Environment"] == before["Environment"]
    # Messages come to the new one.
    (message_id,) = stack.send([standard()])
    stack.wait_for_items([message_id])

    # The function is built again here: the same code comes to the same artifact.
    real_sam = Settings.from_environment(os.environ).sam_command
    building = building_once(real_sam, built, again="DurablePipelineFunction")
    again = configuration(
        deployed(dataclasses.replace(settings, sam_command=building), OTHER), "live"
    )
    assert again["Version"] == after["Version"]

    back = configuration(deployed(settings, FIRST), "live")
    assert back["Environment"] == before["Environment"]
    assert len({v["Version"] for v in (before, after, back)}) == 3


_numbers = itertools.count()


def refusal(stack: Stack, **values: str) -> str:
    """What CloudFormation says to a change of the stack's parameters."""
    cloudformation = stack.client("cloudformation")
    keys = (p["ParameterKey"] for p in _parameters(stack))
    with pytest.raises(ClientError) as caught:
        cloudformation.create_change_set(
            StackName=NAME,
            ChangeSetName=f"refused-{next(_numbers)}",
            UsePreviousTemplate=True,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[
                {"ParameterKey": key, "ParameterValue": values[key]}
                if key in values
                else {"ParameterKey": key, "UsePreviousValue": True}
                for key in keys
            ],
        )
    return str(caught.value)


def _parameters(stack: Stack) -> list[Any]:
    (found,) = stack.client("cloudformation").describe_stacks(StackName=NAME)["Stacks"]
    parameters: list[Any] = found["Parameters"]
    return parameters


def test_the_local_cloud_refuses_what_aws_refuses_and_says_what_to_set(first: Stack) -> None:
    assert "Set MaximumBatchingWindowInSeconds to 1" in refusal(first, BatchSize="11")
    assert "Set VisibilityTimeout to 1260" in refusal(first, MaximumBatchingWindowInSeconds="15")
    assert "VisibilityTimeout" in refusal(first, VisibilityTimeout="61")


def test_the_local_deployment_refuses_what_cloudformation_cannot_compare(
    settings: Settings,
) -> None:
    with pytest.raises(LocalCloudError, match="Set StageTimeout to 30 or less"):
        deployed(settings, {**PARAMETERS, "StageTimeout": "31"})
