"""What can go wrong with the injection itself."""


class FaultsError(Exception):
    """The root of this package's own errors; an injected fault is never one."""


class UnknownStage(FaultsError):  # noqa: N818 - reads as what it is
    """A fault was meant for a stage that there is not."""


class NotSucceeded(FaultsError):  # noqa: N818 - reads as what it is
    """An execution that was to succeed did not."""


class NotWrappable(FaultsError):  # noqa: N818 - reads as what it is
    """A template's function cannot be given faults."""
