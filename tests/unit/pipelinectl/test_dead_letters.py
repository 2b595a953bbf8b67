"""How dead letters are looked for."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from pipelinectl.aws import Connection, Stack
from pipelinectl.dead_letters import LONG_POLL_SECONDS, DeadLetterQueue

KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "eu-west-1",
}
NAMES: dict[str, Any] = {field.name: field.name for field in fields(Stack)}


@pytest.mark.parametrize(
    ("endpoint", "seconds"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}, 0),
        ({}, LONG_POLL_SECONDS),
    ],
)
def test_a_receive_asks_all_of_sqs_servers_where_there_are_several(
    endpoint: dict[str, str], seconds: int
) -> None:
    queue = DeadLetterQueue.of(Connection(KEYS | endpoint), Stack(**NAMES))

    assert replace(queue, source_url=None).hold(20).wait_seconds == seconds
    assert queue.urls == ("dead_letter_queue_url", "fifo_dead_letter_queue_url")
