"""The runner's store of executions: AWS's own on SQLite, kept open, and asked less.

AWS's opens the file anew for each read and write, and parses the whole of an execution each time.
Here one connection serves all threads, and what was last read or written is still known.
Nothing counts as written before it is committed to the file.
"""

from __future__ import annotations

import contextlib
import copy
import sqlite3
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from aws_durable_execution_sdk_python_testing.stores.sqlite import SQLiteExecutionStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aws_durable_execution_sdk_python_testing.execution import Execution

# Of executions, each of which may have 100 MB. More than run at once on a laptop.
_MOST_KNOWN = 32


class Store(SQLiteExecutionStore):
    """The executions in a file that only this process writes. Safe to use from several threads."""

    def __init__(self, db_path: Path) -> None:
        """The file need not be there, but its folder."""
        super().__init__(db_path)
        self._lock = threading.RLock()
        self._open: sqlite3.Connection | None = None
        self._known: OrderedDict[str, Execution] = OrderedDict()
        self._init_db()

    @contextlib.contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection, for one transaction: committed, or undone if an error is raised."""
        with self._lock:
            if self._open is None:
                self._open = sqlite3.connect(self.db_path, timeout=30.0, check_same_thread=False)
                self._open.execute("PRAGMA journal_mode = WAL")
                self._open.execute("PRAGMA synchronous = NORMAL")
            with self._open:
                yield self._open

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with self.connection() as connection:
            yield connection

    def close(self) -> None:
        """Close the file; whoever asks next opens it anew."""
        with self._lock:
            if self._open is not None:
                self._open.close()
                self._open = None

    def load(self, execution_arn: str) -> Execution:
        """Return the execution as it was last saved, for the caller to change."""
        with self._lock:
            known = self._known.get(execution_arn)
            if known is None:
                known = super().load(execution_arn)
            self._remember(known)
            return _twin(known)

    def save(self, execution: Execution) -> None:
        """Write the execution down, unless it is there as it is."""
        with self._lock:
            known = self._known.get(execution.durable_execution_arn)
            if known is not None and _content(known) == _content(execution):
                return
            super().save(execution)
            self._remember(_twin(execution))

    def forget(self, *arns: str) -> None:
        """Know executions no more that were deleted from the file."""
        with self._lock:
            for arn in arns:
                self._known.pop(arn, None)

    def used_bytes(self) -> int:
        """Return how much of the file is in use: it does not shrink when something is deleted."""
        with self.connection() as connection:
            pages, free, size = (
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
        return int((pages - free) * size)

    def _remember(self, execution: Execution) -> None:
        self._known[execution.durable_execution_arn] = execution
        self._known.move_to_end(execution.durable_execution_arn)
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)


def _content(execution: Execution) -> dict[str, object]:
    return {name: value for name, value in vars(execution).items() if name != "_state_lock"}


def _twin(execution: Execution) -> Execution:
    """Return a copy that shares nothing that can change: what is in its lists cannot."""
    twin = copy.copy(execution)
    twin._state_lock = threading.Lock()
    for name, value in vars(twin).items():
        if isinstance(value, (list, dict)):
            setattr(twin, name, value.copy())
    return twin
