"""AWS's Signature Version 4: whose signature a request bears, whether it is right, how to sign.

The arithmetic is botocore's; a server does it with what a request says, and compares.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_from_bytes, unquote, unquote_to_bytes

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from localcloud.credentials import Credentials

_ALGORITHM = "AWS4-HMAC-SHA256"
_AUTHORIZATION = re.compile(
    rf"{_ALGORITHM}\s+Credential=(?P<credential>[^,\s]+),\s*"
    r"SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_CREDENTIAL = re.compile(
    r"(?P<key>[^/]+)/[0-9]{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request"
)
_SKEW = timedelta(minutes=15)
_MAX_EXPIRES_SECONDS = 7 * 24 * 3600
_HASH = "x-amz-content-sha256"
_UNSIGNED = "UNSIGNED-PAYLOAD"
# Bodies of S3 whose hash the signature leaves out: of unknown length, or signed chunk by chunk.
_NOT_HASHED = {
    _UNSIGNED,
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
}
_QUERY = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")
# The signature of the rest of the query, and so no part of what is signed.
_OF_THE_REST = "X-Amz-Signature"
_QUERY_NAMES = {*(f"X-Amz-{name}" for name in _QUERY), "X-Amz-Security-Token"}
# What some service could take for credentials, in whatever case.
_LIKE_CREDENTIALS = {*(name.lower() for name in _QUERY_NAMES), "awsaccesskeyid"}
_OWN_HEADERS = {"authorization", "host", "x-amz-date", "x-amz-security-token", _HASH}
_SERVICE = "localcloud"

Find = Callable[[str], Credentials]
"""Answers with the credentials of an access key; raises RefusedError if there are none."""


class RefusedError(Exception):
    """A request that is not let in: AWS's code for it, the HTTP status, and one clear line."""

    def __init__(self, code: str, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True)
class Request:
    """A request without its body. Path and query are as they were sent, with their escapes.

    The names of headers are in lower case; what came on several lines is joined by commas.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, method: str, target: str, headers: Iterable[tuple[bytes, bytes]]) -> Request:
        """Return the request that has these raw headers; `target` is its path and its query."""
        joined: dict[str, str] = {}
        for raw, value in headers:
            name, text = raw.decode("latin-1").lower(), _text(value)
            joined[name] = f"{joined[name]},{text}" if name in joined else text
        path, _, query = target.partition("?")
        return cls(method.upper(), path, query, joined)


@dataclass(frozen=True)
class Claim:
    """Who says to have signed a request, for what and when.

    `expires_seconds` is of a presigned URL, None where a header has the signature.
    """

    access_key: str
    time: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    token: str | None
    expires_seconds: int | None = None


def claim_of(request: Request) -> Claim | None:
    """Return what a request says of its signature, None if it has none.

    RefusedError is raised for more than one, for one of another kind, and for one out of its time.
    """
    authorization = request.headers.get("authorization")
    in_query = [(n, v) for n, v in _unescaped(request.query) if n.lower() in _LIKE_CREDENTIALS]
    if authorization is not None and in_query:
        raise RefusedError("InvalidRequest", "Only one signature is allowed: header or query.", 400)
    if authorization is not None:
        claim = _claim_of_header(authorization, request.headers)
    elif in_query:
        claim = _claim_of_query(in_query)
    else:
        return None
    _require_current(claim, datetime.now(UTC))
    _require_signed_headers(claim, request.headers)
    return claim


def verify(request: Request, claim: Claim, credentials: Credentials, body: bytes) -> None:
    """Raise RefusedError if the credentials did not sign the request with this body."""
    if not _same(claim.token or "", credentials.token or ""):
        raise RefusedError("InvalidToken", "The session's token is not that of its access key.")
    if not _same(claim.signature, _signature(request, claim, credentials, body)):
        raise RefusedError("SignatureDoesNotMatch", _mismatch(claim.access_key))


def verify_form(fields: Mapping[str, str], find: Find) -> None:
    """Raise RefusedError unless a form's policy is signed.

    `find` answers with the credentials of an access key. When the policy ends, and what it allows,
    S3 looks at.
    """
    match = _CREDENTIAL.fullmatch(fields.get("x-amz-credential", ""))
    if match is None or fields.get("x-amz-algorithm") != _ALGORITHM or not fields.get("policy"):
        raise RefusedError("AccessDenied", "The form has no policy with a signature of version 4.")
    time, token = fields.get("x-amz-date", ""), fields.get("x-amz-security-token")
    claim = _claim(match, time, (), fields.get("x-amz-signature", ""), token)
    credentials = find(claim.access_key)
    if not _same(claim.token or "", credentials.token or ""):
        raise RefusedError("InvalidToken", "The session's token is not that of its access key.")
    key = _signing_key(credentials.secret_key, time[:8], claim.region, claim.service)
    if not _same(claim.signature, _signed_by(key, fields["policy"])):
        raise RefusedError("SignatureDoesNotMatch", _mismatch(claim.access_key))


def sign(
    credentials: Credentials,
    region: str,
    method: str,
    url: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> dict[str, str]:
    """Return the headers of a request together with those that sign it.

    A signature that the headers bear already is left out. The URL's path is to be escaped.
    """
    kept = {n: v for n, v in (headers or {}).items() if n.lower() not in _OWN_HEADERS}
    base, _, query = url.partition("?")
    escaped = "&".join(f"{name}={value}" for name, value in _escaped_pairs(query))
    request = AWSRequest(method=method, url=f"{base}?{escaped}", headers=kept, data=body)
    SigV4Auth(_as_botocore_has(credentials), _SERVICE, region).add_auth(request)
    return dict(request.headers.items())


class _Signed(dict[str, str]):
    """The headers that are signed, as botocore asks for them."""

    def get_all(self, name: str) -> list[str]:
        return [self[name]]


class _Server(SigV4Auth):
    """Signs what a request says that its sender has signed."""

    def __init__(
        self, claim: Claim, credentials: Credentials, headers: Mapping[str, str], payload: str
    ) -> None:
        super().__init__(_as_botocore_has(credentials), claim.service, claim.region)
        self._scope = claim.time[:8], claim.region, claim.service
        self._signed = _Signed({name: headers.get(name, "") for name in claim.signed_headers})
        self._payload = payload

    def headers_to_sign(self, request: AWSRequest) -> Any:  # noqa: ARG002 - botocore's signature
        return self._signed

    def payload(self, request: AWSRequest) -> str:  # noqa: ARG002 - botocore's
        return self._payload

    def signature(self, string_to_sign: str, request: AWSRequest) -> str:  # noqa: ARG002 - botocore's
        # botocore derives the key anew each time, which is half of its work.
        key = _signing_key(self.credentials.secret_key, *self._scope)
        return _signed_by(key, string_to_sign)


class _S3Server(_Server):
    """Leaves paths as they are, which all other services escape once more."""

    def _normalize_url_path(self, path: str) -> str:
        return path


@functools.lru_cache(maxsize=256)
def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _signed_by(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()


def _as_botocore_has(credentials: Credentials) -> ReadOnlyCredentials:
    return ReadOnlyCredentials(credentials.access_key, credentials.secret_key, credentials.token)


def _signature(request: Request, claim: Claim, credentials: Credentials, body: bytes) -> str:
    payload = _payload(request, claim, body)
    in_s3 = claim.service == "s3"
    server = (_S3Server if in_s3 else _Server)(claim, credentials, request.headers, payload)
    path = _escaped(request.path, safe="/") if in_s3 else request.path
    query = "&".join(
        f"{name}={value}" for name, value in _escaped_pairs(request.query) if name != _OF_THE_REST
    )
    signed = AWSRequest(request.method, f"http://localhost{path}?{query}")
    signed.context["timestamp"] = claim.time
    return server.signature(server.string_to_sign(signed, server.canonical_request(signed)), signed)


def _payload(request: Request, claim: Claim, body: bytes) -> str:
    """Return what the signature covers of the body: its hash, or a word that it does not."""
    in_s3 = claim.service == "s3"
    presigned = in_s3 and claim.expires_seconds is not None
    stated = request.headers.get(_HASH, _UNSIGNED if presigned else None)
    if in_s3 and stated in _NOT_HASHED:
        return str(stated)
    actual = hashlib.sha256(body).hexdigest()
    if stated not in (None, actual):
        raise RefusedError("XAmzContentSHA256Mismatch", f"{_HASH} is not the body's hash.", 400)
    return actual


def _claim_of_header(authorization: str, headers: Mapping[str, str]) -> Claim:
    match = _AUTHORIZATION.fullmatch(authorization.strip())
    credential = match and _CREDENTIAL.fullmatch(match["credential"])
    if not match or not credential:
        raise _incomplete("Authorization")
    time, token = headers.get("x-amz-date", ""), headers.get("x-amz-security-token")
    return _claim(credential, time, match["headers"].split(";"), match["signature"], token)


def _claim_of_query(pairs: list[tuple[str, str]]) -> Claim:
    values = dict(pairs)
    needed = {f"X-Amz-{name}" for name in _QUERY}
    if len(values) != len(pairs) or not needed <= values.keys() <= _QUERY_NAMES:
        raise _incomplete("query")
    algorithm, credential, time, expires, headers, signature = (
        values[f"X-Amz-{name}"] for name in _QUERY
    )
    match = _CREDENTIAL.fullmatch(credential)
    if match is None or algorithm != _ALGORITHM or not re.fullmatch(r"[0-9]{1,7}", expires):
        raise _incomplete("query")
    token = values.get("X-Amz-Security-Token")
    return _claim(match, time, headers.split(";"), signature, token, int(expires))


def _claim(
    credential: re.Match[str],
    time: str,
    signed_headers: Iterable[str],
    signature: str,
    token: str | None,
    expires_seconds: int | None = None,
) -> Claim:
    if not re.fullmatch(r"[0-9]{8}T[0-9]{6}Z", time):
        raise RefusedError("IncompleteSignature", f"X-Amz-Date {time!r} is not its time.")
    return Claim(
        access_key=credential["key"],
        time=time,
        region=credential["region"],
        service=credential["service"],
        signed_headers=tuple(signed_headers),
        signature=signature,
        token=token,
        expires_seconds=expires_seconds,
    )


def _require_current(claim: Claim, now: datetime) -> None:
    try:
        signed = datetime.fromisoformat(claim.time)
    except ValueError as error:
        raise _incomplete("date") from error
    if claim.expires_seconds is None:
        if abs(now - signed) > _SKEW:
            raise RefusedError("RequestTimeTooSkewed", f"Signed at {claim.time}; it is {now}.")
        return
    if not 0 < claim.expires_seconds <= _MAX_EXPIRES_SECONDS:
        raise RefusedError(
            "AuthorizationQueryParametersError", "X-Amz-Expires is 1 to 604800.", 400
        )
    if not -_SKEW <= now - signed <= timedelta(seconds=claim.expires_seconds):
        raise RefusedError("AccessDenied", "Request has expired")


def _require_signed_headers(claim: Claim, headers: Mapping[str, str]) -> None:
    """Refuse headers that mean something and could have been added to a signed request."""
    meant = {"host", *(name for name in headers if name.startswith("x-amz-"))}
    if left_out := sorted(meant - set(claim.signed_headers)):
        raise RefusedError("AccessDenied", f"Headers are not signed: {', '.join(left_out)}.")


def _incomplete(where: str) -> RefusedError:
    return RefusedError(
        "IncompleteSignature", f"The {where} has no whole signature of version 4 ({_ALGORITHM})."
    )


def _mismatch(access_key: str) -> str:
    return f"The signature is not that of {access_key}: its secret, or what was signed, differs."


def _pairs(query: str) -> list[tuple[str, str]]:
    split = (pair.partition("=") for pair in query.split("&") if pair)
    return [(name, value) for name, _, value in split]


def _unescaped(query: str) -> list[tuple[str, str]]:
    return [(unquote(name), unquote(value)) for name, value in _pairs(query)]


def _escaped_pairs(query: str) -> list[tuple[str, str]]:
    return [(_escaped(name), _escaped(value)) for name, value in _pairs(query)]


def _escaped(text: str, safe: str = "") -> str:
    """Escape a text, which has escapes or not, the one way that signatures know."""
    return quote_from_bytes(unquote_to_bytes(text), safe=f"{safe}-_.~")


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
