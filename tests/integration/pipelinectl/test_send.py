import json
from pathlib import Path

import pytest

from tests.integration.pipelinectl.conftest import Deployed

BODY = '{"data_source": "test.csv", "processing_type": "standard", "price": 1.10}'


def test_argument_is_one_body_sent_as_it_is(deployed: Deployed) -> None:
    result = deployed.run("send", BODY)

    assert result.exit_code == 0
    assert result.stdout.startswith("sent 1 message\n")
    assert deployed.bodies() == [BODY]


def test_dash_is_the_whole_of_stdin_as_one_body(deployed: Deployed) -> None:
    deployed.run("send", "-", stdin='{\n "a": 1\n}\n')

    assert deployed.bodies() == ['{\n "a": 1\n}']


def test_file_is_one_body_a_line(deployed: Deployed, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("a\n\nb\n")

    assert deployed.run("send", "--file", str(path)).stdout == "sent 2 messages\n"
    assert sorted(deployed.bodies()) == ["a", "b"]


def test_file_dash_is_the_lines_of_stdin(deployed: Deployed) -> None:
    deployed.run("send", "--file", "-", stdin="a\r\nb\r\n")

    assert sorted(deployed.bodies()) == ["a", "b"]


def test_count_repeats_and_every_message_has_an_id(deployed: Deployed) -> None:
    document = deployed.run("send", BODY, "--count", "23", "--json").json

    assert document["sent"] == len(set(document["message_ids"])) == 23
    assert document["refused"] == []
    assert deployed.bodies() == [BODY] * 23


def test_record_ids_tell_repeated_bodies_apart(deployed: Deployed) -> None:
    deployed.run("send", BODY, "--count", "3", "--record-id-prefix", "run")

    bodies = deployed.bodies()
    assert sorted(json.loads(body)["record_id"] for body in bodies) == [
        "run-00001",
        "run-00002",
        "run-00003",
    ]
    assert all('"price": 1.10' in body for body in bodies)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (b"good\n\x01bad\n", "stdin line 2: U+0001 at character 1"),
        (b"good\n\xff\n", "stdin line 2: byte 1 is not UTF-8"),
        (b"\n \n", "nothing to send"),
    ],
)
def test_a_bad_line_is_named_before_anything_is_sent(
    deployed: Deployed, lines: bytes, said: str
) -> None:
    result = deployed.run("send", "--file", "-", stdin=lines)

    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert deployed.bodies() == []


def test_a_missing_queue_is_one_line_and_1(deployed: Deployed) -> None:
    deployed.sqs.delete_queue(QueueUrl=deployed.queue_url)

    result = deployed.run("send", BODY)

    assert result.exit_code == 1
    assert "NonExistentQueue" in result.stderr
    assert "Traceback" not in result.stderr
