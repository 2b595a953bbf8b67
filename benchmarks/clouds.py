"""A local cloud with the pipeline and the reference side by side."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from localcloud import supervisor
from localcloud.deploy import deploy
from localcloud.settings import Settings, free_settings
from pipelinectl.executions import Executions

ROOT = Path(__file__).parents[1]
REFERENCE_TEMPLATE = ROOT / "benchmarks" / "reference" / "template.yaml"

PIPELINE = "pipeline"
REFERENCE = "reference"


@dataclass(frozen=True)
class Side:
    """One of the two that are measured: a queue, the durable function behind it, and its table."""

    name: str
    settings: Settings
    queue_url: str
    table: str
    function_arn: str

    @property
    def function(self) -> str:
        """The durable function's bare name."""
        return self.function_arn.split(":function:", 1)[-1].split(":", 1)[0]

    @property
    def executions(self) -> Executions:
        """The durable function's executions."""
        return Executions(self.client("lambda"), self.function)

    def client(self, service: str) -> Any:
        """A stock client of the local cloud."""
        settings = self.settings
        make: Any = boto3.client
        return make(
            service,
            endpoint_url=(
                settings.lambda_endpoint_url if service == "lambda" else settings.aws_endpoint_url
            ),
            region_name=settings.region,
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - ministack's own
        )


@contextlib.contextmanager
def cloud(directory: Path) -> Iterator[Settings]:
    """A local cloud in ``directory``, stopped at the end; what an earlier run left goes first."""
    settings = free_settings(directory)
    supervisor.down(settings)
    shutil.rmtree(directory, ignore_errors=True)
    try:
        supervisor.up(settings)
        yield settings
    finally:
        supervisor.down(settings)


def deploy_pipeline(settings: Settings, echo: Callable[[str], None] | None = None) -> Side:
    """The pipeline as its template has it."""
    outputs = deploy(
        settings,
        template=ROOT / "template.yaml",
        stack_name=PIPELINE,
        parameters={"Environment": "bench"},
        echo=echo,
    )
    return Side(
        PIPELINE,
        settings,
        outputs["DataProcessingQueueUrl"],
        outputs["ProcessedDataTable"],
        outputs["DurableFunctionArn"],
    )


def deploy_reference(settings: Settings, echo: Callable[[str], None] | None = None) -> Side:
    """The reference."""
    outputs = deploy(settings, template=REFERENCE_TEMPLATE, stack_name=REFERENCE, echo=echo)
    return Side(REFERENCE, settings, outputs["QueueUrl"], outputs["Table"], outputs["FunctionArn"])
