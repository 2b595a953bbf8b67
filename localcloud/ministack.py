"""Runs ministack 1.5.33 so that it saves its state when asked to, and behaves more as AWS does.

What it does unlike AWS is put right where it looks its own functions up; nothing of it offers a
hook. Each difference has its section here: its end, the code that workers share, batches of an
event source mapping, groups of a FIFO queue side by side, ranges of an object's versions, the ARN
of who calls, and quotas. Lambda's runtime, durable functions, streams, what is forgotten and who
gets in at all have modules of their own, `lambda_runtime`, `durable_functions`, `streams`,
`retention` and `guard`. It refuses by itself items, batches and numbers that DynamoDB would not
take, notifications above 256 KB and code above 250 MB.

ministack's own interpreter runs this module, so it imports ministack where it needs it, and else
nothing but the standard library, botocore, and modules of this package that do likewise.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import os
import re
import shutil
import tempfile
import threading
import time
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

from localcloud import guard, quotas
from localcloud.credentials import Credentials
from localcloud.quotas import MAX_INPUT_BYTES, Refusal, utf8_length
from localcloud.signatures import Request

REQUEST_VARIABLE = "LOCALCLOUD_SAVE_REQUEST"
# The supervisor sets it for ministack's workers.
GATEWAY_VARIABLE = "AWS_ENDPOINT_URL_LAMBDA"
_LOOK_EVERY_SECONDS = 0.1
_CONDITIONS = 256
_GRACE_SECONDS = 1.0

# More than there are functions; each may come with 20 MB.
_MOST_SHARED = 30
_EXTRACTING = threading.Lock()

# SQS gives so many messages at most in one answer to ReceiveMessage.
_PER_REQUEST = 10
_MAX_EVENT_BYTES = MAX_INPUT_BYTES["RequestResponse"]
# What a record has beside its body and its attributes: identifiers, times, a receipt handle.
_ENVELOPE_BYTES = 1024

_OK, _PARTIAL, _NOT_SATISFIABLE = 200, 206, 416
_INVALID_RANGE = (
    b"<?xml version='1.0' encoding='UTF-8'?>\n"
    b"<Error><Code>InvalidRange</Code>"
    b"<Message>The requested range is not satisfiable</Message></Error>"
)

_PRINCIPAL_ARN = "aws:principalarn"
_SESSION = re.compile(r"arn:([a-z-]+):sts::(\d{12}):assumed-role/([^/]+)/.+")

_FUNCTION = "AWS::Lambda::Function"
_MAPPING = "AWS::Lambda::EventSourceMapping"
_QUEUE = "AWS::SQS::Queue"

Action = Callable[..., Any]
Message = dict[str, Any]
Receive = Callable[[str, int], list[Message]]
Response = tuple[int, dict[str, str], bytes]


def main() -> None:
    """Put right what differs, start looking for requests to save, and become ministack."""
    # All of its own environment.
    from hypercorn.config import Config
    from ministack import app
    from ministack.core import iam_actions, iam_evaluator, responses
    from ministack.core import lambda_runtime as workers
    from ministack.services import (
        cloudwatch,
        cloudwatch_logs,
        dynamodb,
        iam,
        lambda_svc,
        s3,
        sns,
        sqs,
    )
    from ministack.services.cloudformation import provisioners

    # These need `wrap` of this module.
    from localcloud import durable_functions, lambda_runtime, retention, streams

    # Taken out of the environment, because Lambda workers inherit that.
    request = Path(os.environ.pop(REQUEST_VARIABLE))
    request.unlink(missing_ok=True)
    wrap(s3, "_get_object", lambda get: serving_ranges(get, s3._parse_range))
    wrap(sqs, "_receive_messages_for_esm", lambda get: receiving_large_batches(get, put_back))
    workers.zipfile = SimpleNamespace(**vars(zipfile) | {"ZipFile": SharedCode})
    wrap(iam_evaluator, "_resolve_condition_key", naming_roles)
    wrap(iam_actions, "extract_resource_arn", naming_whom_it_asks_about)
    hold_messages(sqs)
    hold_queues(sqs, provisioners)
    hold_mappings(lambda_svc, provisioners)
    wrap(lambda_svc, "_sqs_esm_concurrency", by_groups)
    # It parses a condition for each item that is written on it, and thousands have the same one.
    wrap(dynamodb, "_condition_syntax_error", functools.lru_cache(_CONDITIONS))
    hold_notifications(sns)
    hold_keys(s3)
    hold_functions(lambda_svc, provisioners)
    lambda_runtime.install(lambda_svc, workers)
    durable_functions.install(lambda_svc, workers, provisioners, os.environ[GATEWAY_VARIABLE])
    durable_functions.add_managed_policy(iam)
    streams.install(lambda_svc, dynamodb)
    retention.install(lambda_svc, cloudwatch_logs, cloudwatch)
    root = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    workers.hashlib = SimpleNamespace(sha256=keyed_by(root))
    sign_for_gateway(root, durable_functions.is_sending_event)
    buckets, issued = Buckets(app, s3), issued_by(iam_evaluator, responses)
    guarded = guard.Guard(root, (_own_endpoint(), os.environ[GATEWAY_VARIABLE]), issued, buckets)
    wrap(app, "app", functools.partial(guard.asgi, guarded))
    # Of connections that are open at the end some wait for messages, for up to 20 seconds.
    Config.graceful_timeout = _GRACE_SECONDS
    wrap(app, "_handle_lifespan", ending_at_once)
    threading.Thread(target=_save_when_asked, args=(app, request), daemon=True).start()
    app.main()


def wrap(module: Any, name: str, wrapper: Callable[[Action], Action]) -> Action:
    """Put a wrapped function in the place of a module's own; return it."""
    wrapped = wrapper(getattr(module, name))
    setattr(module, name, wrapped)
    return wrapped


def _save_when_asked(app: Any, request: Path) -> None:
    """Save whenever the file is there, then remove it.

    A ministack that is killed would otherwise come back without the stack that was deployed to it.
    What reaches queues, buckets and tables after the last save is still lost with it: ministack
    keeps these in memory.
    """
    while True:
        time.sleep(_LOOK_EVERY_SECONDS)
        if request.exists():
            asked = request.stat().st_mtime_ns
            app.save_all(app._build_persistence_save_dict())
            # Who has asked meanwhile wants what has changed meanwhile.
            if request.stat().st_mtime_ns == asked:
                request.unlink()


def ending_at_once(handle_lifespan: Action, end: Callable[[int], object] = os._exit) -> Action:
    """Return ministack's handler of its start and end so that nothing happens after the end.

    When it returns, the state is saved. The interpreter would go on to wait for every thread, and
    so for whoever polls a queue for 20 seconds or invokes a function that takes long.
    """

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        await handle_lifespan(scope, receive, send)
        end(0)

    return handle


class SharedCode(zipfile.ZipFile):
    """A function's code (or a layer) that all workers share which run it, as they only read it.

    ministack extracts it for each worker: hundreds of files, to be written at each cold start,
    compiled there, and deleted at the end. Several at once keep ministack from all else. Here a
    worker gets a link to one folder, which stays.
    """

    def extractall(self, path: Any = None, members: Any = None, pwd: bytes | None = None) -> None:
        """Make the folder `path`, which is there and empty, a link to the extracted content."""
        content = Path(str(self.filename)).read_bytes()
        folder = Path(tempfile.gettempdir()) / f"code-{hashlib.sha256(content).hexdigest()}"
        with _EXTRACTING:
            if not folder.exists():
                draft = tempfile.mkdtemp(prefix="draft-")
                super().extractall(draft, members, pwd)
                Path(draft).rename(folder)
                _forget_old_code(folder.parent)
        os.utime(folder)
        Path(path).rmdir()
        Path(path).symlink_to(folder)


def _forget_old_code(parent: Path) -> None:
    """Delete the folders that no worker was started from for longest."""
    by_age = sorted(parent.glob("code-*"), key=lambda folder: folder.stat().st_mtime)
    for folder in by_age[:-_MOST_SHARED]:
        shutil.rmtree(folder, ignore_errors=True)


def keyed_by(root: Credentials) -> Callable[[bytes], Any]:
    """Return a hash that only who knows root's secret can compute.

    ministack derives the credentials of a function's session from the ARNs of the function and its
    role, by a hash that anybody can compute.
    """
    return functools.partial(hmac.new, root.secret_key.encode(), digestmod=hashlib.sha256)


def sign_for_gateway(root: Credentials, is_event: Callable[[], bool]) -> None:
    """Have ministack sign, as root, the events of durable functions that it sends the gateway."""
    region = os.environ["MINISTACK_REGION"]
    signing = guard.SigningHandler(root, region, os.environ[GATEWAY_VARIABLE], is_event)
    urllib.request.install_opener(urllib.request.build_opener(signing))


def issued_by(evaluator: Any, responses: Any) -> Callable[[str], Credentials | None]:
    """Return what finds the credentials of sessions and users, which ministack issued."""

    def issued(access_key: str) -> Credentials | None:
        if evaluator.is_root_access_key(access_key):
            return None  # to ministack, "test" and account numbers are root's as well
        account = responses._account_from_sts_session(
            access_key
        ) or evaluator.find_iam_access_key_account(access_key)
        found = evaluator.resolve_credential(access_key, account)
        if isinstance(found, evaluator.CredentialResolutionError):
            return None
        return Credentials(access_key, found.secret_access_key, found.session_token)

    return issued


def _own_endpoint() -> str:
    return f"http://{os.environ['BIND_HOST']}:{os.environ['GATEWAY_PORT']}"


class Buckets:
    """What ministack's buckets say of requests that a web page may send."""

    def __init__(self, app: Any, s3: Any) -> None:
        self._app = app
        self._s3 = s3

    def allows_origin(self, request: Request) -> bool:
        """Tell whether the CORS configuration of the bucket allows the request or the preflight."""
        target = self._target(request)
        if target is None:
            return False
        if request.method == "OPTIONS":
            status: int = self._s3.cors_preflight(*target, request.headers)[0]
            return status == _OK
        return bool(self._s3.cors_response_headers(target[0], request.method, request.headers))

    def takes_form(self, request: Request) -> bool:
        """Tell whether the request is for a bucket, and names no key."""
        target = self._target(request)
        return target is not None and not target[1]

    def form(self, request: Request, body: bytes) -> dict[str, str]:
        """Return the fields of a form, as ministack reads it."""
        kind = request.headers.get("content-type", "")
        parts = self._s3._parse_multipart_form(kind, body)
        return {
            name.lower(): value.decode("latin-1") for name, *_, value in parts if name != "file"
        }

    def _target(self, request: Request) -> tuple[str, str] | None:
        """Return the bucket, which there is, and the key that a request is for."""
        target: tuple[str, str] | None = self._app._s3_cors_target(
            request.headers["host"], unquote(request.path)
        )
        return target


def receiving_large_batches(receive: Receive, put_back: Callable[[Message], None]) -> Receive:
    """Return ministack's function that receives for a mapping, asking again while there is more.

    It stops at ten, which is what one request of SQS gives; Lambda asks again until it has the
    batch, up to 10,000 messages or an event of 6 MB.

    `put_back` makes a message that was received as if it had not been.
    """

    def receive_all(queue_url: str, count: int) -> list[Message]:
        batch: list[Message] = []
        left = _MAX_EVENT_BYTES
        while len(batch) < count:
            received = receive(queue_url, min(_PER_REQUEST, count - len(batch)))
            for position, message in enumerate(received):
                left -= record_bytes(message)
                if left < 0:
                    for too_much in received[position:]:
                        put_back(too_much)
                    return batch
                batch.append(message)
            if not received:
                break
        return batch

    return receive_all


def put_back(message: Message) -> None:
    """Undo the receiving of one of ministack's messages; it is the next one to be received."""
    message["receipt_handle"] = None
    message["visible_at"] = 0
    message["receive_count"] -= 1
    if not message["receive_count"]:
        message["first_receive_at"] = None


def by_groups(concurrency: Action) -> Action:
    """Return ministack's count of batches that a mapping may have in flight, for FIFO queues too.

    ministack takes one after the other from those. Lambda takes several, of other groups: no
    message of a group is received while another one of it is in flight, in ministack as in SQS.
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
    """

    def count(mapping: Any, function: Any, configuration: Any, _queue: Any = None) -> Any:
        return concurrency(mapping, function, configuration, None)

    return count


def record_bytes(message: Message) -> int:
    """Bytes, at most, of a message as a record in the event of a batch."""
    carried = [message["body"], message.get("message_attributes") or {}]
    return _ENVELOPE_BYTES + utf8_length(json.dumps(carried, ensure_ascii=False, default=str))


def serving_ranges(
    get_object: Callable[..., Response],
    parse_range: Callable[[str, int], tuple[int, int] | None],
) -> Callable[..., Response]:
    """Return ministack's `get_object` so that it cuts what was asked for out of a whole answer.

    A read of a part may name the version that it means; ministack then gives out the whole.
    `parse_range` answers with the first and the last byte of a Range header for content of a
    size, or None for a range outside of it.
    """

    def get(bucket: str, key: str, headers: Mapping[str, str], *rest: Any) -> Response:
        status, answered, body = get_object(bucket, key, headers, *rest)
        wanted = headers.get("range")
        if status != _OK or not wanted:
            return status, answered, body
        return _cut(answered, body, parse_range(wanted, len(body)))

    return get


def _cut(headers: dict[str, str], body: bytes, found: tuple[int, int] | None) -> Response:
    if found is None:
        answered = {"Content-Type": "application/xml", "Content-Range": f"bytes */{len(body)}"}
        return _NOT_SATISFIABLE, answered, _INVALID_RANGE
    first, last = found
    part = body[first : last + 1]
    # A checksum is of the whole; clients compare it with what they get.
    kept = {k: v for k, v in headers.items() if not k.lower().startswith("x-amz-checksum-")}
    kept |= {
        "Content-Length": str(len(part)),
        "Content-Range": f"bytes {first}-{last}/{len(body)}",
    }
    return _PARTIAL, kept, part


def naming_roles(resolve: Action) -> Action:
    """Return ministack's function that resolves a condition key, with the role for its session.

    In a condition on `aws:PrincipalArn`, IAM compares the ARN of a role with policies, for
    whichever of its sessions calls; ministack compares the ARN of the session.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    A role's path is not in the ARN of its session, so one that has a path is not recognized.
    """

    def resolved(key: str, context: Any) -> Any:
        value = resolve(key, context)
        session = _SESSION.fullmatch(value) if key.lower() == _PRINCIPAL_ARN and value else None
        return "arn:{}:iam::{}:role/{}".format(*session.groups()) if session else value

    return resolved


def naming_whom_it_asks_about(resource_of: Action) -> Action:
    """Return ministack's function that says what a request is about, with the role it asks about.

    `SimulatePrincipalPolicy` names it otherwise than IAM's other actions do, and so ministack takes
    it for one that only a right to all resources allows.
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
    """

    def named(service: str, *request: Any) -> Any:
        resource = resource_of(service, *request)
        if service == "iam" and resource == "*":
            asked_about = request[4].get("PolicySourceArn") or resource
            return asked_about[0] if isinstance(asked_about, list) else asked_about
        return resource

    return named


def hold_messages(sqs: Any) -> None:
    """Have SQS count attributes in, and look at them and at the delay."""

    def refuse(refusal: Refusal) -> Any:
        raise sqs._Err(refusal.code, refusal.message)

    for action, name, check in (
        ("SendMessage", "_act_send_message", quotas.refused_message),
        ("SendMessageBatch", "_act_send_message_batch", quotas.refused_messages),
    ):
        held = wrap(sqs, name, functools.partial(_checking, check=check, refuse=refuse))
        sqs._HANDLERS[action] = held


def hold_queues(sqs: Any, provisioners: Any) -> None:
    """Have SQS look at where a queue gives up to."""

    def refuse(refusal: Refusal) -> Any:
        raise sqs._Err(refusal.code, refusal.message)

    def check(parameters: Any) -> Refusal | None:
        policy = (parameters.get("Attributes") or {}).get("RedrivePolicy") or "{}"
        name = parameters.get("QueueName") or parameters.get("QueueUrl") or ""
        return quotas.refused_redrive_policy(name, _json(policy))

    def check_resource(properties: Any) -> Refusal | None:
        policy = _json(properties.get("RedrivePolicy") or {})
        # A name that CloudFormation makes up ends like that of any queue of the kind.
        kind = quotas.FIFO if str(properties.get("FifoQueue")).lower() == "true" else ""
        return quotas.refused_redrive_policy(kind, policy)

    for action, name in (
        ("CreateQueue", "_act_create_queue"),
        ("SetQueueAttributes", "_act_set_queue_attributes"),
    ):
        held = wrap(sqs, name, functools.partial(_checking, check=check, refuse=refuse))
        sqs._HANDLERS[action] = held
    _hold_resource(provisioners, _QUEUE, check_resource)


def hold_mappings(lambda_service: Any, provisioners: Any) -> None:
    """Have Lambda look at what a mapping takes from a FIFO queue at once."""

    def refuse(refusal: Refusal) -> Any:
        return lambda_service.error_response_json(refusal.code, refusal.message, refusal.status)

    def updating(update: Action) -> Action:
        def checked(uuid: str, changes: Mapping[str, Any]) -> Any:
            mapping = {**(lambda_service._esms.get(uuid) or {}), **changes}
            refusal = quotas.refused_mapping(mapping)
            return refuse(refusal) if refusal else update(uuid, changes)

        return checked

    held = functools.partial(_checking, check=quotas.refused_mapping, refuse=refuse)
    wrap(lambda_service, "_create_esm", held)
    wrap(lambda_service, "_update_esm", updating)
    _hold_resource(provisioners, _MAPPING, quotas.refused_mapping)


def _hold_resource(provisioners: Any, kind: str, check: Callable[[Any], Refusal | None]) -> None:
    """Have CloudFormation, which goes past the services' APIs, look at a resource's properties."""
    handlers = provisioners._RESOURCE_HANDLERS[kind]
    for verb, position in (("create", 1), ("update", 2)):
        handlers[verb] = _checking(handlers[verb], check, _fail, position)


def _json(policy: Any) -> Any:
    """A policy that may be text; what is no JSON is ministack's to refuse."""
    try:
        return json.loads(policy) if isinstance(policy, str) else policy
    except ValueError:
        return {}


def hold_notifications(sns: Any) -> None:
    """Have SNS look at a batch as a whole."""

    def check(parameters: Any) -> Refusal | None:
        entries = sns._parse_batch_entries(parameters)
        named = [
            {"Message": entry["message"], "MessageAttributes": entry["message_attributes"]}
            for entry in entries
        ]
        return quotas.refused_notifications({"PublishBatchRequestEntries": named})

    def refuse(refusal: Refusal) -> Any:
        return sns._error(refusal.code, refusal.message, refusal.status)

    wrap(sns, "_publish_batch", lambda action: _checking(action, check, refuse))


def hold_keys(s3: Any) -> None:
    """Have S3 look at the keys of what is written."""
    for name in ("_put_object", "_copy_object", "_create_multipart_upload"):
        wrap(s3, name, functools.partial(_with_short_key, s3=s3))


def hold_functions(lambda_service: Any, provisioners: Any) -> None:
    """Have Lambda look at what functions answer, at their names and environment variables."""

    def refuse(refusal: Refusal) -> Any:
        return lambda_service.error_response_json(refusal.code, refusal.message, refusal.status)

    held = functools.partial(_checking, check=refused_function)
    wrap(lambda_service, "_create_function", functools.partial(held, refuse=refuse))
    wrap(lambda_service, "_update_config", functools.partial(held, refuse=refuse, position=1))
    wrap(lambda_service, "_execute_function_dispatch", answering_what_fits)
    # CloudFormation makes functions past Lambda's API.
    create = wrap(provisioners, "_lambda_create", functools.partial(held, refuse=_fail, position=1))
    provisioners._RESOURCE_HANDLERS[_FUNCTION]["create"] = create


def refused_function(properties: Mapping[str, Any]) -> Refusal | None:
    """What Lambda has against a function with these properties."""
    name = str(properties.get("FunctionName", "function"))
    if not quotas.FUNCTION_NAME.fullmatch(name):
        return Refusal(
            "ValidationException",
            f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy "
            f"constraint: Member must satisfy regular expression pattern: "
            f"{quotas.FUNCTION_NAME.pattern}",
        )
    return quotas.refused_environment((properties.get("Environment") or {}).get("Variables") or {})


def answering_what_fits(invoke: Action) -> Action:
    """Return ministack's invocation of a function, with Lambda's error for too large an answer."""

    def answer(*arguments: Any) -> Any:
        result = invoke(*arguments)
        if result.get("error") or _response_bytes(result.get("body")) <= quotas.MAX_RESPONSE_BYTES:
            return result
        kept = {"log": result["log"]} if "log" in result else {}
        return {"body": quotas.response_too_large(), "error": True, **kept}

    return answer


def _checking(
    action: Action,
    check: Callable[[Any], Refusal | None],
    refuse: Callable[[Refusal], Any],
    position: int = 0,
) -> Action:
    """Return an action that refuses what the check has against its argument at `position`."""

    def checked(*arguments: Any) -> Any:
        refusal = check(arguments[position])
        return refuse(refusal) if refusal else action(*arguments)

    return checked


def _with_short_key(action: Action, s3: Any) -> Action:
    def write(bucket: str, key: str, *rest: Any) -> Any:
        refusal = quotas.refused_key({"Key": key})
        if refusal:
            return s3._error(refusal.code, refusal.message, refusal.status, key)
        return action(bucket, key, *rest)

    return write


def _fail(refusal: Refusal) -> Any:
    """Fail a stack's resource."""
    raise ValueError(f"{refusal.code}: {refusal.message}")


def _response_bytes(body: Any) -> int:
    if isinstance(body, (bytes, bytearray)):
        return len(body)
    # As Lambda's runtime and ministack write it.
    return utf8_length(json.dumps(body, ensure_ascii=False, default=str))
