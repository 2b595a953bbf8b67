"""What the local cloud raises when it cannot do what was asked."""


class LocalCloudError(Exception):
    """One clear line for the person at the terminal: the input, the rule and the remedy."""
