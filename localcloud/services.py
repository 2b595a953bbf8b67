"""The three services of a local cloud: how each is started and asked for its health."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localcloud import settings as settings_module
from localcloud.settings import HOST, Settings
from localcloud.snapshot import request_file
from localcloud.workers import workers_directory

MINISTACK = "ministack"
RUNNER = "runner"
GATEWAY = "gateway"
SERVICE_NAMES = (MINISTACK, RUNNER, GATEWAY)

_LAUNCHER = Path(__file__).with_name("ministack_launcher.py")
# The caller's credentials, endpoints and interpreter settings must not leak into the services.
_SCRUBBED_PREFIXES = ("AWS_", "MINISTACK_", "LAMBDA_", "LOCALSTACK_", "PYTHON", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Service:
    """How to start one service, on which port it listens and which variable moves it."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    port: int
    port_variable: str
    health_url: str


def all_services(settings: Settings, environ: Mapping[str, str]) -> tuple[Service, ...]:
    """Return the services of this local cloud in the order in which they start."""
    return (
        _ministack(settings, environ),
        _python_service(settings, environ, RUNNER),
        _python_service(settings, environ, GATEWAY),
    )


def python_environment(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which this package's own modules run as processes."""
    package_parent = str(Path(settings_module.__file__).resolve().parent.parent)
    return {
        **neutral_environment(environ),
        **settings.client_environment(),
        **settings.to_environment(),
        "PYTHONPATH": package_parent,
        "PYTHONUNBUFFERED": "1",
    }


def neutral_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what would point a process at another cloud."""
    kept = {
        name: value for name, value in environ.items() if not name.startswith(_SCRUBBED_PREFIXES)
    }
    # HTTP libraries send even loopback requests to a configured proxy unless told otherwise.
    direct = ",".join(filter(None, [kept.get("NO_PROXY") or kept.get("no_proxy"), HOST]))
    return {
        **kept,
        "NO_PROXY": direct,
        "no_proxy": direct,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def _ministack(settings: Settings, environ: Mapping[str, str]) -> Service:
    return Service(
        name=MINISTACK,
        # -P keeps this package's modules from hiding others of the same name.
        command=(str(_interpreter_of(settings.ministack_command)), "-P", str(_LAUNCHER)),
        environment=_ministack_environment(settings, environ),
        port=settings.aws_port,
        port_variable="LOCALCLOUD_AWS_PORT",
        health_url=f"{settings.aws_endpoint_url}/_ministack/ready",
    )


def _interpreter_of(command: Path) -> Path:
    """Return the Python that a console script runs with: it is installed beside the script."""
    return command.resolve().with_name("python")


def _ministack_environment(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return ministack's whole environment.

    The Lambda workers inherit it, so it holds next to nothing of the caller's: a function must
    not find a variable here that it will not find on AWS.
    """
    state = settings.directory / "ministack"
    return {
        "PATH": environ.get("PATH", os.defpath),
        "HOME": environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "NO_PROXY": HOST,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "BIND_HOST": HOST,
        "MINISTACK_HOST": HOST,
        "GATEWAY_PORT": str(settings.aws_port),
        "AUTH": "true",
        "MINISTACK_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        # Lambda workers inherit this environment, so their Lambda clients reach the gateway.
        "AWS_ENDPOINT_URL_LAMBDA": settings.lambda_endpoint_url,
        "PERSIST_STATE": "1",
        "STATE_DIR": str(state / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(state / "s3"),
        "TMPDIR": str(workers_directory(settings)),
        "LOCALCLOUD_SAVE_REQUEST": str(request_file(settings)),
        # Listeners that ministack would open beside its HTTP port, on other addresses too.
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        # ministack removes containers it takes for its own: keep it off any Docker there is.
        "DOCKER_HOST": f"unix://{state / 'no-docker.sock'}",
        "LAMBDA_EXECUTOR": "local",
        "LAMBDA_STRICT": "0",
    }


def _python_service(settings: Settings, environ: Mapping[str, str], name: str) -> Service:
    port = settings.runner_port if name == RUNNER else settings.lambda_port
    path = "/health" if name == RUNNER else "/_localcloud/health"
    return Service(
        name=name,
        command=(sys.executable, "-m", f"localcloud.{name}"),
        environment=python_environment(settings, environ),
        port=port,
        port_variable="LOCALCLOUD_RUNNER_PORT" if name == RUNNER else "LOCALCLOUD_LAMBDA_PORT",
        health_url=f"http://{HOST}:{port}{path}",
    )
