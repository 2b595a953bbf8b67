"""Function names in every form that Invoke accepts."""

from typing import Any, cast

import pytest

from localcloud.functions import (
    DurableConfiguration,
    FunctionDirectory,
    FunctionReference,
    execution_arn,
    function_of,
    parse_reference,
    refused_reference,
    version_of,
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
    """Knows one function, with these properties."""

    def __init__(self, properties: dict[str, Any]) -> None:
        self.properties = properties

    def get_function_configuration(self, **_: str) -> dict[str, Any]:
        return {"FunctionArn": f"{ARN}:f:1", "Version": "1", "Role": "role", **self.properties}


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({}, None),
        ({"DurableConfig": {"ExecutionTimeout": 60}}, DurableConfiguration(60, 14)),
        (
            {
                "DurableConfig": {"ExecutionTimeout": 60, "RetentionPeriodInDays": 7},
                "DeadLetterConfig": {"TargetArn": "arn"},
            },
            DurableConfiguration(60, 7, "arn"),
        ),
    ],
)
def test_what_makes_a_function_durable(
    properties: dict[str, Any], expected: DurableConfiguration | None
) -> None:
    directory = FunctionDirectory(cast("Any", FakeLambda(properties)))
    function = directory.find(FunctionReference("f", "live"))
    assert function is not None
    assert (function.arn, function.version) == (f"{ARN}:f", "1")
    assert function.durable == expected


@pytest.mark.parametrize(
    ("text", "qualifier", "code"),
    [
        ("f:live", "live", None),
        (f"{ARN}:f", "live", None),
        ("f:live", "$LATEST", "InvalidParameterValueException"),
        ("111111111111:f", None, "AccessDeniedException"),
        (ARN.replace("000000000000", "111111111111") + ":f", None, "AccessDeniedException"),
        (ARN.replace("eu-central-2", "us-east-1") + ":f", None, "ResourceNotFoundException"),
    ],
)
def test_whose_functions_are_refused(text: str, qualifier: str | None, code: str | None) -> None:
    refusal = refused_reference(text, qualifier, "eu-central-2")
    assert (refusal and refusal.code) == code


def test_an_execution_is_named_by_its_functions_version() -> None:
    arn = execution_arn(f"{ARN}:f:3", "name", "id")
    assert arn == f"{ARN}:f:3/durable-execution/name/id"
    assert function_of(arn) == f"{ARN}:f:3"
    assert version_of(arn) == "3"
