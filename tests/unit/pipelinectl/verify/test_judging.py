from __future__ import annotations

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from pipelinectl.errors import OperationFailedError, UsageError
from pipelinectl.verify.judging import (
    Line,
    Look,
    Seen,
    Verdict,
    awaited,
    chosen,
    differs,
    holds,
    unseen,
)
from tests.unit.pipelinectl.verify.runs import run


def line(
    name: str, look: Look, *, needs: tuple[str, ...] = (), after: tuple[str, ...] = ()
) -> Line:
    return Line(name, "it is so", "README.md", needs, look, after)


def error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "GetItem")


@pytest.mark.parametrize("seen", [holds("x"), differs("x", "y"), unseen("x")])
def test_a_verdict_is_final_at_once(seen: Seen) -> None:
    looks = iter([seen])
    one = run(line("a", lambda _: next(looks)))

    one.judge()
    one.judge()

    assert one.results == {"a": seen}
    assert one.pending == []


def test_what_is_awaited_is_looked_at_again_and_differs_at_the_end() -> None:
    looks = iter([awaited("nothing", "look"), awaited("still nothing", "look")])
    one = run(line("a", lambda _: next(looks)))

    one.judge()
    assert one.results == {}
    one.judge(last=True)

    assert one.results["a"].verdict is Verdict.DIFFERS
    assert one.results["a"].text == "still nothing"


def test_what_depends_on_another_promise_cannot_be_seen_without_it() -> None:
    one = run(line("a", lambda _: awaited("nothing", otherwise=Verdict.UNSEEN)))

    one.judge(last=True)

    assert one.results["a"].verdict is Verdict.UNSEEN


def test_a_line_waits_for_those_before_it_but_not_for_ever() -> None:
    one = run(
        line("a", lambda _: awaited("nothing")), line("b", lambda _: holds("x"), after=("a",))
    )

    one.judge()
    assert one.results == {}
    one.judge(last=True)

    assert one.results["b"].verdict is Verdict.HOLDS


def test_what_the_caller_may_not_see_cannot_be_seen() -> None:
    def look(_: object) -> Seen:
        raise error("AccessDeniedException")

    one = run(line("a", look))
    one.judge()

    assert one.results["a"] == unseen("you may not look: GetItem: AccessDeniedException: no")


@pytest.mark.parametrize(
    "failure",
    [error("ThrottlingException"), BotoCoreError(), OperationFailedError("not now")],
    ids=lambda failure: type(failure).__name__,
)
def test_any_other_error_may_pass(failure: Exception) -> None:
    answers = iter([failure, None])

    def look(_: object) -> Seen:
        if raised := next(answers):
            raise raised
        return holds("x")

    one = run(line("a", look))
    one.judge()
    one.judge()

    assert one.results["a"] == holds("x")


@pytest.mark.parametrize(
    ("refused", "verdict"),
    [
        (error("AccessDenied"), Verdict.UNSEEN),
        (error("NoSuchBucket"), Verdict.DIFFERS),
        (OperationFailedError("uploads API: 500"), Verdict.DIFFERS),
    ],
)
def test_what_could_not_be_sent_is_the_senders_right_or_differs(
    refused: Exception, verdict: Verdict
) -> None:
    one = run(line("a", lambda _: holds("x"), needs=("a",)))
    one.sent.refused["a"] = refused

    one.judge()

    assert one.results["a"].verdict is verdict
    assert "could not be sent" in one.results["a"].text


def test_lines_are_chosen_by_name() -> None:
    lines = [line("a", lambda _: holds("x")), line("b", lambda _: holds("x"))]

    assert chosen(lines, []) == lines
    assert chosen(lines, ["b"]) == lines[1:]
    with pytest.raises(UsageError, match="there is no such line: take one of a, b"):
        chosen(lines, ["c"])
