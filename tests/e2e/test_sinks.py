"""The examples of sinks, deployed from clean folders, behind the stream of a real pipeline."""

from __future__ import annotations

import ast
import json
import re
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from moto.events.models import EventPattern

from localcloud import supervisor
from localcloud.cloudformation_yaml import load
from localcloud.deploy import deploy
from localcloud.settings import Settings
from pipelinectl.aws import Connection
from pipelinectl.doctor import diagnose
from pipelinectl.doctor.stack import Deployed
from tests import postgres
from tests.e2e.conftest import PARAMETERS, PATIENCE, ROOT, Stack, take_all
from tests.e2e.localcloud.support import Cloud, wait_for
from tests.events import order, standard

EXAMPLES = ROOT / "examples" / "sinks"
NAME = "streamed"
SINK = "postgres"
USER = "sink"

pytestmark = pytest.mark.skipif(postgres.find() is None, reason=postgres.REMEDY)


@dataclass(frozen=True)
class Sink:
    """A pipeline with the Postgres that its items end in."""

    stack: Stack
    server: postgres.Server
    outputs: Mapping[str, str]

    def rows(self) -> dict[str, Any]:
        """The items in Postgres by their execution_id; numbers exact."""
        found = self.server.run("SELECT execution_id, item::text FROM processed_data")
        rows = {key: json.loads(item, parse_float=Decimal) for key, item in found}
        assert len(rows) == len(found)
        return rows

    def take_dead_letters(self) -> list[Any]:
        """Take all dead letters of the sink off their queue."""
        return take_all(self.stack.client("sqs"), self.outputs["SinkDeadLetterQueueUrl"])


@pytest.fixture(scope="module")
def streamed(settings: Settings) -> Stack:
    """The pipeline, with a stream."""
    outputs = deployed(settings, stream=True)
    return Stack(Cloud(settings, outputs), outputs)


def deployed(settings: Settings, *, stream: bool) -> Mapping[str, str]:
    return deploy(
        settings,
        template=ROOT / "template.yaml",
        stack_name=NAME,
        parameters={**PARAMETERS, "ProcessedDataStream": str(stream).lower()},
    )


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    """A Postgres that serves."""
    with postgres.made() as server, server.serving():
        yield server


@pytest.fixture(scope="module")
def sink(
    streamed: Stack, server: postgres.Server, tmp_path_factory: pytest.TempPathFactory
) -> Sink:
    """The example, deployed from a clean folder as the guide says."""
    folder = tmp_path_factory.mktemp("clean") / SINK
    shutil.copytree(EXAMPLES / SINK, folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    shutil.copy(server.authorities, folder / "function" / "ca.pem")
    password = secrets.token_hex()
    server.run((folder / "schema.sql").read_text())
    server.run(f"CREATE ROLE {USER} LOGIN PASSWORD '{password}' IN ROLE processed_data_sink")
    secret = streamed.client("secretsmanager").create_secret(
        Name=SINK, SecretString=json.dumps({"username": USER, "password": password})
    )
    outputs = deploy(
        streamed.cloud.settings,
        template=folder / "template.yaml",
        stack_name=SINK,
        parameters={
            "ProcessedDataStreamArn": streamed.outputs["ProcessedDataStreamArn"],
            "DatabaseHost": postgres.HOST,
            "DatabasePort": str(server.port),
            "DatabaseName": postgres.OWNER,
            "SecretArn": secret["ARN"],
        },
    )
    return Sink(streamed, server, outputs)


def as_json(value: Any) -> Any:
    """A value in DynamoDB's wire form as the JSON that it stands for."""
    ((kind, content),) = value.items()
    match kind:
        case "M":
            return {name: as_json(one) for name, one in content.items()}
        case "L":
            return [as_json(one) for one in content]
        case "N":
            return Decimal(content)
        case "NULL":
            return None
    return content


def assert_same(rows: Mapping[str, Any], items: Mapping[str, Any]) -> None:
    """Postgres has what the table has, no more and no less."""
    assert rows.keys() == items.keys()
    assert all(rows[key] == as_json({"M": item}) for key, item in items.items())


def test_the_examples_import_nothing_but_what_they_bring() -> None:
    brought = {"boto3", "botocore", "pg8000"}
    for path in EXAMPLES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            imported = {name.partition(".")[0] for name in names}
            assert imported <= sys.stdlib_module_names | brought, path


def test_each_item_is_a_row_with_its_content(sink: Sink) -> None:
    ids = sink.stack.send([order(quantity=3, unit_price="0.1"), standard(note="ünïcode 🎈")])
    stored = sink.stack.wait_for_items(ids)

    rows = wait_for(lambda: _all(sink, [i["execution_id"]["S"] for i in stored.values()]), PATIENCE)

    assert_same(rows, {i["execution_id"]["S"]: i for i in stored.values()})


def _all(sink: Sink, keys: Sequence[str]) -> dict[str, Any] | None:
    rows = {key: row for key, row in sink.rows().items() if key in set(keys)}
    return rows if len(rows) == len(set(keys)) else None


def test_a_removed_objects_row_goes_with_its_item(sink: Sink) -> None:
    s3, bucket = sink.stack.client("s3"), sink.stack.outputs["InputBucketName"]
    key = "input/here-and-gone.json"

    s3.put_object(Bucket=bucket, Key=key, Body=standard().encode())
    (row,) = wait_for(lambda: [k for k, row in sink.rows().items() if _is_of(row, key)], PATIENCE)
    s3.delete_object(Bucket=bucket, Key=key)

    wait_for(lambda: row not in sink.rows(), PATIENCE)


def _is_of(row: Mapping[str, Any], key: str) -> bool:
    return str(row.get("object")).endswith(key)


def test_a_poison_item_is_a_dead_letter_and_its_neighbours_are_rows(sink: Sink) -> None:
    bodies = [standard(record_id=f"neighbour-{n}") for n in range(20)]
    bodies[7] = standard(record_id="neighbour-7", note="no Postgres holds a \0")

    sink.stack.wait_for_items(sink.stack.send(bodies))
    neighbours = [f"neighbour-{n}" for n in range(20) if n != 7]
    wait_for(lambda: _all(sink, neighbours), PATIENCE)
    (letter,) = wait_for(sink.take_dead_letters, PATIENCE)

    told = {k: v["StringValue"] for k, v in letter["MessageAttributes"].items()}
    assert told["execution_id"] == "neighbour-7"
    assert told["error_message"].startswith("22P05: ")
    (record,) = json.loads(letter["Body"])["Records"]
    assert record["dynamodb"]["NewImage"]["execution_id"] == {"S": "neighbour-7"}
    assert "neighbour-7" not in sink.rows()
    assert sink.take_dead_letters() == []


def test_the_doctor_knows_the_stream(streamed: Stack) -> None:
    connection = Connection(streamed.cloud.settings.client_environment())

    found = diagnose(Deployed(connection, NAME))

    (stream,) = [one for one in found if one.check.name == "processed-data-stream"]
    assert [(one.level.value, one.found) for one in stream.findings] == [("ok", "on")]


PIPES: dict[str, Any] = {
    name: resource["Properties"]
    for name, resource in load(EXAMPLES / "pipe" / "template.yaml")["Resources"].items()
    if resource["Type"] == "AWS::Pipes::Pipe"
}


def test_the_pipes_tell_of_each_change_where_its_item_is(streamed: Stack) -> None:
    """By the filter and the template that AWS would apply; nothing here runs pipes to a bus."""
    s3, bucket = streamed.client("s3"), streamed.outputs["InputBucketName"]
    s3.put_object(Bucket=bucket, Key="input/told.json", Body=standard(data_source='a "b"').encode())
    put = wait_for(lambda: _changes(streamed, "input/told.json"), PATIENCE)
    s3.delete_object(Bucket=bucket, Key="input/told.json")

    told = wait_for(lambda: _changes(streamed, "input/told.json", len(put) + 1), PATIENCE)

    events = [_event_of(record) for record in told]
    assert [kind for kind, _ in events] == ["Record Stored"] * len(put) + ["Record Removed"]
    for record, (kind, detail) in zip(told, events, strict=True):
        change = record["dynamodb"]
        image = change["OldImage" if kind == "Record Removed" else "NewImage"]
        assert detail["execution_id"] == image["execution_id"]["S"]
        assert detail["data_source"] == 'A "B"'
        assert (detail["processing_type"], detail["stored_at"]) == (
            "standard",
            image["stored_at"]["S"],
        )
        assert detail["sequence_number"] == change["SequenceNumber"]


def _changes(stack: Stack, key: str, least: int = 1) -> list[Any] | None:
    """What the table's stream has of an object, if it has so many records of it."""
    client, stream = stack.client("dynamodbstreams"), stack.outputs["ProcessedDataStreamArn"]
    (shard,) = client.describe_stream(StreamArn=stream)["StreamDescription"]["Shards"]
    position = client.get_shard_iterator(
        StreamArn=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    found: list[Any] = []
    while records := (page := client.get_records(ShardIterator=position))["Records"]:
        position = page["NextShardIterator"]
        texts = [json.dumps(record, default=str) for record in records]
        found += [json.loads(text) for text in texts if key in text]
    return found if len(found) >= least else None


def _event_of(record: Any) -> tuple[str, Any]:
    """The type and the detail of the one event that the pipes make of a record of the stream."""
    ((parameters, template),) = (
        (pipe["TargetParameters"]["EventBridgeEventBusParameters"], _filled(pipe, record))
        for pipe in PIPES.values()
        if _takes(pipe, record)
    )
    return parameters["DetailType"], json.loads(template)


def _takes(pipe: Any, record: Any) -> bool:
    patterns = [one["Pattern"] for one in pipe["SourceParameters"]["FilterCriteria"]["Filters"]]
    return any(EventPattern.load(pattern).matches_event(record) for pattern in patterns)


def _filled(pipe: Any, record: Any) -> str:
    """The template with the values of its paths, as JSON."""

    def value(path: re.Match[str]) -> str:
        found = record
        for name in path[1].split("."):
            found = found[name]
        return json.dumps(found)

    return re.sub(r"<\$\.([\w.]+)>", value, pipe["TargetParameters"]["InputTemplate"])


KILLS = 3


def test_nothing_is_lost_or_doubled_when_the_sink_is_killed_under_load(sink: Sink) -> None:
    sink.take_dead_letters()
    ids: list[str] = []
    for number in range(KILLS):
        keys = [f"load-{number}-{n}" for n in range(100)]
        with _held_up_at(sink, keys[50]):
            ids += sink.stack.send([standard(record_id=key) for key in keys])
            wait_for(lambda: _waits_for_a_lock(sink))
            assert supervisor.kill(sink.stack.cloud.settings, f"{SINK}-sink")

    stored = sink.stack.wait_for_items(ids)
    keys = [item["execution_id"]["S"] for item in stored.values()]
    wait_for(lambda: _all(sink, keys), PATIENCE)
    items = {k: i for k, i in sink.stack.items().items() if k != "neighbour-7"}
    assert_same(sink.rows(), items)
    assert sink.take_dead_letters() == []


@contextmanager
def _held_up_at(sink: Sink, execution_id: str) -> Iterator[None]:
    """The sink waits as soon as it comes to this record, because somebody else has its row."""
    with closing(sink.server.connect()) as somebody:
        somebody.run("START TRANSACTION")
        somebody.run(
            "INSERT INTO processed_records (execution_id, stream_label, sequence, removed_at) "
            "VALUES (:execution_id, '', 0, now())",
            execution_id=execution_id,
        )
        try:
            yield
        finally:
            somebody.run("ROLLBACK")


def _waits_for_a_lock(sink: Sink) -> bool:
    sessions = "SELECT 1 FROM pg_stat_activity WHERE usename = :user AND wait_event_type = 'Lock'"
    return bool(sink.server.run(sessions, user=USER))


def test_switched_off_and_on_again_the_items_stay_and_the_stream_is_another(
    streamed: Stack,
) -> None:
    settings, before, items = streamed.cloud.settings, streamed.outputs, streamed.items()

    off = deployed(settings, stream=False)
    kept = streamed.items()
    on = deployed(settings, stream=True)

    assert "ProcessedDataStreamArn" not in off
    assert items
    assert items == kept == streamed.items()
    assert on["ProcessedDataStreamArn"] != before["ProcessedDataStreamArn"]
    assert on == {**before, "ProcessedDataStreamArn": on["ProcessedDataStreamArn"]}
