import functools
import json
from pathlib import Path

import pytest

from pipelinectl.bodies import MAX_BYTES, Body
from pipelinectl.demonstration.messages import DemoMessage, Events, messages, read_events
from pipelinectl.errors import NotFoundError

GOOD = (Body('{"a": 1.10}', "g"), Body('{"a": 2}', "g"))
BAD = (Body('{"b": 1}', "b"), Body("no json", "b"))


@functools.cache  # one of them is large, and takes a while to write
def ten() -> tuple[DemoMessage, ...]:
    return tuple(messages(Events(GOOD, BAD), "run", 10))


def test_every_bad_body_is_sent_once_among_repeated_good_ones() -> None:
    sent = ten()

    assert len(sent) == 10
    assert [message.bad for message in sent].count(True) == 2
    assert not sent[0].bad


def test_each_object_gets_an_identity_of_this_run_and_stays_as_it_is() -> None:
    sent = ten()

    ids = [json.loads(m.body.text)["record_id"] for m in sent if m.record_id]
    assert len(set(ids)) == len(ids) == 9
    assert ids[0] == sent[0].record_id == "demo-run-00001"
    assert '"a": 1.10' in sent[3].body.text


def test_one_good_message_is_too_large_for_sqs() -> None:
    sent = ten()

    large = [message for message in sent if message.body.size > MAX_BYTES]
    assert large == [sent[0]]
    assert not sent[0].bad
    assert json.loads(sent[0].body.text)["record_id"] == "demo-run-00001"


def test_what_is_no_object_is_marked_in_its_text() -> None:
    (marked,) = [m for m in ten() if m.record_id is None]

    assert marked.body.text.startswith("no json (demo-run-")


def test_the_projects_own_events_can_be_read() -> None:
    events = read_events(Path(__file__).parents[3] / "events")

    assert events.good
    assert len(events.bad) >= 2


def test_missing_events_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"standard\.jsonl"):
        read_events(tmp_path)
