"""Fault injection for durable functions: in one process, and in deployed stages.

`harness` runs a durable handler with its stages in this process; `stages` and `durable` hold the
faults to put into it, and `pytest_plugin` makes it a fixture. `deployed` puts faults into the
stages of a SAM template. None of it touches the code under test, or knows whose it is.
`stage_contract` asks a function whether it may be a stage of the pipeline.
"""


class FaultsError(Exception):
    """The root of this package's own errors; an injected fault is never one."""


class UnknownStage(FaultsError):
    """A fault was meant for a stage that does not exist."""


class NotSucceeded(FaultsError):
    """An execution that was to succeed did not."""


class BrokenContract(FaultsError, AssertionError):
    """A function does not honour the contract of the stages."""


class NotWrappable(FaultsError):
    """A template's function cannot be given faults."""
