"""What is known of executions is what the file has, and nobody changes it but by saving."""

from __future__ import annotations

import enum
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aws_durable_execution_sdk_python_testing.exceptions import ResourceNotFoundException
from aws_durable_execution_sdk_python_testing.execution import Execution
from aws_durable_execution_sdk_python_testing.model import StartDurableExecutionInput
from aws_durable_execution_sdk_python_testing.stores.sqlite import SQLiteExecutionStore

from localcloud import store as module
from localcloud.journal import Journal
from localcloud.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "executions")
    yield made
    made.close()


def started(name: str) -> Execution:
    start = StartDurableExecutionInput("0", "f", "1", name, 60, 7, invocation_id=name, input="{}")
    execution = Execution.new(start)
    execution.durable_execution_arn = name
    execution.start()
    return execution


def on_file(store: Store, arn: str) -> dict[str, Any]:
    """What another process reads."""
    with closing(sqlite3.connect(store.db_path)) as connection:
        (data,) = connection.execute(
            "SELECT data FROM executions WHERE durable_execution_arn = ?", [arn]
        ).fetchone()
    return dict(json.loads(data))


def test_what_is_loaded_is_the_callers_to_change(store: Store) -> None:
    store.save(started("a"))
    mine = store.load("a")
    mine.touch_operation("a")
    mine.complete_success("1")
    mine.updated_operation_ids.append("x")
    assert not store.load("a").is_complete
    assert store.load("a").updated_operation_ids == []
    assert store.load("a").operation_last_touched_seq == {}


def test_what_was_saved_does_not_change_with_the_callers(store: Store) -> None:
    mine = started("a")
    store.save(mine)
    mine.complete_success("1")
    assert not store.load("a").is_complete


def test_each_copy_has_all_that_an_execution_has_and_shares_only_what_cannot_change(
    store: Store,
) -> None:
    store.save(started("a"))
    one, other = vars(store.load("a")), vars(store.load("a"))
    assert one.keys() == vars(started("a")).keys()
    for name, value in one.items():
        fixed = value is None or isinstance(value, (str, int, enum.Enum))
        of_class = vars(type(value)).get("__dataclass_params__")
        assert fixed or (of_class and of_class.frozen) or value is not other[name], name


def test_what_is_saved_is_on_file_at_once(store: Store) -> None:
    execution = started("a")
    store.save(execution)
    assert not on_file(store, "a")["IsComplete"]
    execution.complete_success("1")
    store.save(execution)
    assert on_file(store, "a")["IsComplete"]
    assert Store(Path(store.db_path)).load("a").is_complete


def test_what_did_not_change_is_not_written_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(started("a"))
    written: list[str] = []
    monkeypatch.setattr(
        SQLiteExecutionStore, "save", lambda _, it: written.append(it.durable_execution_arn)
    )
    store.save(store.load("a"))
    assert written == []
    changed = store.load("a")
    changed.needs_reinvoke = True
    store.save(changed)
    assert written == ["a"]


def test_one_that_was_deleted_is_known_no_more(store: Store) -> None:
    journal = Journal(store)
    store.save(started("a"))
    journal.forget("a")
    with pytest.raises(ResourceNotFoundException):
        store.load("a")


def test_only_the_last_ones_are_known(store: Store) -> None:
    for number in range(3 * module._MOST_KNOWN):
        store.save(started(str(number)))
    assert len(store._known) == module._MOST_KNOWN
    assert store.load("0").durable_execution_arn == "0", "the file has them all"


def test_threads_share_one_connection(store: Store) -> None:
    def work(name: str) -> None:
        for count in range(20):
            execution = started(f"{name}-{count}")
            store.save(execution)
            execution.complete_success(None)
            store.save(execution)

    threads = [threading.Thread(target=work, args=[str(number)]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found, _ = store.query(status_filter="SUCCEEDED")
    assert len(found) == 8 * 20
