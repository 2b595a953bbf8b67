"""Which records are taken through the pipeline again, and what is said of it."""

from __future__ import annotations

import errno
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from pipelinectl.commands.reprocess import Changes
from pipelinectl.reprocess import Change, Kept, Waiting
from tests.integration.pipelinectl.conftest import Deployed
from tests.integration.pipelinectl.giving_up import known_of


def store(
    deployed: Deployed, key: str, stored_at: str = "2026-03-01T12:00:00.000000Z", **more: Any
) -> None:
    item = {
        "execution_id": key,
        "message_id": f"m-{key}",
        "sent_timestamp": 7,
        "data_source": "SHOP",
        "processing_type": "order",
        "original_data": {"of": key},
        "transformed_data": {"of": key},
        "stored_at": stored_at,
    }
    deployed.table.put_item(Item=item | more)


@pytest.fixture
def stored(deployed: Deployed) -> Deployed:
    store(deployed, "a")
    store(deployed, "test-b", data_source="TILL")
    store(deployed, "c", processing_type="standard")
    store(deployed, "d", stored_at="2026-03-02T12:00:00.000000Z", message_group_id="tenant-7")
    return deployed


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["--all"], ["a", "c", "d", "test-b"]),
        (["a", "b"], ["a", "test-b"]),
        (["--source", "TILL"], ["test-b"]),
        (["--type", "standard"], ["c"]),
        (["--type", "order", "--source", "SHOP"], ["a", "d"]),
        (["--group", "tenant-7"], ["d"]),
        (["--since", "2026-03-02T00:00:00+00:00"], ["d"]),
        (["--until", "2026-03-02T00:00:00+00:00", "--type", "order"], ["a", "test-b"]),
        (
            ["--since", "2026-03-01T13:00:00+01:00", "--until", "2026-03-01T13:00:01+01:00"],
            ["a", "c", "test-b"],
        ),
        (["--since", "2030-01-01"], []),
        (["--all", "--since", "2026-03-02T00:00:00+00:00"], ["d"]),
        (["d", "b", "--until", "2026-03-02T00:00:00+00:00"], ["test-b"]),
    ],
)
def test_records_are_chosen_by_key_source_type_and_when_they_were_stored(
    stored: Deployed, arguments: list[str], keys: list[str]
) -> None:
    would = stored.run("reprocess", *arguments, "--dry-run", "--json").json
    assert sorted(would["would_send"]) == keys
    assert stored.again() == []
    assert stored.lines == []

    done = stored.run("reprocess", *arguments, "--json").json

    assert sorted(one["execution_id"] for one in done["sent"]) == keys
    known = {known_of(message)["execution_id"]: message for message in stored.again()}
    assert sorted(known) == keys
    assert all(json.loads(m["Body"]) == {"of": key} for key, m in known.items())


def test_a_record_goes_with_what_is_known_of_it(stored: Deployed) -> None:
    stored.run("reprocess", "a", "--note", "VAT was wrong")

    (message,) = stored.again()
    assert known_of(message) == {
        "execution_id": "a",
        "sent_timestamp": 7,
        "door": "messages",
        "replaces": "2026-03-01T12:00:00.000000Z",
    }
    before, after = stored.lines
    assert (before["execution_id"], before["note"]) == ("a", "VAT was wrong")
    assert (before["original_message_id"], after["new_message_id"]) == ("m-a", message["MessageId"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say which records"),
        (["a", "--all"], "say which records"),
        (["a", "--source", "SHOP"], "say which records"),
        (["--all", "--type", "order"], "say which records"),
        (["--since", "yesterday"], "--since 'yesterday' is no time"),
        (["--all", "--rate", "0"], "--rate"),
    ],
)
def test_wrong_usage_is_2_and_sends_nothing(
    stored: Deployed, arguments: list[str], said: str
) -> None:
    done = stored.run("reprocess", *arguments)

    assert done.exit_code == 2
    assert said in done.stderr
    assert stored.again() == []


def test_an_id_without_an_item_sends_none(stored: Deployed) -> None:
    done = stored.run("reprocess", "a", "nobody")

    assert done.exit_code == 1
    assert "no item 'nobody'" in done.stderr
    assert stored.again() == []


def test_what_is_not_sent_is_told_by_its_reason(deployed: Deployed) -> None:
    gone = {"bucket": "test-output", "key": "payloads/x/original.json"}
    for key in ("a", "b"):
        store(deployed, key, original_data_pointer=gone)

    done = deployed.run("reprocess", "--all")

    assert done.exit_code == 0
    assert done.stdout == "sent 0 of 2 records\n"
    assert "not sent: a, and 1 more" in done.stderr.replace("not sent: b", "not sent: a")
    assert "is gone, or was overwritten" in done.stderr


def test_what_is_named_and_not_sent_ends_it_with_1_after_the_output(deployed: Deployed) -> None:
    store(deployed, "a", original_data_pointer={"bucket": "test-output", "key": "gone"})

    done = deployed.run("reprocess", "a")
    told = deployed.run("reprocess", "a", "--json")

    assert (done.exit_code, done.stdout) == (1, "sent 0 of 1 record\n")
    assert "1 record not sent, of those that were named" in done.stderr
    assert told.exit_code == 1
    assert [one["execution_id"] for one in told.json["skipped"]] == ["a"]


def test_an_interrupt_while_it_waits_says_what_was_sent(
    stored: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> Iterator[Change]:
        yield Change("a", "unchanged")
        raise KeyboardInterrupt

    monkeypatch.setattr(Waiting, "changes", interrupted)

    done = stored.run("reprocess", "a", "c", "--wait")
    told = stored.run("reprocess", "a", "c", "--wait", "--json")

    assert (done.exit_code, told.exit_code) == (130, 130)
    assert done.stdout.startswith("sent 2 of 2 records\n")
    assert "1  unchanged" in done.stdout
    assert "interrupted: 1 record not waited for any longer; they go on" in done.stderr
    assert [one["execution_id"] for one in told.json["sent"]] == ["a", "c"]
    assert [one["execution_id"] for one in told.json["changes"]] == ["a"]


@pytest.mark.parametrize("chosen", [[], ["--all"], ["--type", "order"], ["a", "c", "d", "b"]])
def test_an_interrupted_run_says_how_to_go_on_and_leaves_out_what_is_done(
    stored: Deployed, monkeypatch: pytest.MonkeyPatch, chosen: list[str]
) -> None:
    from pipelinectl.reprocess import Reprocess

    def interrupted(plan: Reprocess, _: Any) -> Any:
        yield from Reprocess._send_all(plan, plan.items.some(["a"]))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Reprocess, "run", interrupted)
        done = stored.run("reprocess", *(chosen or ["--until", "2100-01-01"]))

    assert done.exit_code == 130
    assert f"sent 1 of {3 if 'order' in chosen else 4} records" in done.stderr
    until = done.stderr.partition("--until ")[2].split()[0]
    store(stored, "a", stored_at="2999-01-01T00:00:00.000000Z")  # as the stages do
    again = stored.run("reprocess", *chosen, "--until", until, "--dry-run", "--json").json
    left = ["d", "test-b"] if "order" in chosen else ["c", "d", "test-b"]
    assert sorted(again["would_send"]) == left


def test_what_changed_is_told_by_field_with_an_example(
    stored: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = [
        Change("a", "changed", {"total": (1, 2), "vat": ("(none)", 7)}),
        Change("c", "changed", {"total": (3, 4)}),
        Change("d", "unchanged"),
    ]
    monkeypatch.setattr(Waiting, "changes", lambda *_: iter(changes))

    shown = stored.run("reprocess", "--all", "--wait")
    told = stored.run("reprocess", "--all", "--wait", "--json").json

    assert shown.exit_code == 0
    for words in ("2  changed", "1  unchanged", "total in 2 records", "a: 1 → 2", "a: (none) → 7"):
        assert words in shown.stdout
    assert told["changes"][1] == {
        "execution_id": "c",
        "what": "changed",
        "fields": {"total": {"before": 3, "after": 4}},
        "reason": None,
    }


@pytest.mark.parametrize("what", ["dead letter", "waiting"])
def test_records_that_were_not_stored_anew_end_it_with_1(
    stored: Deployed, monkeypatch: pytest.MonkeyPatch, what: Any
) -> None:
    changes = [Change("a", what, reason="ValidationError: no")]
    monkeypatch.setattr(Waiting, "changes", lambda *_: iter(changes))

    done = stored.run("reprocess", "a", "--wait")

    assert done.exit_code == 1
    assert f"1 {what}: see 'pipelinectl record ID'" in done.stderr
    assert "a: ValidationError: no" in done.stdout


def test_memory_holds_no_more_of_what_is_compared_however_much_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipelinectl.reprocess._IN_MEMORY_BYTES", 1000)
    texts = [f"{number}" * 500 + "ä" for number in range(50)]
    tracemalloc.start()
    try:
        with Kept() as kept:
            given = [kept.put(text) for text in texts]
            large = [kept.put("x" * 100_000) for _ in range(100)]

            assert [one() for one in given] == texts
            assert large[-1]() == "x" * 100_000
            assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


def test_of_what_changed_only_one_example_of_each_field_is_kept_unless_all_are_printed() -> None:
    counted, every = Changes(every=False), Changes(every=True)
    for number in range(1000):
        change = Change(f"r-{number}", "changed", {"total": ("x" * 1000, number)})
        counted.add(change)
        every.add(change)

    assert (counted.outcomes, counted.fields) == ({"changed": 1000}, {"total": 1000})
    assert (len(counted.all), len(counted.examples), len(every.all)) == (0, 1, 1000)
    assert len(counted.examples["total"]) < 200


def test_what_has_no_room_to_be_compared_is_not_sent_and_it_says_what_to_do(
    stored: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pipelinectl.reprocess.SpooledTemporaryFile.write", full)

    done = stored.run("reprocess", "a", "--wait")

    assert done.exit_code == 1
    assert "No space left on device): name a folder that has with TMPDIR" in done.stderr
    assert (stored.again(), stored.lines) == ([], [])


def test_a_record_goes_again_in_the_group_that_it_was_sent_in(deployed: Deployed) -> None:
    store(deployed, "a", message_group_id="tenant-7")
    store(deployed, "b")

    deployed.run("reprocess", "--all")

    sent = {known_of(m)["execution_id"]: m.get("Attributes", {}) for m in deployed.again()}
    assert sent == {"a": {"MessageGroupId": "tenant-7"}, "b": {}}
