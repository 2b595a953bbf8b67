"""What botocore signs is taken, and nothing that differs from it by a character."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import boto3
import botocore.auth
import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from localcloud.credentials import Credentials
from localcloud.signatures import (
    Claim,
    RefusedError,
    Request,
    claim_of,
    sign,
    verify,
    verify_form,
)

ROOT = Credentials("LOCLROOT", "the secret")
SESSION = Credentials("ASIASESSION", "another secret", "its token/+==")
ENDPOINT = "http://127.0.0.1:4566"
REGION = "eu-central-2"

# No surrogates, which have no bytes; no control characters, which no client puts into a header.
text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
queries = st.dictionaries(
    text.filter(lambda n: n and not n.lower().startswith("x-amz-") and n != "AWSAccessKeyId"), text
)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
secrets = st.sampled_from([ROOT, SESSION])


@dataclass(frozen=True)
class Sent:
    """A request as it comes over the wire."""

    request: Request
    body: bytes

    @classmethod
    def of(cls, signed: AWSRequest, body: bytes) -> Sent:
        parts = urlsplit(str(signed.url))
        headers = {"Host": parts.netloc, **dict(signed.headers.items())}
        raw = [(name.encode(), str(value).encode()) for name, value in headers.items()]
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        return cls(Request.of(str(signed.method), target, raw), body)

    def with_headers(self, headers: Mapping[str, str]) -> Sent:
        return replace(self, request=replace(self.request, headers=headers))

    def check(self, credentials: Credentials) -> Claim:
        claim = claim_of(self.request)
        assert claim is not None
        assert claim.access_key == credentials.access_key
        verify(self.request, claim, credentials, self.body)
        return claim


def known(credentials: Credentials) -> ReadOnlyCredentials:
    """As botocore has them."""
    return ReadOnlyCredentials(credentials.access_key, credentials.secret_key, credentials.token)


def signed_by(
    auth: Any, method: str, path: str, query: Mapping[str, str], headers: Any, body: bytes
) -> Sent:
    pairs = "&".join(f"{quote(n, safe='~')}={quote(v, safe='~')}" for n, v in query.items())
    url = f"{ENDPOINT}{path}" + (f"?{pairs}" if pairs else "")
    request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
    auth.add_auth(request)
    return Sent.of(request, body)


@given(credentials=secrets, key=keys, query=queries, value=values, body=st.binary(max_size=50))
def test_s3_by_a_header(
    credentials: Credentials, key: str, query: dict[str, str], value: str, body: bytes
) -> None:
    path = f"/bucket/{quote(key, safe='/~')}"
    auth = S3SigV4Auth(known(credentials), "s3", REGION)
    sent = signed_by(auth, "PUT", path, query, {"x-amz-meta-note": value}, body)
    assert sent.check(credentials).service == "s3"


@given(credentials=secrets, key=keys, query=queries, value=values, body=st.binary(max_size=50))
def test_s3_by_a_presigned_url(
    credentials: Credentials, key: str, query: dict[str, str], value: str, body: bytes
) -> None:
    path = f"/bucket/{quote(key, safe='/~')}"
    auth = S3SigV4QueryAuth(known(credentials), "s3", REGION, expires=60)
    sent = signed_by(auth, "PUT", path, query, {"x-amz-meta-note": value}, b"")
    claim = replace(sent, body=body).check(credentials)
    assert claim.expires_seconds == 60


@given(credentials=secrets, key=keys, query=queries, body=st.binary(max_size=50))
def test_any_other_service_by_a_header(
    credentials: Credentials, key: str, query: dict[str, str], body: bytes
) -> None:
    path = f"/2015-03-31/functions/{quote(key, safe='~')}/invocations"
    auth = SigV4Auth(known(credentials), "lambda", REGION)
    headers = {"X-Amz-Invocation-Type": "Event"}
    signed_by(auth, "POST", path, query, headers, body).check(credentials)


@given(credentials=secrets, query=queries)
def test_any_other_service_by_a_presigned_url(
    credentials: Credentials, query: dict[str, str]
) -> None:
    auth = SigV4QueryAuth(known(credentials), "sts", REGION, expires=60)
    signed_by(auth, "GET", "/", query, {}, b"").check(credentials)


@given(
    credentials=secrets,
    path=st.lists(keys.map(lambda key: quote(key, safe="~")), min_size=1).map("/".join),
    query=queries,
    value=values,
    body=st.binary(max_size=50),
)
def test_what_is_signed_here_is_taken_here(
    credentials: Credentials, path: str, query: dict[str, str], value: str, body: bytes
) -> None:
    # As lax as the queries of other clients, which escape less than botocore.
    pairs = "&".join(f"{quote(n, safe='~:+/')}={quote(v, safe='~:+/')}" for n, v in query.items())
    url = f"{ENDPOINT}/{path}?{pairs}"
    given_headers = {"X-Amz-Client-Context": value, "Authorization": "of the client"}
    headers = sign(credentials, REGION, "PUT", url, given_headers, body)
    raw = {"Host": "127.0.0.1:4566", **headers}
    request = Request.of(
        "PUT", f"/{path}?{pairs}", [(n.encode(), v.encode()) for n, v in raw.items()]
    )
    Sent(request, body).check(credentials)


def test_a_path_of_s3_is_escaped_as_signatures_have_it() -> None:
    sent = signed_by(S3SigV4Auth(known(ROOT), "s3", REGION), "GET", "/b/%28a%29", {}, {}, b"")
    replace(sent, request=replace(sent.request, path="/b/(a)")).check(ROOT)


def a_request() -> Sent:
    headers = {"X-Amz-Target": "DynamoDB_20120810.GetItem"}
    auth = SigV4Auth(known(SESSION), "dynamodb", REGION)
    return signed_by(auth, "POST", "/a/b", {"q": "1"}, headers, b"{}")


def a_presigned_request() -> Sent:
    auth = S3SigV4QueryAuth(known(SESSION), "s3", REGION, expires=60)
    return signed_by(auth, "PUT", "/bucket/key", {}, {"x-amz-meta-note": "a"}, b"")


CHANGES: dict[str, Callable[[Sent], Sent]] = {
    "method": lambda s: replace(s, request=replace(s.request, method="GET")),
    "path": lambda s: replace(s, request=replace(s.request, path=f"{s.request.path}x")),
    "query": lambda s: replace(s, request=replace(s.request, query=f"{s.request.query}&a=b")),
    "host": lambda s: s.with_headers({**s.request.headers, "host": "127.0.0.1:4570"}),
    "signed header": lambda s: s.with_headers(
        {n: v if not n.startswith("x-amz-") else f"{v}1" for n, v in s.request.headers.items()}
    ),
    "header that means something": lambda s: s.with_headers(
        {**s.request.headers, "x-amz-acl": "public-read"}
    ),
}


@pytest.mark.parametrize("made", [a_request, a_presigned_request])
@pytest.mark.parametrize("change", CHANGES)
def test_one_change_and_it_is_refused(made: Callable[[], Sent], change: str) -> None:
    sent = made()
    sent.check(SESSION)
    with pytest.raises(RefusedError):
        CHANGES[change](sent).check(SESSION)


def test_another_body_is_refused() -> None:
    with pytest.raises(RefusedError, match="signature is not that of"):
        replace(a_request(), body=b"{ }").check(SESSION)


@pytest.mark.parametrize("made", [a_request, a_presigned_request])
@pytest.mark.parametrize("difference", [{"secret_key": "x"}, {"token": None}, {"token": "x"}])
def test_other_credentials_are_refused(made: Callable[[], Sent], difference: Any) -> None:
    with pytest.raises(RefusedError):
        made().check(replace(SESSION, **difference))


@pytest.mark.parametrize("body", [b"content", b""])
def test_a_body_of_s3_that_is_not_the_one_that_was_hashed_is_refused(body: bytes) -> None:
    sent = signed_by(S3SigV4Auth(known(ROOT), "s3", REGION), "PUT", "/bucket/key", {}, {}, b"other")
    with pytest.raises(RefusedError, match="not the body's hash"):
        replace(sent, body=body).check(ROOT)


def test_only_s3_takes_a_body_that_is_not_signed() -> None:
    for service, refused in (("s3", False), ("lambda", True)):
        headers = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}
        auth = SigV4Auth(known(ROOT), service, REGION)
        sent = signed_by(auth, "POST", "/bucket", {}, headers, b"")
        if refused:
            with pytest.raises(RefusedError):
                replace(sent, body=b"any").check(ROOT)
        else:
            replace(sent, body=b"any").check(ROOT)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Have botocore sign as if it were so much later."""

    def sign_at(later: timedelta) -> None:
        now = datetime.now(UTC).replace(tzinfo=None) + later
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: now)

    return sign_at


@pytest.mark.parametrize(
    ("minutes", "taken"), [(-14, True), (14, True), (-16, False), (16, False), (-99999, False)]
)
def test_a_header_holds_for_a_quarter_of_an_hour(
    at: Callable[[timedelta], None], minutes: int, taken: bool
) -> None:
    at(timedelta(minutes=minutes))
    assert_taken(a_request(), taken)


@pytest.mark.parametrize(
    ("seconds", "taken"), [(-50, True), (800, True), (-70, False), (1000, False)]
)
def test_a_presigned_url_holds_for_as_long_as_it_says(
    at: Callable[[timedelta], None], seconds: int, taken: bool
) -> None:
    at(timedelta(seconds=seconds))
    assert_taken(a_presigned_request(), taken)


def assert_taken(sent: Sent, taken: bool) -> None:
    if taken:
        sent.check(SESSION)
    else:
        with pytest.raises(RefusedError, match=r"expired|Signed at"):
            sent.check(SESSION)


@pytest.mark.parametrize("seconds", [0, 604_801])
def test_a_presigned_url_of_no_time_or_more_than_a_week_is_refused(seconds: int) -> None:
    auth = S3SigV4QueryAuth(known(ROOT), "s3", REGION, expires=seconds)
    with pytest.raises(RefusedError, match="X-Amz-Expires"):
        signed_by(auth, "GET", "/bucket/key", {}, {}, b"").check(ROOT)


WHOLE = a_request().request.headers["authorization"]


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer x",
        "Basic dGVzdDp0ZXN0",
        "AWS LOCLROOT:c2lnbmF0dXJl",
        WHOLE.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        WHOLE.replace("SignedHeaders=", "SignedHeader="),
        WHOLE.replace("/aws4_request", ""),
        WHOLE.replace("host;", ""),
        WHOLE[:-1],
        f"{WHOLE}, Credential=LOCLROOT/20260101/{REGION}/s3/aws4_request",
    ],
)
def test_what_is_no_whole_signature_is_refused(authorization: str) -> None:
    sent = a_request()
    with pytest.raises(RefusedError):
        sent.with_headers({**sent.request.headers, "authorization": authorization}).check(SESSION)


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Credential=LOCLROOT/20260101/eu-central-2/s3/aws4_request",
        "x-amz-credential=LOCLROOT/20260101/eu-central-2/s3/aws4_request",
        "X-Amz-Signature=0",
        "X%2DAmz-Algorithm=AWS4-HMAC-SHA256",
        "AWSAccessKeyId=LOCLROOT",
    ],
)
def test_nobody_signs_as_one_and_is_taken_for_another(query: str) -> None:
    # The session signs the query too, so that only the rule refuses it.
    name, _, value = query.partition("=")
    auth = SigV4Auth(known(SESSION), "iam", REGION)
    request = AWSRequest(method="POST", url=f"{ENDPOINT}/?{name}={quote(value)}", data=b"")
    auth.add_auth(request)
    with pytest.raises(RefusedError, match="Only one signature"):
        Sent.of(request, b"").check(SESSION)
    unsigned = Request("POST", "/", query, {"host": "127.0.0.1:4566"})
    with pytest.raises(RefusedError, match="no whole signature"):
        claim_of(unsigned)


def test_a_query_that_names_its_signer_twice_is_refused() -> None:
    sent = a_presigned_request()
    other = f"LOCLROOT%2F20260101%2F{REGION}%2Fs3%2Faws4_request"
    names = ("X-Amz-Credential", "x-amz-credential", "AWSAccessKeyId")
    for added in (f"{name}={other}" for name in names):
        query = f"{added}&{sent.request.query}"
        with pytest.raises(RefusedError, match="no whole signature"):
            claim_of(replace(sent.request, query=query))


def test_a_request_without_any_signature_claims_nothing() -> None:
    assert claim_of(Request("GET", "/", "list-type=2", {"host": "127.0.0.1:4566"})) is None


# What stock clients send, as they send it.


class Caught(Exception):
    def __init__(self, sent: Sent) -> None:
        super().__init__()
        self.sent = sent


def catch(request: Any, **_: Any) -> None:
    body = request.body.read() if hasattr(request.body, "read") else request.body or b""
    body = body.encode() if isinstance(body, str) else body
    headers = {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in request.headers.items()
    }
    parts = urlsplit(request.url)
    raw = [(n.encode(), v.encode()) for n, v in {"Host": parts.netloc, **headers}.items()]
    target = f"{parts.path or '/'}?{parts.query}"
    raise Caught(Sent(Request.of(request.method, target, raw), body))


ODD = "a b/ü+%20&=?#~'()*!$,:;@[]//../é.json"
CALLS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "put": ("s3", lambda c: c.put_object(Bucket="bucket", Key=ODD, Body=b"x", Tagging="a=b%20c")),
    "get": ("s3", lambda c: c.get_object(Bucket="bucket", Key=ODD, VersionId="1")),
    "list": ("s3", lambda c: c.list_objects_v2(Bucket="bucket", Prefix=ODD, Delimiter="/")),
    "buckets": ("s3", lambda c: c.list_buckets()),
    "send": ("sqs", lambda c: c.send_message(QueueUrl=f"{ENDPOINT}/0/q", MessageBody=ODD)),
    "publish": ("sns", lambda c: c.publish(TopicArn="arn:aws:sns:a:0:b", Message=ODD)),
    "roles": ("iam", lambda c: c.list_roles(PathPrefix="/a/")),
    "tags": ("lambda", lambda c: c.untag_resource(Resource="arn:a:b", TagKeys=["ü", "a b", "+"])),
    "invoke": ("lambda", lambda c: c.invoke(FunctionName="arn:f:1", Payload=b"{}")),
    "state": (
        "lambda",
        lambda c: c.get_durable_execution_state(
            DurableExecutionArn="arn:aws:lambda:r:0:function:f:1/durable-execution/a/b",
            CheckpointToken="t=/+",
        ),
    ),
    "item": ("dynamodb", lambda c: c.get_item(TableName="t", Key={"id": {"S": ODD}})),
    "metrics": ("cloudwatch", lambda c: c.list_metrics()),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("credentials", [ROOT, SESSION])
def test_what_boto3_sends_is_taken(call: str, credentials: Credentials) -> None:
    service, make = CALLS[call]
    client: Any = boto3.client(  # type: ignore[call-overload]  # one of several services
        service,
        endpoint_url=ENDPOINT,
        region_name=REGION,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.token,
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=1),
    )
    client.meta.events.register("before-send.*", catch)
    with pytest.raises(Caught) as caught:
        make(client)
    caught.value.sent.check(credentials)


# Forms


def form(credentials: Credentials, **changes: str) -> dict[str, str]:
    """The fields of a form that boto3 signs, by names in lower case."""
    client = boto3.client(
        "s3",
        endpoint_url=ENDPOINT,
        region_name=REGION,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.token,
    )
    fields = client.generate_presigned_post("bucket", "key")["fields"]
    return {name.lower(): value for name, value in fields.items()} | changes


def find(access_key: str) -> Credentials:
    return {ROOT.access_key: ROOT, SESSION.access_key: SESSION}[access_key]


@pytest.mark.parametrize("credentials", [ROOT, SESSION])
def test_a_form_that_boto3_signs_is_taken(credentials: Credentials) -> None:
    verify_form(form(credentials), find)


ALL_ALLOWED = base64.b64encode(json.dumps({"conditions": []}).encode()).decode()


@pytest.mark.parametrize(
    "changes",
    [
        {"policy": ALL_ALLOWED},
        {"policy": ""},
        {"x-amz-signature": "0" * 64},
        {"x-amz-signature": ""},
        {"x-amz-date": "20200101T000000Z"},
        {"x-amz-date": ""},
        {"x-amz-algorithm": "AWS"},
        {"x-amz-credential": "LOCLROOT"},
        {"x-amz-credential": f"LOCLROOT/20200101/{REGION}/s3/aws4_request"},
        {"x-amz-security-token": "x"},
    ],
)
def test_a_form_that_was_changed_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(RefusedError):
        verify_form(form(SESSION, **changes), find)


def test_a_form_without_a_signature_is_refused() -> None:
    with pytest.raises(RefusedError, match="no policy with a signature"):
        verify_form({"key": "a"}, find)
