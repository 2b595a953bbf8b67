"""Lambda's Invoke, which csv_file calls itself for a file's rows."""

from __future__ import annotations

import io
import json
from typing import Any

from faults.stage_contract import Context
from tests.integration.conftest import Pipeline

IN_TIME: Any = Context(seconds=300)


class FakeLambda:
    """Invokes the pipeline's own stages, those of these ``names`` and no other function."""

    def __init__(self, pipeline: Pipeline, *names: str) -> None:
        self.stages = {name: pipeline._stage(name) for name in names}

    def invoke(self, FunctionName: str, Payload: bytes) -> Any:
        try:
            answer = self.stages[FunctionName](json.loads(Payload), IN_TIME)
        except Exception as error:  # as Lambda answers what a handler raises
            told = {"errorType": type(error).__qualname__, "errorMessage": str(error)}
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(json.dumps(told).encode())}
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}
