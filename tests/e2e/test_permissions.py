"""IAM is enforced on the laptop: a permission that is missing is missed there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from localcloud.cloudformation_yaml import load
from localcloud.settings import Settings
from tests.e2e.conftest import ROOT, deployed
from tests.events import sqs_event_of, standard

REMOVED = {
    "dynamodb:BatchWriteItem": ("StoreRole", "table"),
    "lambda:InvokeFunction": ("DurablePipelineRole", "chain"),
}


def without_policy(role: str, policy: str, path: Path) -> Path:
    """A copy of the template in which ``role`` lacks ``policy``."""
    template = load(ROOT / "template.yaml")
    properties = template["Resources"][role]["Properties"]
    properties["Policies"] = [p for p in properties["Policies"] if p["PolicyName"] != policy]
    template["Globals"]["Function"]["CodeUri"] = str(ROOT / "src")
    path.write_text(json.dumps(template))
    return path


@pytest.mark.parametrize("action", REMOVED)
def test_a_permission_removed_is_access_denied(
    settings: Settings, tmp_path: Path, action: str
) -> None:
    name = f"without-{action.rpartition(':')[2].lower()}"
    stack = deployed(settings, without_policy(*REMOVED[action], tmp_path / "template.json"), name)

    answer = stack.client("lambda").invoke(
        FunctionName=f"{name}-durable-pipeline:live",
        Payload=json.dumps(sqs_event_of([standard()])),
    )

    result = json.loads(answer["Payload"].read())
    assert result["summary"] == {"stored": 0, "dead_letters": 0, "back_to_queue": 1}
    assert "AccessDenied" in json.dumps(stack.history(answer["DurableExecutionArn"]), default=str)
    assert stack.items() == {}
