"""AWS's runner as it is, but for the deployment, which is made before.

It is a program of its own, for the environment that AWS's package has.
"""

from __future__ import annotations

from aws_durable_execution_conformance_tests import app


class Deployed:
    """Takes the place of AWS's deployer, which calls `sam`."""

    def __init__(self, **_: object) -> None:
        pass

    def build(self) -> None:
        """Leave what is built."""

    def deploy(self, **_: object) -> None:
        """Leave what is deployed."""


app.Deployer = Deployed
app.run()
