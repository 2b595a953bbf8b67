"""Writes what changes in the table of processed data to Postgres, once and in the table's order.

A change that comes again, or late, changes nothing: each row remembers the place in the stream that
it is from. A removed item leaves its place behind, so that no earlier change brings it back.
"""

from __future__ import annotations

import json
import logging
import os
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import Connection

Document = Mapping[str, Any]

SECONDS = 20
"""How long Postgres may take for one answer, to be followed by a second attempt."""
MAX_LETTER_BYTES = 900_000
"""What SQS has room for, 1 MiB, less the attributes."""
MAX_ATTRIBUTE = 500
AUTHORITIES = Path(__file__).with_name("ca.pem")

# The places are compared when the row is locked: of two that write it at once, the later stays.
WRITE = """
INSERT INTO processed_records AS kept (execution_id, stream_label, sequence, item, removed_at)
VALUES (:execution_id, :stream_label, CAST(:sequence AS numeric), CAST(:item AS jsonb),
        CASE WHEN CAST(:item AS jsonb) IS NULL THEN now() END)
ON CONFLICT (execution_id) DO UPDATE
SET stream_label = excluded.stream_label, sequence = excluded.sequence,
    item = excluded.item, removed_at = excluded.removed_at
WHERE (kept.stream_label, kept.sequence) < (excluded.stream_label, excluded.sequence)
"""

# https://www.postgresql.org/docs/current/errcodes-appendix.html
OF_THE_RECORD = ("22", "23", "54")
"""Classes of errors that are a record's own: wrong data, a constraint, a limit."""

logger = logging.getLogger("sink")


class Refused(Exception):
    """Postgres will never take this record; says why."""


class Unavailable(Exception):
    """The record could not be written now; it has to come again."""


@dataclass(frozen=True)
class Change:
    """An item as one record of the stream leaves it: its JSON, or None if it is gone.

    ``stream_label`` and ``sequence`` are its place. A stream's label is the time that it began at,
    and within one a later change of an item has a greater sequence number.
    """

    execution_id: str
    stream_label: str
    sequence: int
    item: str | None

    @classmethod
    def of(cls, record: Document) -> Change:
        """The change that ``record`` tells of.

        Raises:
            Refused: it is no record of the table's stream.
        """
        try:
            change = record["dynamodb"]
            removed = record["eventName"] == "REMOVE"
            return cls(
                execution_id=change["Keys"]["execution_id"]["S"],
                stream_label=record["eventSourceARN"].rpartition("/stream/")[2],
                sequence=int(change["SequenceNumber"]),
                item=None if removed else json_text({"M": change["NewImage"]}),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Refused(f"{type(error).__name__}: {error}") from None


def json_text(value: Document) -> str:
    """A value in DynamoDB's wire form as JSON, with every digit of its numbers.

    Raises:
        ValueError: it is none.
    """
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return str(content)
        case "NULL":
            return "null"
        case "M":
            members = (f"{_text(name)}:{json_text(one)}" for name, one in content.items())
            return f"{{{','.join(members)}}}"
        case "L":
            return f"[{','.join(map(json_text, content))}]"
        case "NS":
            return f"[{','.join(content)}]"
        case "S" | "BOOL" | "B" | "SS" | "BS":
            return _text(content)
    raise ValueError(f"DynamoDB has no type {kind!r}")


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


class Database:
    """One connection to Postgres, which is opened anew when it broke."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._connection: Connection | None = None

    def write(self, change: Change) -> None:
        """Write ``change``, unless a later one is there.

        Raises:
            Refused: it cannot be written, ever.
            Unavailable: Postgres is not there, or not as it should be.
        """
        try:
            self._write(change)
        except Unavailable:
            self._write(change)  # the connection may have been an old one

    def _write(self, change: Change) -> None:
        try:
            self._connection = self._connection or self._connect()
            self._connection.run(WRITE, **vars(change))
        except DatabaseError as error:
            code, message = _told(error)
            if code.startswith(OF_THE_RECORD):
                raise Refused(f"{code}: {message}") from None
            self.close()
            raise Unavailable(f"{code}: {message}") from error
        except (InterfaceError, OSError, ClientError, BotoCoreError) as error:
            self.close()
            raise Unavailable(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Close the connection; the next change opens another one."""
        if self._connection:
            with suppress(InterfaceError, OSError):
                self._connection.close()
        self._connection = None


def _told(error: DatabaseError) -> tuple[str, str]:
    """The SQLSTATE and the message of what Postgres says."""
    fields = error.args[0] if error.args else None
    return (fields["C"], fields["M"]) if isinstance(fields, dict) else ("", str(error))


def connect() -> Connection:
    """Connect as the secret says, which is read each time: passwords are rotated."""
    read = boto3.client("secretsmanager").get_secret_value
    secret = json.loads(read(SecretId=os.environ["SECRET_ARN"])["SecretString"])
    return Connection(
        secret["username"],
        password=secret["password"],
        host=os.environ["DATABASE_HOST"],
        port=int(os.environ["DATABASE_PORT"]),
        database=os.environ["DATABASE_NAME"],
        timeout=SECONDS,
        ssl_context=checked(AUTHORITIES if AUTHORITIES.exists() else None),
        application_name="processed-data-sink",
    )


def checked(authorities: Path | None) -> ssl.SSLContext:
    """TLS with the server's certificate and name checked, as libpq's verify-full does.

    Beyond that, Python refuses since 3.13 what authorities issued that lack newer extensions.
    """
    context = ssl.create_default_context(cafile=authorities)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


@cache
def database() -> Database:
    """The database, once per execution environment."""
    return Database(connect)


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Write each record, in order; from the one on that cannot be written now, they come again.

    What Postgres will never take becomes a dead letter, so that it holds up none behind it.
    """
    for record in event["Records"]:
        try:
            _take(record)
        except Unavailable as error:
            logger.warning("comes again: %s", error)
            return {"batchItemFailures": [{"itemIdentifier": record["dynamodb"]["SequenceNumber"]}]}
    return {"batchItemFailures": []}


def _take(record: Document) -> None:
    try:
        database().write(Change.of(record))
    except Refused as refused:
        give_up(record, str(refused))


def give_up(record: Document, reason: str) -> None:
    """Send ``record`` to the dead letters, as an event that this function can be invoked with.

    Raises:
        Unavailable: the queue did not take it.
    """
    execution_id = str(record.get("dynamodb", {}).get("Keys", {}).get("execution_id", {}).get("S"))
    attributes = {"execution_id": execution_id, "error_message": reason}
    try:
        boto3.client("sqs").send_message(
            QueueUrl=os.environ["DEAD_LETTER_QUEUE_URL"],
            MessageBody=letter_of(record),
            MessageAttributes={
                name: {"DataType": "String", "StringValue": _printable(value)}
                for name, value in attributes.items()
            },
        )
    except (ClientError, BotoCoreError) as error:
        raise Unavailable(f"{type(error).__name__}: {error}") from error
    logger.error("given up: %s", _printable(execution_id))


def letter_of(record: Document) -> str:
    """The event of ``record`` alone; without its item if that is too large for a message."""
    for without in ({"OldImage"}, {"OldImage", "NewImage"}):
        change = {k: v for k, v in record["dynamodb"].items() if k not in without}
        letter = json.dumps({"Records": [{**record, "dynamodb": change}]})
        if len(letter) <= MAX_LETTER_BYTES:
            break
    return letter


def _printable(text: str) -> str:
    """What SQS takes as an attribute."""
    return "".join(c if c.isprintable() else "?" for c in text)[:MAX_ATTRIBUTE] or "?"
