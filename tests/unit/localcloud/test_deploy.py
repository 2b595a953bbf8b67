"""What Lambda would not take is refused before anything is deployed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from localcloud import deploy
from localcloud.settings import LocalCloudError

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
