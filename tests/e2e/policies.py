"""The policy documents of `policies/`, in force on a local cloud."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from localcloud.settings import ACCOUNT_ID, Settings
from tests.e2e.conftest import ACCOUNT, ROOT, STACK, Stack

POLICIES = ROOT / "policies"
# Where ministack authorizes a call by another name than AWS: a batch by one of its own.
_ALSO = {
    "sqs:SendMessage": "sqs:SendMessageBatch",
    "sqs:DeleteMessage": "sqs:DeleteMessageBatch",
    "sqs:ChangeMessageVisibility": "sqs:ChangeMessageVisibilityBatch",
    "lambda:GetFunctionConcurrency": "lambda:PutFunctionConcurrency",
}


# SAM's own bucket refuses what comes without TLS, which a local cloud has not.
_BUCKETS = {"aws-sam-cli-managed-default-samclisourcebucket-*": "localcloud-artifacts"}


@dataclass(frozen=True)
class SettingsOf(Settings):
    """The settings of a local cloud for somebody who has only the rights of a session."""

    session: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def with_session(cls, settings: Settings, session: Mapping[str, str]) -> SettingsOf:
        """The same local cloud, for whoever has this session."""
        known = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}
        return cls(**known, session=session)

    def client_environment(self) -> dict[str, str]:
        """With the session's keys."""
        return {**super().client_environment(), **self.session}


def document(name: str, region: str, stack_name: str = STACK) -> dict[str, Any]:
    """A policy with its placeholders filled in, as the guide says."""
    text = (POLICIES / f"{name}.json").read_text("utf-8")
    for placeholder, value in (("REGION", region), ("ACCOUNT", ACCOUNT_ID), ("STACK", stack_name)):
        text = text.replace(placeholder, value)
    policy: dict[str, Any] = json.loads(text)
    return policy


def actions(statement: dict[str, Any]) -> list[str]:
    """The actions of a statement."""
    found = statement["Action"]
    return [found] if isinstance(found, str) else list(found)


def enforced(policy: dict[str, Any]) -> str:
    """The policy as ministack needs it to enforce the same."""
    statements = [
        statement | {"Action": [*names, *(_ALSO[name] for name in names if name in _ALSO)]}
        for statement in policy["Statement"]
        for names in [actions(statement)]
    ]
    text = json.dumps(policy | {"Statement": statements})
    for theirs, ours in _BUCKETS.items():
        text = text.replace(theirs, ours)
    return text


def session_with(stack: Stack, role: str, policy: dict[str, Any]) -> dict[str, str]:
    """The variables of a session of ``role``, which has this policy and no other."""
    iam = stack.client("iam")
    principal = {"Effect": "Allow", "Principal": {"AWS": f"{ACCOUNT}:root"}}
    trust = {"Version": "2012-10-17", "Statement": [principal | {"Action": "sts:AssumeRole"}]}
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust))
    iam.put_role_policy(RoleName=role, PolicyName="only", PolicyDocument=enforced(policy))
    keys = stack.client("sts").assume_role(
        RoleArn=f"{ACCOUNT}:role/{role}", RoleSessionName="somebody"
    )["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
    }


def without_role(stack: Stack, role: str) -> None:
    """Take the role away again."""
    iam = stack.client("iam")
    iam.delete_role_policy(RoleName=role, PolicyName="only")
    iam.delete_role(RoleName=role)
