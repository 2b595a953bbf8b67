"""Which AWS to talk to: the one the environment names, or else a local cloud that is up."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from pipelinectl.errors import NOWHERE_TO_GO, PipelinectlError, StackMissingError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from boto3.session import Session
    from botocore.awsrequest import AWSRequest, AWSResponse
    from mypy_boto3_cloudformation.client import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackTypeDef
    from mypy_boto3_cloudwatch.client import CloudWatchClient
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_lambda.client import LambdaClient
    from mypy_boto3_logs.client import CloudWatchLogsClient
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sns.client import SNSClient
    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sts.client import STSClient


# A region alone says nothing about where to go, so it is not among them.
_CHOOSES_AN_AWS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_PROFILE",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
_CHOOSES_AN_ENDPOINT = "AWS_ENDPOINT_URL"


@dataclass(frozen=True)
class Connection:
    """Clients of one AWS, made when they are first used.

    `settings` holds AWS_* variables that count for this connection only; where it is empty,
    boto3 reads the process's environment and configuration files. `profile` and `region` are
    those that the command line names. `attempts` are made of a request before it has failed.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    profile: str | None = None
    region: str | None = None
    attempts: int = 5

    @property
    def is_local(self) -> bool:
        """Whether pipelinectl chose the local cloud by itself."""
        return bool(self.settings)

    @cached_property
    def cloudformation(self) -> CloudFormationClient:
        """Client of the stack's outputs."""
        return self._session.client("cloudformation", **self._options("cloudformation"))

    @cached_property
    def cloudwatch(self) -> CloudWatchClient:
        """Client of alarms and metrics."""
        return self._session.client("cloudwatch", **self._options("cloudwatch"))

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        """Client of the table of processed data."""
        return self._session.client("dynamodb", **self._options("dynamodb"))

    @cached_property
    def iam(self) -> IAMClient:
        """Client of what roles may do."""
        return self._session.client("iam", **self._options("iam"))

    @cached_property
    def lambda_(self) -> LambdaClient:
        """Client of the durable executions."""
        return self._session.client("lambda", **self._options("lambda"))

    @cached_property
    def logs(self) -> CloudWatchLogsClient:
        """Client of the functions' logs."""
        return self._session.client("logs", **self._options("logs"))

    @cached_property
    def s3(self) -> S3Client:
        """Client of the buckets."""
        return self._session.client("s3", **self._options("s3"))

    @cached_property
    def sns(self) -> SNSClient:
        """Client of the topics."""
        return self._session.client("sns", **self._options("sns"))

    @cached_property
    def sqs(self) -> SQSClient:
        """Client of the queues."""
        return self._session.client("sqs", **self._options("sqs"))

    @cached_property
    def sts(self) -> STSClient:
        """Client that knows who is asking."""
        return self._session.client("sts", **self._options("sts"))

    @property
    def at(self) -> str | None:
        """Host and port of a cloud on this machine; None of AWS."""
        place = urlsplit(self.cloudformation.meta.endpoint_url)
        return place.netloc if place.hostname in ("127.0.0.1", "localhost", "::1") else None

    @property
    def endpoint_url(self) -> str | None:
        """Where AWS is, if it is not at AWS."""
        return self.settings.get(_CHOOSES_AN_ENDPOINT) or os.environ.get(_CHOOSES_AN_ENDPOINT)

    def http(self, service: str) -> SignedHttp:
        """For what no client of boto3 does: requests that are signed for `service`, or not."""
        return SignedHttp(self._session, service)

    @cached_property
    def _session(self) -> Session:
        # boto3 takes a third of a second to import, which --help need not wait for.
        import boto3

        session = boto3.Session(
            aws_access_key_id=self.settings.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=self.settings.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=self.settings.get("AWS_SESSION_TOKEN"),
            region_name=self.region or _region(self.settings) or _region(os.environ),
            profile_name=self.profile,
        )
        if session.get_credentials() is None:
            raise UnreachableError(NOWHERE_TO_GO)
        return session

    def _options(self, service: str) -> dict[str, Any]:
        from botocore.config import Config

        return {
            "endpoint_url": self.settings.get(f"{_CHOOSES_AN_ENDPOINT}_{service.upper()}")
            or self.settings.get(_CHOOSES_AN_ENDPOINT),
            "config": Config(
                retries={"mode": "standard", "max_attempts": self.attempts},
                connect_timeout=5,
                max_pool_connections=16,
            ),
        }


def _region(variables: Mapping[str, str]) -> str | None:
    """boto3 itself reads the second alone; AWS's other tools read both."""
    return variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION") or None


def names_an_aws(environ: Mapping[str, str]) -> bool:
    """Whether the environment says which AWS to talk to: endpoint, profile or credentials."""
    return any(
        value and (name in _CHOOSES_AN_AWS or name.startswith(_CHOOSES_AN_ENDPOINT))
        for name, value in environ.items()
    )


DEFAULT_STACK_NAME = "durable-pipeline"


@dataclass(frozen=True)
class Options:
    """The command line's global options; `aws` says that AWS is meant, local cloud or not."""

    stack_name: str = DEFAULT_STACK_NAME
    profile: str | None = None
    region: str | None = None
    aws: bool = False


def connect(
    options: Options,
    environ: Mapping[str, str],
    local_environment: Callable[[], Mapping[str, str] | None],
) -> Connection:
    """Connect to the AWS that is named, else to the local cloud, else to boto3's default.

    The options name one, or `environ`. `local_environment` answers with the local cloud's client
    environment, or None when it is not up; it is only asked when nothing is named.
    """
    if options.aws or options.profile or names_an_aws(environ):
        return Connection({}, options.profile, options.region)
    return Connection(local_environment() or {}, region=options.region)


FUNCTION_ROLES = (
    "durable-pipeline",
    "validate",
    "transform",
    "store",
    "csv-file",
    "catalog",
    "notify",
    "cleanup",
    "uploads",
)

OUTPUTS = {
    "queue_url": "DataProcessingQueueUrl",
    "dead_letter_queue_url": "DeadLetterQueueUrl",
    "table_name": "ProcessedDataTable",
    "durable_function_arn": "DurableFunctionArn",
    "objects_queue_url": "ObjectsQueueUrl",
    "internal_queue_url": "InternalQueueUrl",
    "files_queue_url": "FilesQueueUrl",
    "input_bucket": "InputBucketName",
    "payload_bucket": "PayloadBucketName",
    "output_bucket": "OutputBucketName",
    "catalog_table": "ObjectCatalogTable",
    "uploads_api_url": "UploadsApiUrl",
    "uploads_api_id": "UploadsApiId",
    "operators_topic_arn": "OperatorsTopicArn",
    "processing_events_topic_arn": "ProcessingEventsTopicArn",
    "audit_log_group": "AuditLogGroupName",
}
"""The stack's output that each field of a `Stack` is read from."""

IN_ORDER = {
    "fifo_queue_url": "FifoQueueUrl",
    "fifo_internal_queue_url": "FifoInternalQueueUrl",
    "fifo_dead_letter_queue_url": "FifoDeadLetterQueueUrl",
}
"""The same, of what is there with the parameter FifoDoor alone."""


@dataclass(frozen=True)
class Stack:
    """The resources of a deployed pipeline that the command line works on.

    `environment` is its parameter of that name, the prefix of the ids that it gives; None where
    the stack has no such parameter. `parameters` are all of them, as text. `arn` is the stack's.
    The URLs of FIFO queues are empty where there is no FIFO door.
    """

    name: str
    arn: str
    queue_url: str
    dead_letter_queue_url: str
    table_name: str
    durable_function_arn: str
    objects_queue_url: str
    internal_queue_url: str
    files_queue_url: str
    input_bucket: str
    payload_bucket: str
    output_bucket: str
    catalog_table: str
    uploads_api_url: str
    uploads_api_id: str
    operators_topic_arn: str
    processing_events_topic_arn: str
    audit_log_group: str
    fifo_queue_url: str = ""
    fifo_internal_queue_url: str = ""
    fifo_dead_letter_queue_url: str = ""
    environment: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def durable_function_name(self) -> str:
        """The function's name without qualifier, which stands for all of its versions."""
        return self.durable_function_arn.split(":function:", 1)[-1].split(":", 1)[0]


def function_name(stack_name: str, role: str) -> str:
    """Name of the Lambda function that has `role` in the stack."""
    return f"{stack_name}-{role}"


def find_stack(cloudformation: CloudFormationClient, name: str) -> Stack:
    """Read the stack's outputs and parameters.

    Raises:
        StackMissingError: there is no such stack, or it lacks an output.
    """
    stack = describe(cloudformation, name)
    outputs = outputs_of(stack)
    try:
        return Stack(
            name=name,
            arn=stack["StackId"],
            environment=parameters_of(stack).get("Environment"),
            parameters=parameters_of(stack),
            **{field: outputs[output] for field, output in OUTPUTS.items()},
            **{field: outputs.get(output, "") for field, output in IN_ORDER.items()},
        )
    except KeyError as error:
        msg = f"stack '{name}' has no output {error}: deploy it again with this template.yaml"
        raise StackMissingError(msg) from error


def outputs_of(stack: StackTypeDef) -> dict[str, str]:
    """The stack's outputs by their names."""
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def parameters_of(stack: StackTypeDef) -> dict[str, str]:
    """The values that the stack's parameters have."""
    return {
        parameter["ParameterKey"]: parameter.get("ParameterValue", "")
        for parameter in stack.get("Parameters", [])
    }


def describe(cloudformation: CloudFormationClient, name: str) -> StackTypeDef:
    """What CloudFormation says of the stack.

    Raises:
        StackMissingError: there is no such stack.
    """
    from botocore.exceptions import ClientError

    try:
        return cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        msg = (
            f"no stack '{name}' here: deploy it ('pipelinectl local up' does so locally), "
            "or name another with --stack-name"
        )
        raise StackMissingError(msg) from error


CHUNK_BYTES = 256 * 1024
_CONNECT_SECONDS = 5
_SILENCE_SECONDS = 60


class Readable(Protocol):
    """Content that is read bit by bit."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, none at the end."""


@dataclass(frozen=True)
class Answer:
    """An answer to a request; its body is read once, by one of the methods."""

    status: int
    url: str
    raw: AWSResponse

    @property
    def etag(self) -> str:
        """The ETag of what was put or got, without quotes; empty where none was told."""
        return str(self.raw.headers.get("ETag", "")).strip('"')

    def content(self) -> bytes:
        """All of the body."""
        content: bytes = self.raw.content
        return content

    def chunks(self, size: int) -> Iterator[bytes]:
        """The body as it comes, which must be of `size` bytes.

        Raises:
            UnreachableError: the connection broke before all of it had come.
        """
        from botocore.exceptions import BotoCoreError
        from botocore.response import StreamingBody

        body = StreamingBody(self.raw.raw, size)
        try:
            yield from body.iter_chunks(CHUNK_BYTES)
        except BotoCoreError as error:
            raise _broken(self.url, error) from error


@dataclass(frozen=True)
class SignedHttp:
    """Requests with the credentials and the region of a boto3 session.

    They go the way that boto3's own go: proxies and certificates count alike.
    """

    session: Session
    service: str

    def signed(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        """Send a request that is signed for the service (Signature Version 4).

        Raises:
            UnreachableError: nobody answers.
        """
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
        credentials: Any = self.session.get_credentials()
        SigV4Auth(credentials, self.service, self.session.region_name).add_auth(request)
        return _send(request, url)

    def plain(
        self, method: str, url: str, headers: Mapping[str, str], body: Readable | None = None
    ) -> Answer:
        """Send a request as it is, for instance to a presigned URL.

        Raises:
            UnreachableError: nobody answers.
        """
        from botocore.awsrequest import AWSRequest

        return _send(AWSRequest(method=method, url=url, headers=dict(headers), data=body), url)


def _send(request: AWSRequest, url: str) -> Answer:
    from botocore.exceptions import BotoCoreError
    from botocore.httpsession import URLLib3Session
    from botocore.utils import get_environ_proxies

    options: Any = {  # the stubs know only some of the types that these may have
        "verify": os.environ.get("AWS_CA_BUNDLE") or True,
        "timeout": (_CONNECT_SECONDS, _SILENCE_SECONDS),
    }
    http = URLLib3Session(proxies=get_environ_proxies(url), **options)
    request.stream_output = True  # the body is read by whoever wants it
    try:
        answer = http.send(request.prepare())
    except BotoCoreError as error:
        if isinstance(error.__context__, PipelinectlError):
            raise error.__context__ from None  # of whoever reads what is sent
        raise _broken(url, error) from error
    return Answer(answer.status_code, url, answer)


def _broken(url: str, error: Exception) -> UnreachableError:
    """Names the host alone: what follows it in a presigned URL is a secret."""
    parts = urlsplit(url)
    return UnreachableError(
        f"{parts.scheme}://{parts.netloc}: {type(error).__name__}: check the network, "
        "or start the local cloud with 'pipelinectl local up'"
    )
