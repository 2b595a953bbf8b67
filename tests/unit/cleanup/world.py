"""An object, the pipeline that processes it, and all the messages that are on their way."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from catalog.handler import enter
from cleanup.cleaner import Cleaner, Items, Objects, Queue, Results
from cleanup.handler import clean_up
from notify.handler import take
from pipeline_core import events, objects
from pipeline_core.catalog import Catalog, CatalogEntry
from pipeline_core.events import EventName, ProcessingEvent
from pipeline_core.objects import ObjectId, ObjectState, results_folder
from store.table import IS_NEWEST_STATE, NO_LATER_STATE
from tests.unit.cleanup.fake_aws import FakeDynamoDB, FakeS3, FakeVersions

OBJECT = ObjectId("in", "input/a b.csv")
EXECUTION_ID = OBJECT.execution_id("dev")
NOW = "2026-03-01T00:00:00.000000Z"

Message = tuple[str, str]


def s3_event(name: str, state: ObjectState) -> str:
    """The body of an event notification."""
    event = objects.created_event(state, NOW)
    event["Records"][0]["eventName"] = name
    return json.dumps(event)


def processing_event(name: EventName, state: ObjectState) -> ProcessingEvent:
    return {
        "event": name,
        "object": state,
        "execution_id": EXECUTION_ID,
        "durable_execution_arn": "arn",
        "at": NOW,
    }


class World:
    """Messages wait in ``pending`` until they are delivered, in whatever order a test likes."""

    def __init__(self) -> None:
        self.versions = FakeVersions()
        self.s3 = FakeS3(self.versions)
        self.dynamodb = FakeDynamoDB()
        self.pending: list[Message] = []
        self.slow: set[str] = set()
        self.told: list[tuple[str, str]] = []
        client: Any = self.dynamodb
        s3: Any = self.s3
        self.catalog = Catalog(client, "catalog")
        self.cleaner = Cleaner(
            Objects(s3),
            self.catalog,
            Items(client, "items", "dev"),
            Results(s3, "out"),
            Queue(self, "url"),  # type: ignore[arg-type]  # as far as it is used
        )
        self.receivers: dict[str, Callable[[str], None]] = {
            "catalog": lambda body: void(enter(body, self.catalog, NOW)),
            "process": self._process,
            "store": self._store,
            "notify": self._notify,
            "cleanup": lambda body: clean_up(body, self.cleaner, NOW),
        }

    @property
    def entry(self) -> CatalogEntry | None:
        """The object's entry in the catalog."""
        return self.catalog.get(OBJECT)

    @property
    def item(self) -> dict[str, Any] | None:
        """The object's item."""
        return self.dynamodb.tables["items"].get(EXECUTION_ID)

    # What people do.

    def create(self) -> ObjectState:
        state = self._state(*self.versions.push(marker=False))
        body = s3_event("ObjectCreated:Put", state)
        self.pending += [("catalog", body), ("process", body)]
        return state

    def delete(self) -> None:
        state = self._state(*self.versions.push(marker=True))
        self.pending.append(("cleanup", s3_event("ObjectRemoved:DeleteMarkerCreated", state)))

    def remove_version(self, index: int) -> None:
        if self.versions.stack:
            state = self._state(*self.versions.remove(index % len(self.versions.stack)))
            self.pending.append(("cleanup", s3_event("ObjectRemoved:Delete", state)))

    # What the pipeline does.

    @property
    def deliverable(self) -> list[Message]:
        """What is pending, but for what the slow receivers get."""
        return [message for message in self.pending if message[0] not in self.slow]

    def deliver(self, index: int, *, again: bool = False) -> None:
        """Deliver one of the pending messages, and if ``again`` leave it pending too."""
        if messages := self.deliverable:
            receiver, body = message = messages[index % len(messages)]
            if not again:
                self.pending.remove(message)
            self.receivers[receiver](body)

    def deliver_all(self, *receivers: str) -> None:
        """Deliver all messages in order, and those that they bring about; or only to some."""
        slow, self.slow = (
            self.slow,
            self.receivers.keys() - set(receivers) if receivers else self.slow,
        )
        while self.deliverable:
            self.deliver(0)
        self.slow = slow

    def send_message(self, *, QueueUrl: str, MessageBody: str, MessageAttributes: Any) -> None:
        """As SQS does."""
        self.pending.append(("process", MessageBody))

    def _process(self, body: str) -> None:
        (event,) = objects.parse_events(body)
        if event.state["version_id"] not in self.versions:
            return self._publish("superseded", event.state)
        self.s3.output[f"{results_folder(event.state)}results/0.jsonl"] = event.state["version_id"]
        return self.pending.append(("store", body))

    def _store(self, body: str) -> None:
        (event,) = objects.parse_events(body)
        values = {":sequencer": {"S": event.state["sequencer"]}}
        item = {
            "execution_id": {"S": EXECUTION_ID},
            "sequencer": values[":sequencer"],
            "version_id": {"S": event.state["version_id"]},
        }
        entry = {"object": {"S": OBJECT.path}}
        parts = [
            {"Put": _part("items", IS_NEWEST_STATE, values, Item=item)},
            {"ConditionCheck": _part("catalog", NO_LATER_STATE, values, Key=entry)},
        ]
        try:
            self.dynamodb.transact_write_items(TransactItems=parts)
        except ClientError:
            self._publish("superseded", event.state)
        else:
            self._publish("done", event.state)

    def _publish(self, name: EventName, state: ObjectState) -> None:
        body = events.dump(processing_event(name, state))
        self.pending += [("notify", body), ("cleanup", body)]

    def _notify(self, body: str) -> None:
        take(events.parse(body), self.catalog, self)  # type: ignore[arg-type]  # it tells, as Operators does

    def tell(self, event: ProcessingEvent) -> None:
        """As the operators' topic does."""
        self.told.append((event["object"]["sequencer"], event["event"]))

    def _state(self, version_id: str, sequencer: str) -> ObjectState:
        return {
            "bucket": OBJECT.bucket,
            "key": OBJECT.key,
            "version_id": version_id,
            "sequencer": sequencer,
        }


def void(_: object) -> None:
    """Nothing."""


def _part(table: str, condition: str, values: dict[str, Any], **key: Any) -> dict[str, Any]:
    return {
        "TableName": table,
        "ConditionExpression": condition,
        "ExpressionAttributeValues": values,
        **key,
    }
