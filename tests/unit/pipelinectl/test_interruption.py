import os
import signal
import threading

import pytest

from pipelinectl.redrive import held_back


def interrupted(times: int) -> list[str]:
    """What a block came to that is interrupted so often."""
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        work(done, times)
    return done


def work(done: list[str], times: int) -> None:
    with held_back():
        done.append("begun")
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
        done.append("rest")


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    assert interrupted(times=1) == ["begun", "rest"]


def test_a_second_interrupt_does_not_wait() -> None:
    assert interrupted(times=2) == ["begun"]


def test_afterwards_interrupts_are_as_they_were() -> None:
    before = signal.getsignal(signal.SIGINT)

    with held_back():
        pass

    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_may_use_it() -> None:
    done: list[str] = []

    thread = threading.Thread(target=work, args=(done, 0))
    thread.start()
    thread.join()

    assert done == ["begun", "rest"]
