"""Names the role where a policy asks who calls, as IAM does.

In a condition on `aws:PrincipalArn`, IAM compares the ARN of a role with policies, for whichever
of its sessions calls; ministack 1.5.33 compares the ARN of the session. ministack's own
interpreter imports this module, so it imports nothing that is not in the standard library.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

import re
from collections.abc import Callable
from typing import Any

_KEY = "aws:principalarn"
_SESSION = re.compile(r"arn:([a-z-]+):sts::(\d{12}):assumed-role/([^/]+)/.+")

Resolve = Callable[[str, Any], Any]


def naming_roles(resolve: Resolve) -> Resolve:
    """Return ministack's function that resolves a condition key, with the role for its session.

    A role's path is not in the ARN of its session, so one that has a path is not recognized.
    """

    def resolved(key: str, context: Any) -> Any:
        value = resolve(key, context)
        session = _SESSION.fullmatch(value) if key.lower() == _KEY and value else None
        return "arn:{}:iam::{}:role/{}".format(*session.groups()) if session else value

    return resolved
