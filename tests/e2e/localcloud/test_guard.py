"""Nobody gets in but who has the cloud's credentials; those who have, with any stock client."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import subprocess
import sys
import urllib.parse
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import urllib3
from botocore.auth import S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError

from localcloud import processes, signatures
from localcloud.credentials import Credentials
from localcloud.supervisor import SERVICE_NAMES, all_services
from tests.e2e.localcloud.support import SECONDS, STACK, Cloud, processes_of

PAGE = "https://page.example"
FUNCTION = f"{STACK}-chain"
TEST = ReadOnlyCredentials("test", "test", None)
JSON = {"Content-Type": "text/plain"}  # a page may send it without asking first
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Attack:
    """A request as a page in the browser, or another account of the machine, can send it.

    It is signed in its query by `signer` for `service`, if there is one.
    """

    method: str = "GET"
    target: str = "/"
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    signer: ReadOnlyCredentials | None = None
    service: str = "iam"

    def send(self, port: int) -> urllib3.BaseHTTPResponse:
        url = f"http://127.0.0.1:{port}{self.target}"
        if self.signer:
            auth = S3SigV4QueryAuth if self.service == "s3" else SigV4QueryAuth
            # A page cannot have the browser send another Host; it is signed as it comes.
            request = AWSRequest(self.method, url, headers={"Host": f"127.0.0.1:{port}"})
            auth(self.signer, self.service, "eu-central-2", expires=600).add_auth(request)
            url = str(request.url)
        return urllib3.request(
            self.method,
            url,
            body=self.body,
            headers=dict(self.headers),
            timeout=SECONDS,
            retries=False,
            redirect=False,
        )


def of_a_page(**attack: Any) -> Attack:
    """A request that a browser sends for a page with no preflight; the page is named."""
    return Attack(**attack | {"headers": {"Origin": PAGE} | attack.get("headers", {})})


ROLES: dict[str, Any] = {
    "method": "POST",
    "body": b"Action=ListRoles&Version=2010-05-08",
    "headers": FORM,
}
CREATE = json.dumps(
    {
        "FunctionName": "evil",
        "Runtime": "python3.14",
        "Role": "arn:aws:iam::000000000000:role/evil",
        "Handler": "evil.handler",
        "Code": {"ZipFile": "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA=="},
    }
).encode()
FUNCTIONS = "/2015-03-31/functions"
START = {"FunctionName": FUNCTION, "ExecutionName": "evil", "Input": "{}"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}
UNSIGNED_FORM = (
    b'--x\r\nContent-Disposition: form-data; name="key"\r\n\r\nevil\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nevil\r\n--x--\r\n'
)


def as_test(**attack: Any) -> dict[str, Attack]:
    """By the credentials that everybody knows: with a page's Origin, without, and unsigned."""
    return {
        " of a page": of_a_page(**attack, signer=TEST),
        "": Attack(**attack, signer=TEST),
        " unsigned": Attack(**attack),
        " of an account's number": Attack(
            **attack, signer=ReadOnlyCredentials("000000000000", "test", None)
        ),
    }


def named(name: str, attacks: Mapping[str, Attack]) -> dict[str, Attack]:
    return {f"{name}{how}": attack for how, attack in attacks.items()}


ATTACKS = {
    **named("list roles", as_test(**ROLES)),
    **named(
        "create a function",
        as_test(method="POST", target=FUNCTIONS, body=CREATE, headers=JSON, service="lambda"),
    ),
    **named(
        "invoke a function",
        as_test(
            method="POST",
            target=f"{FUNCTIONS}/{FUNCTION}/invocations",
            body=b"{}",
            headers=JSON,
            service="lambda",
        ),
    ),
    **named("list buckets", as_test(service="s3")),
    **named("list functions", as_test(target=FUNCTIONS, service="lambda")),
    **{
        f"{method} {path}": Attack(method, path)
        for method in ("GET", "POST", "HEAD", "OPTIONS")
        for path in (
            "/",
            "/health",
            "/metrics",
            "/_ministack/health",
            "/_ministack/ready",
            "/_ministack/reset",
            "/_ministack/config",
            "/_ministack/lambda-code/x",
            "/_localstack/health",
            "/_aws/sqs/messages",
            "/_aws/execute-api/x/y",
            "/_localcloud/health",
            "/_localcloud/credentials/test",
            f"/_localcloud/functions/{FUNCTION}/trigger",
        )
    },
    "start an execution": Attack(
        "POST", "/start-durable-execution", json.dumps(START).encode(), JSON
    ),
    "trigger an execution": of_a_page(
        method="POST", target=f"/_localcloud/functions/{FUNCTION}/trigger", body=b"{}"
    ),
    "upload a form": Attack("POST", "/localcloud-artifacts", UNSIGNED_FORM, MULTIPART),
    "put an object": Attack("PUT", "/localcloud-artifacts/evil", b"evil"),
    "ask beforehand": of_a_page(
        method="OPTIONS",
        target="/localcloud-artifacts/evil",
        headers={"Access-Control-Request-Method": "PUT"},
    ),
    "open a web socket": of_a_page(
        headers={
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
    ),
    "sign in the old way": Attack(target="/?AWSAccessKeyId=test&Signature=x&Expires=9999999999"),
    "take over a name": Attack(headers={"Host": "page.example"}),
    "sign in by a password": Attack(headers={"Authorization": "Basic dGVzdDp0ZXN0"}),
    "assume a role without credentials": Attack(
        "POST",
        body=b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=x&"
        b"RoleArn=arn:aws:iam::000000000000:role/x&WebIdentityToken=x",
        headers=FORM,
    ),
}


def port_of(cloud: Cloud, name: str) -> int:
    (port,) = [s.port for s in all_services(cloud.settings, {}) if s.name == name]
    return port


def refused(response: urllib3.BaseHTTPResponse) -> bool:
    shown = [name for name in response.headers if name.lower().startswith("access-control-")]
    return response.status == 403 and not shown


def test_what_listens_is_what_is_attacked_here(cloud: Cloud) -> None:
    listening = {
        connection.laddr.port
        for process in processes_of(cloud.settings)
        for connection in process.net_connections("all")
        if connection.status == psutil.CONN_LISTEN and connection.laddr
    }
    assert listening == {port_of(cloud, name) for name in SERVICE_NAMES}


@pytest.mark.parametrize("name", SERVICE_NAMES)
def test_a_page_in_the_browser_and_another_account_get_nothing(cloud: Cloud, name: str) -> None:
    before = everything(cloud)
    port = port_of(cloud, name)
    let_in = [attack for attack, request in ATTACKS.items() if not refused(request.send(port))]
    assert let_in == []
    assert everything(cloud) == before


def everything(cloud: Cloud) -> Any:
    """What an attack would have changed."""
    functions = cloud.client("lambda").list_functions()["Functions"]
    executions = cloud.client("lambda").list_durable_executions_by_function(FunctionName=FUNCTION)
    objects = cloud.client("s3").list_objects_v2(Bucket="localcloud-artifacts")["Contents"]
    return (
        sorted(function["FunctionName"] for function in functions),
        sorted(item["DurableExecutionArn"] for item in executions["DurableExecutions"]),
        sorted(item["Key"] for item in objects),
    )


@pytest.mark.parametrize("name", SERVICE_NAMES)
@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("page.example", None),
        ("page.example:{port}", None),
        ("127.0.0.1", None),
        ("127.0.0.1:1", None),
        ("127.0.0.1:{port}", PAGE),
        ("127.0.0.1:{port}", "null"),
    ],
)
def test_even_credentials_do_not_help_a_page(
    cloud: Cloud, name: str, host: str, origin: str | None
) -> None:
    port = port_of(cloud, name)
    url = f"http://127.0.0.1:{port}/_localcloud/x"
    for sent, let_in in (
        ({"Host": host.format(port=port)} | ({"Origin": origin} if origin else {}), False),
        ({"Host": f"127.0.0.1:{port}"}, True),
    ):
        root = known(cloud.settings.credentials)
        request = AWSRequest("GET", url, headers=sent)
        SigV4Auth(root, "iam", cloud.settings.region).add_auth(request)
        headers = dict(request.headers.items())
        response = urllib3.request("GET", url, headers=headers, timeout=SECONDS)
        assert refused(response) != let_in


def known(credentials: Credentials) -> ReadOnlyCredentials:
    return ReadOnlyCredentials(credentials.access_key, credentials.secret_key, credentials.token)


def test_the_credentials_of_a_functions_session_cannot_be_guessed(cloud: Cloud) -> None:
    cloud.invoke("chain", {})
    function = cloud.client("lambda").get_function_configuration(FunctionName=f"{FUNCTION}")
    # ministack's own way from the two ARNs to the credentials, which anybody can go.
    digest = hashlib.sha256(f"{function['FunctionArn']}:{function['Role']}".encode()).hexdigest()
    secret, token = (
        hashlib.sha256(f"{kind}:{digest}".encode()).hexdigest() for kind in ("secret", "token")
    )
    guessed = ReadOnlyCredentials(f"ASIA{digest[:16].upper()}", secret, token)
    for name in SERVICE_NAMES:
        assert refused(Attack(**ROLES, signer=guessed).send(port_of(cloud, name)))


def test_a_worker_has_its_sessions_credentials_and_not_roots(cloud: Cloud) -> None:
    cloud.invoke("chain", {})
    root = cloud.settings.credentials
    workers = processes.find_workers(cloud.settings)
    environments = [psutil.Process(worker.identity.pid).environ() for worker in workers]
    assert environments
    for environment in environments:
        assert environment["AWS_ACCESS_KEY_ID"].startswith("ASIA")
        assert root.secret_key not in environment.values()


def test_what_it_writes_is_private_to_the_user(cloud: Cloud) -> None:
    cloud.invoke("chain", {})
    directory = cloud.settings.directory
    # What `sam` builds has the modes of the sources, in a folder that is private.
    written = [
        path
        for path in (directory, *directory.rglob("*"))
        if directory / "build" not in path.parents and not path.is_symlink() and path.exists()
    ]
    assert {"build", "credentials.json", "state.json"} <= {path.name for path in written}
    assert [str(path) for path in written if mode(path) & 0o077] == []
    for worker in processes.find_workers(cloud.settings):
        folder = psutil.Process(worker.identity.pid).environ()["TMPDIR"]
        assert Path(folder).is_relative_to(directory)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Those who have credentials


@pytest.fixture(scope="module")
def bucket(cloud: Cloud) -> str:
    cloud.client("s3").create_bucket(
        Bucket="guarded", CreateBucketConfiguration={"LocationConstraint": cloud.settings.region}
    )
    return "guarded"


ODD = "a b/ü+%20&=?#~'()*!$,:;@[]é.json"


def test_stock_clients_work(cloud: Cloud, bucket: str) -> None:
    s3 = cloud.client("s3")
    s3.put_object(Bucket=bucket, Key=ODD, Body=b"content", Metadata={"note": "a  b"})
    assert s3.get_object(Bucket=bucket, Key=ODD)["Body"].read() == b"content"
    assert s3.head_object(Bucket=bucket, Key=ODD)["Metadata"] == {"note": "a  b"}
    (item,) = s3.list_objects_v2(Bucket=bucket, Prefix="a b/ü+%20&", MaxKeys=1)["Contents"]
    assert item["Key"] == ODD
    large = os.urandom(9 * 1024 * 1024)
    s3.upload_fileobj(io.BytesIO(large), bucket, "in/parts")
    assert s3.get_object(Bucket=bucket, Key="in/parts")["Body"].read() == large
    assert cloud.client("iam").list_roles()["Roles"]
    assert cloud.client("cloudwatch").list_metrics() is not None
    assert cloud.client("sts").get_caller_identity()["Account"] == "000000000000"


def test_presigned_urls_and_forms_work(cloud: Cloud, bucket: str) -> None:
    s3, named = cloud.client("s3"), {"Bucket": bucket, "Key": f"presigned/{ODD}"}
    put = s3.generate_presigned_url("put_object", named, ExpiresIn=600)
    assert urllib3.request("PUT", put, body=b"put", timeout=SECONDS).status == 200
    get = s3.generate_presigned_url("get_object", named, ExpiresIn=600)
    assert urllib3.request("GET", get, timeout=SECONDS).data == b"put"
    assert urllib3.request("GET", f"{get}0", timeout=SECONDS).status == 403
    assert urllib3.request("DELETE", get, timeout=SECONDS).status == 403
    post = s3.generate_presigned_post(bucket, "posted", Conditions=[{"bucket": bucket}])
    fields = {**post["fields"], "file": ("name", b"posted")}
    assert urllib3.request("POST", post["url"], fields=fields, timeout=SECONDS).status == 204
    assert s3.get_object(Bucket=bucket, Key="posted")["Body"].read() == b"posted"
    for changed in ({"key": "other"}, {"policy": "e30="}, {"x-amz-signature": "0" * 64}):
        form = {**fields, **changed}
        assert urllib3.request("POST", post["url"], fields=form, timeout=SECONDS).status == 403


def test_the_aws_cli_works_and_says_what_is_wrong(cloud: Cloud, bucket: str) -> None:
    environment = {**os.environ, **cloud.settings.client_environment()}

    def aws(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).parent / "aws", *arguments],
            env={**environment, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )

    copied = aws("s3", "cp", str(Path(__file__)), f"s3://{bucket}/{ODD}")
    assert copied.returncode == 0, copied.stderr
    stale = aws("iam", "list-roles", AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")
    assert 'did not issue the access key test: its own are set by eval "$(' in stale.stderr


@pytest.fixture(scope="module")
def role(cloud: Cloud) -> Iterator[str]:
    """The ARN of a role that may do all with Lambda, and nothing else."""
    iam: Any = cloud.client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    allowed = {"Effect": "Allow", "Action": "lambda:*", "Resource": "*"}
    made = iam.create_role(
        RoleName="guarded", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]})
    )
    iam.put_role_policy(
        RoleName="guarded", PolicyName="p", PolicyDocument=json.dumps({"Statement": [allowed]})
    )
    yield made["Role"]["Arn"]
    iam.delete_role_policy(RoleName="guarded", PolicyName="p")
    iam.delete_role(RoleName="guarded")


def test_the_session_of_a_role_may_what_the_role_may(cloud: Cloud, role: str) -> None:
    session = cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="guarded")[
        "Credentials"
    ]
    answer = cloud.client("lambda", session).invoke(
        FunctionName=f"{FUNCTION}:live", Payload=json.dumps({})
    )
    assert answer["StatusCode"] == 200
    with pytest.raises(ClientError, match="AccessDenied"):
        cloud.client("sqs", session).list_queues()
    for changed in ({"SecretAccessKey": "x"}, {"SessionToken": "x"}):
        for service in ("lambda", "sqs"):
            client = cloud.client(service, {**session, **changed})
            with pytest.raises(ClientError, match=r"signature is not|token is not"):
                client.list_functions() if service == "lambda" else client.list_queues()
    own = Credentials(session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"])
    for name in SERVICE_NAMES:
        url = f"http://127.0.0.1:{port_of(cloud, name)}/_ministack/config"
        headers = signatures.sign(own, cloud.settings.region, "POST", url)
        assert refused(urllib3.request("POST", url, headers=headers, timeout=SECONDS))


@pytest.mark.parametrize("prefix", ["", " "])
def test_who_makes_a_function_starts_no_other_by_its_variables(
    cloud: Cloud, role: str, prefix: str
) -> None:
    trigger = f"{cloud.settings.lambda_endpoint_url}/_localcloud/functions/{FUNCTION}/trigger"
    client = cloud.client("lambda")
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("deputy.py", "def handler(event, _): return event")
    client.create_function(
        FunctionName="deputy",
        Runtime="python3.14",
        Role=role,
        Handler="deputy.handler",
        Code={"ZipFile": code.getvalue()},
        Environment={"Variables": {"MINISTACK_LAMBDA_PROXY_URL": prefix + trigger}},
    )
    before = everything(cloud)
    try:
        answer = client.invoke(FunctionName="deputy", Payload=b"{}")
        assert "not signed" in answer["Payload"].read().decode()
        assert everything(cloud) == before
    finally:
        client.delete_function(FunctionName="deputy")


@pytest.fixture
def allowing(cloud: Cloud, bucket: str) -> Iterator[Callable[[str], None]]:
    """Has the bucket allow a page to upload."""
    s3 = cloud.client("s3")

    def allow(origin: str) -> None:
        rule = {"AllowedOrigins": [origin], "AllowedMethods": ["PUT", "POST"]}
        rules = {"CORSRules": [{**rule, "AllowedHeaders": ["content-type"]}]}
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=rules)

    yield allow
    s3.delete_bucket_cors(Bucket=bucket)


def test_a_page_uploads_where_the_bucket_allows_it(
    cloud: Cloud, bucket: str, allowing: Callable[[str], None]
) -> None:
    named = {"Bucket": bucket, "Key": "of/a/page"}
    url = cloud.client("s3").generate_presigned_url("put_object", named, ExpiresIn=600)
    preflight = {"Origin": PAGE, "Access-Control-Request-Method": "PUT"}

    def ask(method: str, headers: Mapping[str, str], to: str = url) -> urllib3.BaseHTTPResponse:
        return urllib3.request(method, to, headers=dict(headers), timeout=SECONDS)

    assert refused(ask("OPTIONS", preflight))
    assert refused(ask("PUT", {"Origin": PAGE}))
    allowing(PAGE)
    for answer in (ask("OPTIONS", preflight), ask("PUT", {"Origin": PAGE})):
        assert answer.status == 200, answer.data
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert refused(ask("PUT", {"Origin": "https://other.example"}))
    assert refused(ask("PUT", {"Origin": PAGE}, url.partition("?")[0]))
    elsewhere = urllib.parse.urlsplit(url)._replace(path="/localcloud-artifacts/of/a/page")
    assert refused(ask("PUT", {"Origin": PAGE}, elsewhere.geturl()))
