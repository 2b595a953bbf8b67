"""Asks ministack's IAM whether a role may do something."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient


class Permissions:
    """Evaluates a role's policies and remembers each decision for a few seconds.

    Safe to use from several threads.
    """

    def __init__(self, client: IAMClient, remember_seconds: float = 5.0) -> None:
        self._client = client
        self._remember_seconds = remember_seconds
        self._decisions: dict[tuple[str, str, str], tuple[float, bool]] = {}
        self._lock = threading.Lock()

    def allows(self, role: str, action: str, resource: str) -> bool:
        """Tell whether the role's policies allow the action on the resource (an ARN each).

        botocore's errors pass through.
        """
        question = (role, action, resource)
        with self._lock:
            remembered = self._decisions.get(question)
        if remembered and remembered[0] > time.monotonic():
            return remembered[1]
        allowed = self._evaluate(role, action, resource)
        self._remember(question, allowed=allowed)
        return allowed

    def _evaluate(self, role: str, action: str, resource: str) -> bool:
        answer = self._client.simulate_principal_policy(
            PolicySourceArn=role, ActionNames=[action], ResourceArns=[resource]
        )
        decisions = [result["EvalDecision"] for result in answer["EvaluationResults"]]
        return decisions == ["allowed"]

    def _remember(self, question: tuple[str, str, str], *, allowed: bool) -> None:
        now = time.monotonic()
        with self._lock:
            # Each execution is a resource of its own: forget the old ones.
            self._decisions = {q: d for q, d in self._decisions.items() if d[0] > now}
            self._decisions[question] = (now + self._remember_seconds, allowed)


def denial(role: str, action: str, resource: str) -> str:
    """Return AWS's words for a refusal for want of an allowing policy."""
    return (
        f"User: {role} is not authorized to perform: {action} on resource: {resource} because no "
        f"identity-based policy allows the {action} action"
    )
