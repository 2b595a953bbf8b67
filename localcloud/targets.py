"""Which Lambda function a person means by a short name."""

from botocore.exceptions import BotoCoreError

from localcloud import aws, workers
from localcloud.errors import LocalCloudError
from localcloud.overlay import TWIN_SUFFIX, twin_name
from localcloud.services import SERVICE_NAMES
from localcloud.settings import Settings

__all__ = ["resolve", "twin_name"]


def resolve(settings: Settings, target: str) -> str:
    """Return the function whose name is `target` or alone ends with `-<target>`.

    Raises LocalCloudError, naming the known targets, when none or several match.
    """
    functions = known_functions(settings)
    if target in functions:
        return target
    matches = [name for name in functions if name.endswith(f"-{target}")]
    if len(matches) == 1:
        return matches[0]
    problem = "matches several functions" if matches else "is no known target"
    known = ", ".join([*SERVICE_NAMES, *functions])
    raise LocalCloudError(f"{target!r} {problem}: choose one of {known}.")


def known_functions(settings: Settings) -> list[str]:
    """Return the names of the deployed functions and of those with workers, twins left out."""
    names = {worker.function_name for worker in workers.find_workers(settings)}
    names |= _deployed_functions(settings)
    return sorted({name.removesuffix(TWIN_SUFFIX) for name in names})


def _deployed_functions(settings: Settings) -> set[str]:
    client = aws.lambda_client(settings)
    try:
        pages = client.get_paginator("list_functions").paginate()
        return {function["FunctionName"] for page in pages for function in page["Functions"]}
    except BotoCoreError:
        # ministack is down or being restarted: the workers that run are all there is to kill.
        return set()
