"""What one run of verify sends: names that all begin alike, bodies, and the sending itself.

All ids, keys and record_ids follow from the run's prefix alone, but for the id that the uploads API
gives. So whoever knows the prefix can remove what a run that was killed has left.
"""

from __future__ import annotations

import io
import json
import re
import secrets
import uuid
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pipeline_core.objects import ObjectId
from pipelinectl import errors
from pipelinectl.audit import audit_of
from pipelinectl.errors import OperationFailedError, UsageError
from pipelinectl.sending import Body, ClaimCheck, Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipelinectl.audit import Audit
    from pipelinectl.aws import Connection, Stack
    from pipelinectl.sending import Message
    from pipelinectl.uploading import UploadsApi

MESSAGE = "message"
CLAIM_CHECK = "claim-check"
INPUT_DOCUMENT = "input-document"
INPUT_FILE = "input-file"
DIRECT = "direct"
MESSAGES_OBJECT = "messages-object"
UPLOADS_API = "uploads-api"
REJECTED = "rejected"
BROKEN_JSON = "broken-json"
SAME_RECORD = "same-record"
REDRIVEN = "redriven"
REFUSED_EVENT = "refused-event"

IN_ORDER = ("in-order-1", "in-order-2", "in-order-3")
"""What goes through the FIFO door, in one group, where the stack has that."""

REMOVED_DOCUMENT = "removed-document"
REMOVED_FILE = "removed-file"
REMOVED_DIRECT = "removed-direct"

REMOVED = (REMOVED_DOCUMENT, REMOVED_FILE, REMOVED_DIRECT)
"""What is removed once something was made of it."""
FILES = (INPUT_FILE, REMOVED_FILE)
OBJECTS = (INPUT_DOCUMENT, INPUT_FILE, DIRECT, MESSAGES_OBJECT, *REMOVED)

COUNTS = {"rows": 3, "results": 2, "rejects": 1}
"""Of a file: its last row lacks a column."""

_PREFIX = re.compile(r"verify-[0-9a-f]{8}")
_CLAIM_CHECK_BYTES = 200_000  # of a body that `pipelinectl send` would put into S3 as well
_OK = 200


@dataclass(frozen=True)
class Deployed:
    """A deployed pipeline: the clients to reach it, its resources, and its uploads API."""

    connection: Connection
    stack: Stack
    uploads_api: UploadsApi

    @property
    def environment(self) -> str:
        """The prefix of the ids that the pipeline gives."""
        return self.stack.environment or ""

    @property
    def audit(self) -> Audit:
        """Who changed what."""
        return audit_of(self.connection, self.stack)


def new_prefix() -> str:
    """The prefix of a new run."""
    return f"verify-{secrets.token_hex(4)}"


def checked_prefix(text: str) -> str:
    """The prefix of an earlier run.

    Raises:
        UsageError: it is none, and might be the beginning of what others have sent.
    """
    if _PREFIX.fullmatch(text):
        return text
    msg = f"--clean {text}: not what a run of verify is called: give verify- and 8 digits, 0 to f"
    raise UsageError(msg)


@dataclass(frozen=True)
class Names:
    """How everything of a run is called; `upload_ids` are those that the uploads API gave."""

    prefix: str
    stack: Stack
    upload_ids: tuple[str, ...] = ()

    def record_id(self, name: str) -> str:
        """The `record_id` of what is sent as `name`."""
        return f"{self.prefix}-{name}"

    @cached_property
    def objects(self) -> dict[str, ObjectId]:
        """The objects that are put, by what each is sent as."""
        inside, payloads, below = self.stack.input_bucket, self.stack.payload_bucket, self.prefix
        return {
            INPUT_DOCUMENT: ObjectId(inside, f"input/{below}/document.json"),
            INPUT_FILE: ObjectId(inside, f"input/{below}/rows.csv"),
            DIRECT: ObjectId(inside, f"direct/{below}/document.json"),
            MESSAGES_OBJECT: ObjectId(payloads, f"messages/{below}/document.json"),
            REMOVED_DOCUMENT: ObjectId(inside, f"input/{below}/removed.json"),
            REMOVED_FILE: ObjectId(inside, f"input/{below}/removed.csv"),
            REMOVED_DIRECT: ObjectId(inside, f"direct/{below}/removed.json"),
        }

    @property
    def uploads(self) -> list[ObjectId]:
        """The objects that went through the uploads API."""
        return [ObjectId(self.stack.payload_bucket, f"messages/{i}") for i in self.upload_ids]

    @property
    def claim_check(self) -> ObjectId:
        """What the claim check points to: not below a door, and a UUID, as every claim check's."""
        name = uuid.uuid5(uuid.NAMESPACE_URL, self.prefix)
        return ObjectId(self.stack.payload_bucket, f"{self.prefix}/{name}")

    def own(self, text: str) -> bool:
        """Whether a text speaks of something of this run."""
        return any(name in text for name in (self.prefix, *self.upload_ids))

    def row_ids(self, name: str, environment: str) -> list[str]:
        """The keys of the items that a file's rows may become; none of what is no file."""
        if name not in FILES:
            return []
        place = self.objects[name]
        return [place.row_execution_id(environment, n + 1) for n in range(COUNTS["rows"])]

    def body(self, name: str) -> str:
        """What is sent as `name`, as a message's body or an object's content."""
        document: dict[str, Any] = {"data_source": self.prefix, "processing_type": "standard"}
        if name in FILES:
            return "sku,quantity\ntea,1\ncoffee,2\nonly-a-sku\n"
        match name:
            case "broken-json":
                return f'{{"record_id": "{self.record_id(name)}", '
            case "rejected":
                document |= {"processing_type": "order", "quantity": 0}
            case "redriven":
                del document["processing_type"]
            case "claim-check":
                document["filling"] = "-" * _CLAIM_CHECK_BYTES
        if name not in OBJECTS and name != UPLOADS_API:
            document["record_id"] = self.record_id(name)
        return json.dumps(document)

    @property
    def mended(self) -> str:
        """The right body of what is redriven."""
        right: dict[str, Any] = json.loads(self.body(REDRIVEN)) | {"processing_type": "standard"}
        return json.dumps(right)

    @property
    def refused_event(self) -> str:
        """An event that is none of SQS's or S3's: the durable function fails as a whole."""
        return json.dumps({"verify": self.record_id(REFUSED_EVENT)})


MISSING_FIELDS = ("order_id", "sku", "unit_price", "currency", "ordered_at", "quantity")
"""What the errors of the rejected record must name: the fields it lacks, and the one too small."""


@dataclass
class Sent:
    """What has been sent: message ids by name, and why what could not be sent was not."""

    names: Names
    message_ids: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[str, Exception] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)


def send(deployed: Deployed, sent: Sent, wanted: Sequence[str]) -> None:
    """Send all that is `wanted`; where one service refuses, or is silent, the rest is sent."""
    steps: Mapping[str, Callable[[], None]] = {
        **{name: lambda name=name: _put(deployed, sent, name) for name in OBJECTS},  # type: ignore[misc]  # mypy does not infer a default's type
        CLAIM_CHECK: lambda: _put_payload(deployed, sent),
        UPLOADS_API: lambda: _upload(deployed, sent),
        REFUSED_EVENT: lambda: _invoke(deployed, sent),
    }
    for name in [name for name in steps if name in wanted]:
        try:
            steps[name]()
            sent.done.add(name)
        except errors.expected() as error:
            sent.refused[name] = error
    _send_messages(deployed, sent, deployed.stack.queue_url, _messages(sent, wanted))
    if in_order := [_body(sent.names, name) for name in IN_ORDER if name in wanted]:
        _send_messages(deployed, sent, deployed.stack.fifo_queue_url, in_order)


def _messages(sent: Sent, wanted: Sequence[str]) -> list[Message]:
    names = sent.names
    plain = (MESSAGE, REJECTED, BROKEN_JSON, REDRIVEN, SAME_RECORD, SAME_RECORD)
    found: list[Message] = [_body(names, name) for name in plain if name in wanted]
    if CLAIM_CHECK in sent.done:
        place = names.claim_check
        size = len(names.body(CLAIM_CHECK).encode())
        found.append(
            ClaimCheck(
                CLAIM_CHECK,
                {"bucket": place.bucket, "key": place.key},
                size,
                None,
                names.prefix,
            )
        )
    return found


def _body(names: Names, name: str) -> Body:
    return Body(names.body(name), name, names.prefix)


def _send_messages(
    deployed: Deployed, sent: Sent, queue_url: str, messages: Sequence[Message]
) -> None:
    """Send to one queue; where it refuses, or is silent, that is noted."""
    try:
        _send_to(deployed, sent, queue_url, messages)
    except errors.expected() as error:
        unsent = [message.origin for message in messages if message.origin not in sent.done]
        sent.refused |= dict.fromkeys(unsent, error)


def _send_to(deployed: Deployed, sent: Sent, queue_url: str, messages: Sequence[Message]) -> None:
    for outcome in Sender(deployed.connection.sqs, queue_url).send(messages):
        for one in outcome.sent:
            sent.message_ids.setdefault(one.message.origin, []).append(one.message_id)
            sent.done.add(one.message.origin)
        for refused in outcome.refused:
            said = f"{refused.code} {refused.reason}".strip()
            sent.refused[refused.message.origin] = OperationFailedError(f"SQS refused it: {said}")


def _put(deployed: Deployed, sent: Sent, name: str) -> None:
    place = sent.names.objects[name]
    body = sent.names.body(name).encode()
    more: Any = {"Metadata": {"rows": "items"}} if name in FILES else {}
    deployed.connection.s3.put_object(Bucket=place.bucket, Key=place.key, Body=body, **more)


def _put_payload(deployed: Deployed, sent: Sent) -> None:
    place = sent.names.claim_check
    body = sent.names.body(CLAIM_CHECK).encode()
    deployed.connection.s3.put_object(Bucket=place.bucket, Key=place.key, Body=body)


def _upload(deployed: Deployed, sent: Sent) -> None:
    content = sent.names.body(UPLOADS_API).encode()
    upload = deployed.uploads_api.create(len(content), "application/json", {})
    sent.names = Names(sent.names.prefix, sent.names.stack, (upload.id,))
    http = deployed.connection.http("s3")
    answer = http.plain("PUT", upload.url, upload.headers, io.BytesIO(content))
    if answer.status != _OK:
        raise OperationFailedError(f"S3 refused the presigned upload with {answer.status}")


def _invoke(deployed: Deployed, sent: Sent) -> None:
    deployed.connection.lambda_.invoke(
        FunctionName=deployed.stack.durable_function_arn,
        InvocationType="Event",
        Payload=sent.names.refused_event.encode(),
    )
