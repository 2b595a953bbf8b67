from collections.abc import Callable

import boto3
import pytest

from pipelinectl.dead_letters import DeadLetterQueue
from pipelinectl.demo import SentMessage, Settlement
from pipelinectl.items import Items
from tests.integration.pipelinectl.conftest import Deployed
from tests.integration.pipelinectl.giving_up import give_up

Watch = Callable[..., Settlement]


@pytest.fixture
def settlement(deployed: Deployed) -> Watch:
    def make(*messages: SentMessage, dead_before: int = 0) -> Settlement:
        return Settlement(
            deployed.sqs,
            deployed.queue_url,
            DeadLetterQueue(deployed.sqs, deployed.dead_letter_queue_url),
            Items(boto3.client("dynamodb"), "processed"),
            messages,
            dead_before,
            sleep=lambda _: None,
        )

    return make


def test_only_messages_of_this_run_are_counted(deployed: Deployed, settlement: Watch) -> None:
    deployed.table.put_item(Item={"execution_id": "run-1"})
    deployed.table.put_item(Item={"execution_id": "other-run"})
    give_up(deployed, message_id="m-2")
    give_up(deployed, message_id="of-another-run")

    account = settlement(SentMessage("m-1", "run-1"), SentMessage("m-2", "run-2")).account()

    assert account.balanced
    assert account.stored == {"run-1"}
    assert [letter.original_message_id for letter in account.dead_letters] == ["m-2"]


def test_a_message_that_was_handed_over_is_known_by_its_execution_id(
    deployed: Deployed, settlement: Watch
) -> None:
    give_up(deployed, '{"record_id": "run-1"}', message_id="m-1-handed-over")

    account = settlement(SentMessage("m-1", "run-1")).account()

    assert account.balanced
    assert [letter.execution_id for letter in account.dead_letters] == ["run-1"]


def test_watching_ends_when_all_has_settled(deployed: Deployed, settlement: Watch) -> None:
    deployed.table.put_item(Item={"execution_id": "run-1"})
    give_up(deployed, message_id="of-another-run")

    tallies = list(settlement(SentMessage("m-1", "run-1"), dead_before=1).watch(60))

    assert [(tally.stored, tally.dead, tally.settled) for tally in tallies] == [(1, 0, True)]


def test_watching_ends_when_the_time_is_up(deployed: Deployed, settlement: Watch) -> None:
    deployed.sqs.send_message(QueueUrl=deployed.queue_url, MessageBody="{}")

    (tally,) = settlement(SentMessage("m-1", "run-1")).watch(0)

    assert (tally.waiting, tally.in_flight, tally.settled) == (1, 0, False)
