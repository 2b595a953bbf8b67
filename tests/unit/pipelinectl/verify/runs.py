"""Runs of verify of which a test says what was observed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from pipelinectl.aws import OUTPUTS, Stack
from pipelinectl.dead_letters import DeadLetter
from pipelinectl.items import Item
from pipelinectl.verify.judging import Line, Run
from pipelinectl.verify.seen import Observations
from pipelinectl.verify.sent import Deployed, Names, Sent

PREFIX = "verify-0a1b2c3d"
_OUTPUTS: dict[str, Any] = {field: f"of-{field.replace('_', '-')}" for field in OUTPUTS}
STACK = Stack(
    name="prod",
    arn="arn:aws:cloudformation:eu-west-1:123456789012:stack/prod/1",
    environment="test",
    **_OUTPUTS,
)
NAMES = Names(PREFIX, STACK)


class Told(Observations):
    """Observations that hold what a test puts there, and ask nobody."""

    items: dict[str, Item]
    entries: dict[str, dict[str, Any]]

    def look(self) -> None:
        """Nothing new comes."""

    def item(self, execution_id: str) -> Item | None:
        """One of `items`."""
        return self.items.get(execution_id)

    def entry(self, place: Any) -> dict[str, Any]:
        """One of `entries`, by bucket/key."""
        return self.entries.get(place.path, {})


def run(*lines: Line) -> Run:
    """A run that has sent nothing and seen nothing so far."""
    deployed = Deployed(cast("Any", SimpleNamespace(at=None)), STACK, cast("Any", None))
    observed = Told(deployed, Sent(NAMES))
    observed.items, observed.entries = {}, {}
    return Run(deployed, lines, observed)


def told(one: Run) -> Told:
    """Where a test puts what is observed."""
    return cast("Told", one.observed)


def item(name: str, **more: Any) -> Item:
    """The item that what was sent as `name` becomes."""
    return Item(
        {
            "execution_id": NAMES.record_id(name),
            "data_source": PREFIX.upper(),
            "transformed_data": {"data_source": PREFIX.upper()},
            **more,
        }
    )


def letter(name: str, body: str | None = None, **attributes: str) -> DeadLetter:
    """A dead letter of the pipeline's own."""
    said = {
        "stage": "validate",
        "error_type": "ValidationError",
        "error_message": "wrong",
        "errors": '["order_id, sku, unit_price, currency, ordered_at", "quantity"]',
        "durable_execution_arn": "arn",
        "original_message_id": f"m-{name}",
        "receive_count": "1",
        "execution_id": NAMES.record_id(name),
        "failed_at": "2026-01-01T00:00:00Z",
        "original": '{"sent_timestamp": 1, "door": "messages", "message_attributes": {}}',
        **attributes,
    }
    return DeadLetter(
        message_id=f"letter-{name}",
        receipt_handle="handle",
        body=NAMES.body(name) if body is None else body,
        message_attributes={
            key: {"dataType": "String", "stringValue": value} for key, value in said.items()
        },
        sent_timestamp=0,
    )
