import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ReadTimeoutError,
)

from pipelinectl import errors
from pipelinectl.errors import (
    ExitCode,
    NotFoundError,
    OperationFailedError,
    StackMissingError,
    UnreachableError,
    UsageError,
)


def client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "two\nlines"}}, "Scan")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFoundError("x"), 1),
        (OperationFailedError("x"), 1),
        (UsageError("x"), 2),
        (UnreachableError("x"), 3),
        (StackMissingError("x"), 3),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), 3),
        (ReadTimeoutError(endpoint_url="http://127.0.0.1:1"), 3),
        (NoCredentialsError(), 3),
        (NoRegionError(), 3),
        (client_error("ExpiredTokenException"), 3),
        (client_error("AccessDeniedException"), 1),
        (client_error("ResourceNotFoundException"), 1),
        (client_error("SomethingElse"), 1),
    ],
)
def test_each_expected_error_has_its_exit_code_and_one_line(error: Exception, code: int) -> None:
    failure = errors.explain(error)

    assert failure.exit_code == code
    assert failure.line
    assert "\n" not in failure.line


def test_an_answer_of_aws_names_operation_code_and_remedy() -> None:
    line = errors.explain(client_error("AccessDeniedException")).line

    assert line == (
        "Scan: AccessDeniedException: two lines: "
        "ask for this permission, or use another AWS_PROFILE"
    )


def test_a_defect_is_not_explained_away() -> None:
    defect = ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        errors.explain(defect)
    assert not isinstance(defect, errors.expected())


def test_exit_codes_are_those_that_are_documented() -> None:
    assert [code.value for code in ExitCode] == [0, 1, 2, 3, 4, 130]
