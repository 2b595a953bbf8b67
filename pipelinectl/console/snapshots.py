"""What takes longer to ask for than a page may take, as it was when it was last asked for."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Generic, TypeVar

from pipelinectl import errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelinectl.dead_letters import DeadLetterQueue, Letters

T = TypeVar("T")

FIRST_WAIT_SECONDS = 0.15
"""How long a page waits for the first answer; what is not there by then follows."""

DEFECT = "a defect of the console: its terminal has the details"

# Asking takes at most so large a share of the time: a reader hides dead letters from all others.
_SHARE = 10


@dataclass(frozen=True)
class Seen(Generic[T]):
    """What was found and when; `failure` is why asking again failed, `asking` whether one is."""

    value: T | None = None
    at: datetime | None = None
    asking: bool = False
    failure: Exception | None = None

    @property
    def failure_again(self) -> Exception | None:
        """The failure, to be raised: as often as somebody looks, it gets no longer by it."""
        return self.failure and self.failure.with_traceback(None)

    @property
    def error(self) -> str:
        """The failure as a sentence; of a defect its traceback is in the terminal."""
        if self.failure is None:
            return ""
        if isinstance(self.failure, errors.expected()):
            return errors.explain(self.failure).line
        return DEFECT


@dataclass
class Snapshot(Generic[T]):
    """Asks in a thread of its own, when somebody looks and the last answer is `seconds` old.

    `ask` is given a function that says whether it is to stop. `stale` says that there is news,
    and is asked no more often than every `soonest` seconds.
    """

    ask: Callable[[Callable[[], bool]], T]
    seconds: float
    stale: Callable[[T], bool] | None = None
    soonest: float = 5.0
    clock: Callable[[], float] = time.monotonic
    _seen: Seen[T] = field(default_factory=Seen)
    _asked_at: float = float("-inf")
    _took: float = 0.0
    _thread: threading.Thread | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def look(self, wait_seconds: float = FIRST_WAIT_SECONDS) -> Seen[T]:
        """The last answer; begins to ask for a newer one where it is old."""
        if self._is_old():
            self.refresh()
        if self._seen.value is None and (thread := self._thread):
            thread.join(wait_seconds)
        seen = self._seen
        return replace(seen, asking=self._is_asking())

    def refresh(self) -> None:
        """Begin to ask, unless somebody does."""
        with self._lock:
            if self._is_asking() or self._stopping.is_set():
                return
            self._asked_at = self.clock()
            thread = threading.Thread(target=self._work, name="snapshot", daemon=True)
            thread.start()  # before others see it: only then can it be waited for
            self._thread = thread

    def correct(self, change: Callable[[T], T]) -> None:
        """Put right what is known to be so, until it is asked for again."""
        with self._lock:
            if self._seen.value is not None:
                self._seen = Seen(change(self._seen.value), self._seen.at)

    def stop(self, seconds: float) -> None:
        """Let nobody ask any more, and wait so long for one that does."""
        self._stopping.set()
        if thread := self._thread:
            thread.join(seconds)

    def _is_asking(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _is_old(self) -> bool:
        since = self.clock() - self._asked_at
        if since < max(self.soonest, _SHARE * self._took):
            return False
        if since >= self.seconds or self._seen.value is None:
            return True
        return self.stale is not None and self.stale(self._seen.value)

    def _work(self) -> None:
        began = self.clock()
        try:
            self._put(Seen(self.ask(self._stopping.is_set), datetime.now(UTC)))
        except errors.expected() as error:
            self._put(replace(self._seen, failure=error))
        except Exception as error:  # a defect: told to who waits, and its traceback to the terminal
            self._put(replace(self._seen, failure=error))
            raise
        finally:
            self._took = self.clock() - began

    def _put(self, seen: Seen[T]) -> None:
        with self._lock:
            self._seen = seen


_LETTERS_SECONDS = 60.0


def letters_of(queue: Callable[[], DeadLetterQueue], held: threading.Lock) -> Snapshot[Letters]:
    """A snapshot of a dead-letter queue; whoever has `held` may receive from it."""

    def ask(stopping: Callable[[], bool]) -> Letters:
        with held:
            return queue().read(stopping)

    def stale(known: Letters) -> bool:
        return known.complete and queue().about() != len(known.letters)

    return Snapshot(ask, _LETTERS_SECONDS, stale)
