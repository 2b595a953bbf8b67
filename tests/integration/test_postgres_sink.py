"""The example of a sink against a real Postgres: whatever comes, and in whatever order."""

from __future__ import annotations

import itertools
import json
import random
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import boto3
import pytest
from moto import mock_aws
from pg8000.exceptions import DatabaseError

from examples.sinks.postgres.function import sink
from tests import postgres
from tests.e2e.conftest import ROOT

SCHEMA = ROOT / "examples" / "sinks" / "postgres" / "schema.sql"
USER = "sink"
STREAM = "arn:aws:dynamodb:eu-central-2:123456789012:table/processed/stream/2026-11-28T07:00:00.123"
LATER = STREAM.replace("2026-11-28", "2026-11-29")
INTACT: dict[str, Any] = {"batchItemFailures": []}

pytestmark = pytest.mark.skipif(postgres.find() is None, reason=postgres.REMEDY)


@pytest.fixture(scope="module")
def password() -> str:
    return secrets.token_hex()


@pytest.fixture(scope="module")
def server(password: str) -> Iterator[postgres.Server]:
    """A Postgres with the sink's table."""
    with postgres.made() as server, server.serving():
        server.run(SCHEMA.read_text())
        server.run(f"CREATE ROLE {USER} LOGIN PASSWORD '{password}' IN ROLE processed_data_sink")
        yield server


@pytest.fixture
def letters(
    server: postgres.Server, password: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], list[Any]]]:
    """What takes the dead letters; the sink's environment is in place."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-2")
    monkeypatch.setattr(sink, "AUTHORITIES", server.authorities)
    with mock_aws():
        login = json.dumps({"username": USER, "password": password})
        secret = boto3.client("secretsmanager").create_secret(Name="sink", SecretString=login)
        url = boto3.client("sqs").create_queue(QueueName="letters")["QueueUrl"]
        monkeypatch.setenv("DATABASE_HOST", postgres.HOST)
        monkeypatch.setenv("DATABASE_PORT", str(server.port))
        monkeypatch.setenv("DATABASE_NAME", postgres.OWNER)
        monkeypatch.setenv("SECRET_ARN", secret["ARN"])
        monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", url)
        sink.database.cache_clear()
        yield lambda: _taken(url)
        sink.database().close()


def _taken(url: str) -> list[Any]:
    found = boto3.client("sqs").receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    )
    return found.get("Messages", [])


def change(
    key: str, sequence: int, item: dict[str, Any] | None, *, stream: str = STREAM
) -> dict[str, Any]:
    """A record of the stream: ``item`` in DynamoDB's wire form, None if it was removed."""
    image = {} if item is None else {"NewImage": {"execution_id": {"S": key}, **item}}
    return {
        "eventID": secrets.token_hex(),
        "eventName": "REMOVE" if item is None else "MODIFY",
        "eventSource": "aws:dynamodb",
        "eventSourceARN": stream,
        "dynamodb": {
            "Keys": {"execution_id": {"S": key}},
            "SequenceNumber": str(sequence),
            **image,
        },
    }


def version(number: int) -> dict[str, Any]:
    return {"version": {"N": str(number)}}


def handed(*records: dict[str, Any]) -> Any:
    return sink.handler({"Records": records}, None)


def rows(server: postgres.Server) -> dict[str, Any]:
    found = server.run("SELECT execution_id, item::text FROM processed_data")
    return dict(found)


Letters = Callable[[], list[Any]]


def test_an_item_is_a_row_with_every_digit(server: postgres.Server, letters: Letters) -> None:
    item = {
        "data_source": {"S": "SHOP"},
        "stored_at": {"S": "2026-11-28T07:00:00+00:00"},
        "transformed_data": {
            "M": {
                "long": {"N": "0.12345678901234567890123456789012345678"},
                "small": {"N": "1E-130"},
                "large": {"N": "9.9E+125"},
                'odd "name"': {"L": [{"NULL": True}, {"BOOL": False}, {"S": "ünïcode 🎈 \\u0000"}]},
            }
        },
    }

    assert handed(change("whole", 1, item)) == INTACT

    ((source, stored_at, data),) = server.run(
        "SELECT data_source, stored_at, transformed_data::text FROM processed_data"
        " WHERE execution_id = 'whole'"
    )
    exact = json.loads(data, parse_float=str, parse_int=str)
    assert (source, stored_at.isoformat()) == ("SHOP", "2026-11-28T07:00:00+00:00")
    assert exact["long"] == "0.12345678901234567890123456789012345678"
    assert exact["small"] == f"0.{'0' * 129}1"
    assert exact["large"] == f"99{'0' * 124}"
    assert exact['odd "name"'] == [None, False, "ünïcode 🎈 \\u0000"]
    assert letters() == []


HISTORY = [(9, version(1)), (10, None), (11, version(2)), (100, version(3))]
ENDINGS = [HISTORY, [*HISTORY, (101, None)]]


@pytest.mark.parametrize("history", ENDINGS, ids=["stays", "is removed"])
def test_the_last_change_stays_in_whatever_order_all_come_and_come_again(
    server: postgres.Server, letters: Letters, history: Sequence[tuple[int, Any]]
) -> None:
    orders = list(itertools.permutations(history))
    name = f"order-{len(history)}"

    for number, order in enumerate(orders):
        records = [change(f"{name}-{number}", *one) for one in (*order, *order[:2])]
        assert handed(*records) == INTACT

    there = {key: row for key, row in rows(server).items() if key.startswith(name)}
    _, last = history[-1]
    assert len(there) == (len(orders) if last else 0)
    assert all(json.loads(row)["version"] == 3 for row in there.values())


def test_two_that_write_at_once_leave_the_last_change(
    server: postgres.Server, letters: Letters
) -> None:
    changes = [change("at-once", n, version(n) if n % 3 else None) for n in range(1, 50)]
    shuffled = [random.Random(seed).sample(changes, len(changes)) for seed in range(4)]

    def write(records: Sequence[dict[str, Any]]) -> None:
        own = sink.Database(sink.connect)
        for record in records:
            own.write(sink.Change.of(record))
        own.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, shuffled))

    assert json.loads(rows(server)["at-once"])["version"] == 49


def test_a_stream_that_was_switched_on_again_counts_from_anew(
    server: postgres.Server, letters: Letters
) -> None:
    handed(change("anew", 5000, version(1)), change("anew", 1, version(2), stream=LATER))
    handed(change("anew", 5001, version(1)))

    assert json.loads(rows(server)["anew"])["version"] == 2


def test_a_row_goes_when_its_item_has_expired(server: postgres.Server, letters: Letters) -> None:
    service = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}

    handed(change("expires", 1, version(1)), change("expires", 2, None) | {"userIdentity": service})

    assert "expires" not in rows(server)


def test_what_postgres_never_takes_is_a_dead_letter_and_holds_up_no_other(
    server: postgres.Server, letters: Letters
) -> None:
    poison = change("poison", 2, {"note": {"S": "a \0"}})

    answer = handed(change("before", 1, version(1)), poison, change("behind", 3, version(1)))

    assert answer == INTACT
    assert rows(server).keys() >= {"before", "behind"}
    assert "poison" not in rows(server)
    (letter,) = letters()
    told = {k: v["StringValue"] for k, v in letter["MessageAttributes"].items()}
    assert told["execution_id"] == "poison"
    assert told["error_message"].startswith("22P05: ")
    # It is an event by itself: once the reason is gone, the function takes it.
    assert json.loads(letter["Body"]) == {"Records": [poison]}


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"dynamodb": {"Keys": {}}}, "KeyError: 'execution_id'"),
        ({"dynamodb": {"Keys": {"execution_id": {"S": "x"}}, "SequenceNumber": "x"}}, "ValueError"),
        ({"eventName": None, "eventSourceARN": None}, "AttributeError"),
    ],
)
def test_what_is_no_record_of_the_stream_is_a_dead_letter(
    server: postgres.Server, letters: Letters, broken: dict[str, Any], reason: str
) -> None:
    assert handed({**change("broken", 1, version(1)), **broken}) == INTACT

    (letter,) = letters()
    assert letter["MessageAttributes"]["error_message"]["StringValue"].startswith(reason)


def test_a_letter_leaves_out_what_a_message_has_no_room_for(letters: Letters) -> None:
    large = change("large", 1, {"note": {"S": "\1" * 200_000}})
    assert len(json.dumps(large)) > sink.MAX_LETTER_BYTES

    kept = json.loads(sink.letter_of(large))["Records"][0]["dynamodb"]

    assert kept == {"Keys": {"execution_id": {"S": "large"}}, "SequenceNumber": "1"}


def test_a_connection_that_broke_is_opened_anew(server: postgres.Server, letters: Letters) -> None:
    handed(change("first", 1, version(1)))
    server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sink'")

    assert handed(change("second", 2, version(1))) == INTACT
    assert "second" in rows(server)


def test_a_password_that_was_changed_is_read_anew(
    server: postgres.Server, letters: Letters, password: str
) -> None:
    handed(change("with the first", 1, version(1)))
    server.run(f"ALTER ROLE {USER} PASSWORD 'another'")
    login = json.dumps({"username": USER, "password": "another"})
    boto3.client("secretsmanager").update_secret(SecretId="sink", SecretString=login)
    server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sink'")
    try:
        assert handed(change("with another", 2, version(1))) == INTACT
    finally:
        server.run(f"ALTER ROLE {USER} PASSWORD '{password}'")

    assert "with another" in rows(server)


def test_what_the_schema_lacks_comes_again(server: postgres.Server, letters: Letters) -> None:
    server.run("ALTER TABLE processed_records RENAME TO renamed")
    try:
        answer = handed(change("schema", 7, version(1)), change("schema", 8, version(1)))
    finally:
        server.run("ALTER TABLE renamed RENAME TO processed_records")

    assert answer == {"batchItemFailures": [{"itemIdentifier": "7"}]}
    assert letters() == []
    assert handed(change("schema", 7, version(1))) == INTACT


def test_a_server_with_another_certificate_gets_nothing(
    server: postgres.Server, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "AUTHORITIES", server.folder / "none.pem")

    answer = handed(change("untrusted", 1, version(1)))

    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert "untrusted" not in rows(server)


def test_the_sink_may_do_nothing_but_write_rows(
    server: postgres.Server, letters: Letters, password: str
) -> None:
    with closing(server.connect(USER, password)) as connection:
        for forbidden in ("DELETE FROM processed_records", "CREATE TABLE mine ()"):
            with pytest.raises(DatabaseError, match="42501"):
                connection.run(forbidden)


def test_records_come_again_until_postgres_is_back(
    server: postgres.Server, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed(change("away", 1, version(1)))
    server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sink'")
    monkeypatch.setenv("DATABASE_PORT", str(postgres.free_port()))

    assert handed(change("away", 2, version(2)), change("away", 3, version(3))) == {
        "batchItemFailures": [{"itemIdentifier": "2"}]
    }

    monkeypatch.setenv("DATABASE_PORT", str(server.port))
    assert handed(change("away", 2, version(2)), change("away", 3, version(3))) == INTACT
    assert json.loads(rows(server)["away"])["version"] == 3
    assert letters() == []
