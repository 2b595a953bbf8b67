"""The uploads API as a producer calls it: any HTTP client, and a signature of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.e2e.conftest import PATIENCE, Stack


@dataclass(frozen=True)
class UploadsApi:
    """The API at its URL, and who calls it."""

    url: str
    credentials: Credentials
    region: str

    @classmethod
    def of(cls, stack: Stack) -> UploadsApi:
        """The API of a deployed pipeline."""
        environment = stack.cloud.settings.client_environment()
        credentials = Credentials(
            environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
        )
        return cls(stack.outputs["UploadsApiUrl"], credentials, stack.cloud.settings.region)

    def post(self, document: Mapping[str, Any]) -> tuple[int, Any]:
        """Ask for an upload; status and answer."""
        return self._send("POST", "/uploads", json.dumps(document))

    def get(self, upload_id: str) -> tuple[int, Any]:
        """Ask for a download; status and answer."""
        return self._send("GET", f"/uploads/{upload_id}")

    def post_unsigned(self, document: Mapping[str, Any]) -> int:
        """Ask for an upload as nobody; the status."""
        response = urllib3.request(
            "POST",
            f"{self.url}/uploads",
            body=json.dumps(document),
            headers={"Content-Type": "application/json"},
            timeout=PATIENCE,
        )
        return response.status

    def _send(self, method: str, path: str, body: str = "") -> tuple[int, Any]:
        url = f"{self.url}{path}"
        headers = {"Content-Type": "application/json"}
        request = AWSRequest(method=method, url=url, data=body, headers=headers)
        SigV4Auth(self.credentials, "execute-api", self.region).add_auth(request)
        response = urllib3.request(
            method, url, body=body, headers=dict(request.headers.items()), timeout=PATIENCE
        )
        return response.status, json.loads(response.data)
