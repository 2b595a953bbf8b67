"""Function names in every form that Invoke accepts."""

from typing import Any, cast

import pytest

from localcloud.functions import (
    DurableConfiguration,
    FunctionDirectory,
    FunctionReference,
    parse_reference,
)

ARN = "arn:aws:lambda:eu-central-2:000000000000:function"


@pytest.mark.parametrize(
    ("text", "qualifier", "expected"),
    [
        ("f", None, FunctionReference("f", None)),
        ("f", "live", FunctionReference("f", "live")),
        ("f:live", None, FunctionReference("f", "live")),
        ("f:live", "live", FunctionReference("f", "live")),
        ("f:$LATEST", None, FunctionReference("f", "$LATEST")),
        ("000000000000:function:f", None, FunctionReference("f", None)),
        ("000000000000:f:1", None, FunctionReference("f", "1")),
        (f"{ARN}:f", None, FunctionReference("f", None)),
        (f"{ARN}:my-f_1:live", None, FunctionReference("my-f_1", "live")),
        ("f:live", "other", None),
        ("", None, None),
        ("f g", None, None),
        ("f:a:b", None, None),
        ("arn:aws:s3:::bucket", None, None),
    ],
)
def test_a_function_reference(
    text: str, qualifier: str | None, expected: FunctionReference | None
) -> None:
    assert parse_reference(text, qualifier) == expected


class FakeLambda:
    """Knows one function, by its environment variables."""

    def __init__(self, variables: dict[str, str]) -> None:
        self.variables = variables

    def get_function_configuration(self, **_: str) -> dict[str, Any]:
        return {
            "FunctionArn": f"{ARN}:f:1",
            "Version": "1",
            "Role": "role",
            "Environment": {"Variables": self.variables},
        }


@pytest.mark.parametrize(
    ("more", "queue"),
    [({}, None), ({"LOCALCLOUD_DEAD_LETTER_TARGET": "arn"}, "arn")],
)
def test_what_the_overlay_recorded_is_read_back(more: dict[str, str], queue: str | None) -> None:
    client = FakeLambda(
        {
            "LOCALCLOUD_HANDLER_FUNCTION": "f--handler",
            "LOCALCLOUD_EXECUTION_TIMEOUT": "60",
            "LOCALCLOUD_RETENTION_DAYS": "7",
            **more,
        }
    )
    function = FunctionDirectory(cast("Any", client)).find(FunctionReference("f", "live"))
    assert function is not None
    assert function.durable == DurableConfiguration("f--handler", 60, 7, queue)
