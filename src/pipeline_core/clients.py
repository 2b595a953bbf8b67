"""Makes the functions' clients of AWS's services, configured as boto3's are.

By botocore, as boto3 does: what boto3 puts around it, resources and transfers of files, is used
nowhere here, and takes a tenth of the time that a cold start's imports do.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal, overload

import botocore.session

if TYPE_CHECKING:
    from botocore.config import Config
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient


@overload
def client(service: Literal["dynamodb"], config: Config) -> DynamoDBClient: ...
@overload
def client(service: Literal["lambda"], config: Config) -> LambdaClient: ...
@overload
def client(service: Literal["s3"], config: Config) -> S3Client: ...
@overload
def client(service: Literal["sns"], config: Config) -> SNSClient: ...
@overload
def client(service: Literal["sqs"], config: Config) -> SQSClient: ...
def client(service: str, config: Config) -> Any:
    """A client of ``service``; credentials, region and endpoint are the environment's.

    Its type promises boto3's transfers, such as ``upload_file``, which it does not have.
    """
    return session().create_client(service, config=config)


@cache
def session() -> botocore.session.Session:
    """The session of all clients: what it reads of services and regions, it reads once."""
    return botocore.session.get_session()
