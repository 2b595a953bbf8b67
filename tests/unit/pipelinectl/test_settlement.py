from pipelinectl.dead_letters import DeadLetter
from pipelinectl.demonstration.settlement import SentMessage, Tally, account

ONE, TWO, THREE = (SentMessage(f"m-{n}", f"run-{n}") for n in (1, 2, 3))


def dead_letter(message_id: str) -> DeadLetter:
    return DeadLetter(message_id, "handle", "{}", {}, 0)


def test_the_count_comes_out_when_each_message_is_in_one_place() -> None:
    found = account((ONE, TWO), frozenset({"run-1"}), {"m-2": dead_letter("m-2")})

    assert found.balanced
    assert (found.sent, len(found.stored), len(found.dead_letters)) == (2, 1, 1)


def test_a_message_that_is_nowhere_is_missing() -> None:
    found = account((ONE, TWO, THREE), frozenset({"run-1", "run-3"}), {})

    assert not found.balanced
    assert found.missing == ("run-2",)


def test_a_message_in_two_places_does_not_make_up_for_a_missing_one() -> None:
    found = account((ONE, TWO), frozenset({"run-1"}), {"m-1": dead_letter("m-1")})

    assert (found.missing, found.doubled) == (("run-2",), ("run-1",))


def test_settled_means_that_nothing_is_under_way_and_all_has_arrived() -> None:
    assert Tally(sent=3, stored=2, dead=1, waiting=0, in_flight=0).settled
    assert not Tally(sent=3, stored=2, dead=0, waiting=0, in_flight=0).settled
    assert not Tally(sent=3, stored=2, dead=1, waiting=0, in_flight=1).settled
