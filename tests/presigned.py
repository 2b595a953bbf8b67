"""What S3 checks of a request with a presigned URL, written down from its documentation.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, urlsplit


def refusal(
    method: str,
    url: str,
    headers: Mapping[str, str],
    *,
    secret_key: str,
    now: datetime | None = None,
) -> str | None:
    """Why S3 refuses the request, as the code of its answer; None where it does not.

    ``headers`` are all that the request has, but for the host's, which is the URL's.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    sent = {name.lower(): value for name, value in headers.items()} | {"host": parts.netloc}
    signed = query["X-Amz-SignedHeaders"].split(";")
    began = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if (now or datetime.now(UTC)) >= began + timedelta(seconds=int(query["X-Amz-Expires"])):
        return "AccessDenied"
    if any(name.startswith("x-amz-") and name not in signed for name in sent):
        return "AccessDenied"
    signature = query.pop("X-Amz-Signature")
    canonical = _canonical(method, parts.path, query, {name: sent.get(name, "") for name in signed})
    expected = _signature(canonical, query, secret_key)
    return None if hmac.compare_digest(signature, expected) else "SignatureDoesNotMatch"


def _canonical(method: str, path: str, query: Mapping[str, str], signed: Mapping[str, str]) -> str:
    parameters = "&".join(
        f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(query.items())
    )
    lines = [f"{name}:{' '.join(value.split())}" for name, value in sorted(signed.items())]
    names = ";".join(sorted(signed))
    return "\n".join([method, path, parameters, *lines, "", names, "UNSIGNED-PAYLOAD"])


def _signature(canonical: str, query: Mapping[str, str], secret_key: str) -> str:
    _, day, region, service, terminator = query["X-Amz-Credential"].split("/")
    scope = f"{day}/{region}/{service}/{terminator}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", query["X-Amz-Date"], scope, digest])
    key = f"AWS4{secret_key}".encode()
    for part in (day, region, service, terminator):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
