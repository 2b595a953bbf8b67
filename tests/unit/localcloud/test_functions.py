"""Function names in every form that Invoke accepts."""

import pytest

from localcloud.functions import FunctionReference, parse_reference

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
