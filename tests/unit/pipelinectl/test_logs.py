from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipelinectl import logs
from pipelinectl.aws import FUNCTION_ROLES
from pipelinectl.errors import NotFoundError
from pipelinectl.logs import LATE, FunctionLogs, LogEvent, Words

EPOCH = datetime.fromtimestamp(0, UTC)
HERE = {"store": "/here"}
BOTH = {"validate": "/there", "store": "/here"}


def at(second: float) -> datetime:
    return EPOCH + timedelta(seconds=second)


def entry(second: float, text: str = "", **more: Any) -> dict[str, Any]:
    message = text or f"line {second}"
    return {"eventId": message, "timestamp": int(second * 1000), "message": f"{message}\n", **more}


def error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": ""}}, "FilterLogEvents")


class MissingError(ClientError):
    def __init__(self) -> None:
        super().__init__({"Error": {"Code": "ResourceNotFoundException"}}, "FilterLogEvents")


class Cloud:
    """CloudWatch Logs with these events by group, which pages of `page` events tell.

    A pause is a second in which `later` arrive, by the second at which they do. `refusals` are
    raised, one a request, before anything is answered.
    """

    class exceptions:  # noqa: N801 - boto3's name
        ResourceNotFoundException = MissingError
        ClientError = ClientError

    def __init__(
        self,
        groups: Mapping[str, list[dict[str, Any]]],
        *,
        page: int = 2,
        now: float = 100,
        later: Mapping[float, list[dict[str, Any]]] | None = None,
        refusals: int = 0,
        tokens: bool = True,
    ) -> None:
        self.groups = {name: list(events) for name, events in groups.items()}
        self.page, self.now, self.later, self.tokens = page, now, dict(later or {}), tokens
        self.refusals, self.asked, self.pauses = refusals, list[dict[str, Any]](), list[float]()

    def filter_log_events(self, **options: Any) -> dict[str, Any]:
        self.asked.append(options)
        if self.refusals:
            self.refusals -= 1
            raise error("ThrottlingException")
        if options["logGroupName"] not in self.groups:
            raise MissingError
        first = int(options.get("nextToken", "0"))
        found = self._matching(options)
        headers = {"date": format_datetime(at(self.now), usegmt=True)}
        answer: dict[str, Any] = {
            "events": found[first : first + self.page],
            "ResponseMetadata": {"HTTPHeaders": headers},
        }
        if self.tokens and first + self.page < len(found):
            answer["nextToken"] = str(first + self.page)
        return answer

    def _matching(self, options: Mapping[str, Any]) -> list[dict[str, Any]]:
        word = options.get("filterPattern", "").strip('"')
        found = [
            event
            for event in self.groups[options["logGroupName"]]
            if options["startTime"] <= event["timestamp"] <= options.get("endTime", float("inf"))
            if word in event["message"]
        ]
        return sorted(found, key=lambda event: event["timestamp"])

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        for second in [one for one in self.later if one <= self.now]:
            self.groups["/here"] += self.later.pop(second)


def of(cloud: Cloud, groups: Mapping[str, str] = HERE, words: Words = Words()) -> FunctionLogs:  # noqa: B008 - it is frozen
    return FunctionLogs(cloud, groups, words, cloud.pause)  # type: ignore[arg-type]  # a fake of what it uses


def texts(events: Any, count: int | None = None) -> list[str]:
    return [event.text for event in itertools.islice(events, count)]


@pytest.mark.parametrize(
    ("function", "group"), [("store", "/aws/lambda/s-store"), ("other", "/aws/lambda/other")]
)
def test_functions_go_by_their_role_or_their_name(function: str, group: str) -> None:
    assert logs.groups("s", function) == {function: group}


def test_without_a_name_all_functions_are_meant() -> None:
    assert list(logs.groups("s")) == list(FUNCTION_ROLES)


def test_all_functions_are_told_of_in_the_order_of_time() -> None:
    cloud = Cloud({"/here": [entry(1), entry(3), entry(5)], "/there": [entry(2), entry(4)]})

    events = list(of(cloud, BOTH).lines(EPOCH))

    assert [(event.function, event.text) for event in events] == [
        ("store", "line 1"),
        ("validate", "line 2"),
        ("store", "line 3"),
        ("validate", "line 4"),
        ("store", "line 5"),
    ]
    assert events[0] == LogEvent(at(1), "store", "line 1", "line 1")


def test_since_and_until_are_asked_for() -> None:
    cloud = Cloud({"/here": [entry(n) for n in range(1, 6)]})

    assert texts(of(cloud).lines(at(2), until=at(4))) == ["line 2", "line 3", "line 4"]


def test_the_last_lines_come_oldest_first() -> None:
    cloud = Cloud({"/here": [entry(3), entry(1), entry(2)]})

    assert texts(of(cloud).lines(EPOCH, limit=2)) == ["line 2", "line 3"]


def test_a_page_is_asked_for_when_it_is_needed() -> None:
    cloud = Cloud({"/here": [entry(n) for n in range(1, 100)]})

    texts(of(cloud).lines(EPOCH), 3)

    assert len(cloud.asked) == 2


def test_a_cloud_that_ends_after_a_full_page_is_asked_for_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "_PAGE_EVENTS", 2)
    cloud = Cloud({"/here": [entry(1), entry(2), entry(3), entry(4, "a"), entry(5)]}, tokens=False)

    assert texts(of(cloud).lines(EPOCH)) == ["line 1", "line 2", "line 3", "a", "line 5"]


def test_a_full_page_of_one_time_does_not_end_the_asking_never(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "_PAGE_EVENTS", 2)
    cloud = Cloud({"/here": [entry(1, "a"), entry(1, "b"), entry(2, "c")]}, tokens=False)

    assert texts(of(cloud).lines(EPOCH)) == ["a", "b", "c"]


def test_following_gives_each_line_once_and_what_is_late_too() -> None:
    cloud = Cloud(
        {"/here": [entry(98)]},
        later={101: [entry(101)], 102: [entry(99), entry(102)], 103: [entry(100)]},
    )

    found = texts(of(cloud).lines(EPOCH, follow=True), 5)

    assert found == ["line 98", "line 101", "line 99", "line 102", "line 100"]


def test_following_reads_again_no_more_than_what_may_be_late() -> None:
    cloud = Cloud({"/here": [entry(1)]}, now=1000, later={1200: [entry(1200)]})

    texts(of(cloud).lines(EPOCH, follow=True), 2)

    starts = [options["startTime"] / 1000 for options in cloud.asked]
    assert starts[0] == 0
    assert starts[1] == 1000 - LATE.total_seconds()
    assert starts[-1] == pytest.approx(1199 - LATE.total_seconds(), abs=1)


def test_no_more_is_kept_in_mind_than_what_may_come_again() -> None:
    cloud = Cloud({"/here": [entry(n) for n in range(1, 1000)]}, now=1000, page=10_000)
    reading = logs._Reading(of(cloud), EPOCH)

    assert len(list(reading.lines())) == 999
    assert len(reading._seen) == LATE.total_seconds()


def test_lines_without_an_id_are_told_apart_by_what_they_say() -> None:
    bare = [{"timestamp": 99_000, "message": text} for text in ("a", "b", "c")]
    cloud = Cloud({"/here": bare[:1]}, later={101: bare[1:]}, page=10)

    assert texts(of(cloud).lines(EPOCH, follow=True), 3) == ["a", "b", "c"]


def test_groups_that_do_not_exist_are_passed_over() -> None:
    cloud = Cloud({"/here": [entry(1)]})

    assert texts(of(cloud, BOTH).lines(EPOCH)) == ["line 1"]


def test_functions_without_a_log_are_not_found() -> None:
    with pytest.raises(NotFoundError, match="/there"):
        list(of(Cloud({}), BOTH).lines(EPOCH))


def test_too_many_requests_are_waited_out_ever_longer() -> None:
    cloud = Cloud({"/here": [entry(1)]}, refusals=7)

    assert texts(of(cloud).lines(EPOCH)) == ["line 1"]
    assert cloud.pauses == [1, 2, 4, 8, 16, 30, 30]


def test_another_refusal_is_nothing_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = Cloud({"/here": []})

    def refuse(**_: Any) -> None:
        raise error("AccessDeniedException")

    monkeypatch.setattr(cloud, "filter_log_events", refuse)

    with pytest.raises(ClientError, match="AccessDenied"):
        list(of(cloud).lines(EPOCH))


def test_following_many_functions_makes_no_more_requests_a_second_than_an_account_may() -> None:
    cloud = Cloud({group: [] for group in logs.groups("s").values()}, later={})
    cloud.groups["/here"] = []
    cloud.later = {110: [entry(110)]}

    texts(of(cloud, logs.groups("s") | HERE).lines(EPOCH, follow=True), 1)

    a_round = len(logs.groups("s") | HERE)
    assert set(cloud.pauses) == {a_round / logs.REQUESTS_A_SECOND}


MESSAGE = "7f3c0000-1111-2222-3333-444455556666"


@pytest.mark.parametrize(
    ("words", "text", "stands"),
    [
        (Words(), "anything", True),
        (Words((MESSAGE,)), f'{{"message_ids": "a, {MESSAGE}"}}', True),
        (Words((MESSAGE,)), f'{{"message_ids": "{MESSAGE}0"}}', False),
        (Words(("till-1",)), '{"execution_id": "till-10"}', False),
        (Words(("till-1",)), '{"execution_id": "a-till-1"}', False),
        (Words(("a", "till-1")), '{"execution_id": "till-1"}', True),
        (Words(beginnings=("7f3c",)), f'{{"message_id": "{MESSAGE}"}}', True),
        (Words(beginnings=("3c00",)), f'{{"message_id": "{MESSAGE}"}}', False),
        (Words(("a+b (c)",)), "x a+b (c) y", True),
    ],
)
def test_an_id_is_found_whole(words: Words, text: str, stands: bool) -> None:
    assert words.stand_in(text) == stands


@pytest.mark.parametrize(
    ("words", "patterns"),
    [
        (Words(), [""]),
        (Words((MESSAGE, f"test-{MESSAGE}")), [f'"{MESSAGE}"']),
        (Words(("till-1", MESSAGE)), ['"till-1"', f'"{MESSAGE}"']),
        (Words(('say "x"', "a")), [""]),
        (Words(("two words",)), [""]),
        (Words(("back\\slash",)), [""]),
    ],
)
def test_cloudwatch_looks_for_what_it_can(words: Words, patterns: list[str]) -> None:
    assert list(words.patterns) == patterns


def test_a_line_that_several_words_find_comes_once() -> None:
    line = f"till-1 {MESSAGE}"
    cloud = Cloud({"/here": [entry(1, line), entry(2, "till-10"), entry(3, MESSAGE)]})

    found = texts(of(cloud, words=Words(("till-1", MESSAGE))).lines(EPOCH))

    assert found == [line, MESSAGE]
