"""What an execution may spend where something goes wrong, so that it never meets a quota of AWS's.

Lambda ends an execution that has come to 3,000 operations or to 100 MB of state, as a whole: its
reasons would be lost, and its messages back only after their visibility timeout. So what a healthy
execution needs is set aside, and the rest is divided among its parts, chunks or ranges, in advance:
they run at the same time, and a replay must come to the same decisions. A part that has used up its
share leaves its records failed, each with the reason of its last failure.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_OPERATIONS = 3000
MAX_STATE_BYTES = 100 * 1000 * 1000
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html#durable-execution-quotas

INVOKE = 1
WAIT = 1
CLOCK = 1
"""Operations of a chained invoke, of a pause before one, and of the look at the clock after one
that failed."""

SET_ASIDE_OPERATIONS = 60
"""The execution itself, the map, offloading, a file's plan and finish with their repetitions,
settling with all its steps."""

SET_ASIDE_BYTES = 20 * 1000 * 1000
"""The event, at most 6 MB and perhaps escaped, and the results of steps."""

LARGEST_SHARE = 140
"""Operations that one part may spend beyond what it needs, however few parts there are. Enough for
four poison records in a chunk of 100; beyond, the stage is broken rather than a record poisonous,
and what is not yet isolated comes back with the next delivery."""


@dataclass
class Budget:
    """Operations and bytes of state that one part of an execution may still spend."""

    operations: int
    state_bytes: int

    @classmethod
    def share(cls, parts: int, *, needed_operations: int, needed_bytes: int) -> Budget:
        """The share of each of ``parts``, beyond what they need if all goes well.

        Each needs ``needed_operations``; all together need ``needed_bytes``.
        """
        operations = (MAX_OPERATIONS - SET_ASIDE_OPERATIONS) // parts - needed_operations
        state_bytes = (MAX_STATE_BYTES - SET_ASIDE_BYTES - needed_bytes) // parts
        return cls(min(operations, LARGEST_SHARE), state_bytes)

    def take(self, operations: int, state_bytes: int) -> bool:
        """Whether so much more is allowed; if so it is taken. A replay takes the same."""
        if operations > self.operations or state_bytes > self.state_bytes:
            return False
        self.operations -= operations
        self.state_bytes -= state_bytes
        return True
