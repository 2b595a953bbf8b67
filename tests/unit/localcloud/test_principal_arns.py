"""A policy's condition on who calls is about roles, not about sessions of theirs."""

import pytest

from localcloud.principal_arns import naming_roles

SESSION = "arn:aws:sts::000000000000:assumed-role/operator/jane"
USER = "arn:aws:iam::000000000000:user/jane"


@pytest.mark.parametrize(
    ("key", "found", "resolved"),
    [
        ("aws:PrincipalArn", SESSION, "arn:aws:iam::000000000000:role/operator"),
        ("AWS:principalarn", SESSION, "arn:aws:iam::000000000000:role/operator"),
        ("aws:PrincipalArn", USER, USER),
        ("aws:PrincipalArn", "*", "*"),  # of a service
        ("aws:PrincipalArn", None, None),
        ("aws:userid", SESSION, SESSION),
    ],
)
def test_the_role_stands_for_its_session(key: str, found: object, resolved: object) -> None:
    asked = []

    def resolve(key: str, context: object) -> object:
        asked.append((key, context))
        return found

    assert naming_roles(resolve)(key, "context") == resolved
    assert asked == [(key, "context")]
