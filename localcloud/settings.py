"""Where the local cloud lives and which ports it uses."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localcloud.errors import LocalCloudError

HOST = "127.0.0.1"
ACCOUNT_ID = "000000000000"
# Version 1 of the AWS CLI ignores AWS_ENDPOINT_URL for SQS in most regions: it has a table of
# host names that wins. This region is not in the table.
REGION = "eu-central-2"

_ROOT = Path(__file__).resolve().parent.parent
_HIGHEST_PORT = 65535


@dataclass(frozen=True)
class Settings:
    """Everything that tells one local cloud from another on the same machine.

    `directory` is absolute and holds all state and logs; the ports are TCP ports on 127.0.0.1.
    """

    directory: Path
    aws_port: int
    lambda_port: int
    runner_port: int
    ministack_command: Path
    sam_command: Path
    region: str = REGION

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the LOCALCLOUD_* variables; raise LocalCloudError for a value that is no port."""
        tools = _tools()
        return cls(
            directory=Path(environ.get("LOCALCLOUD_DIR") or ".local").absolute(),
            aws_port=_port(environ, "LOCALCLOUD_AWS_PORT", 4566),
            lambda_port=_port(environ, "LOCALCLOUD_LAMBDA_PORT", 4570),
            runner_port=_port(environ, "LOCALCLOUD_RUNNER_PORT", 4571),
            ministack_command=_command(
                environ, "LOCALCLOUD_MINISTACK", tools / "ministack" / "bin" / "ministack"
            ),
            sam_command=_command(environ, "LOCALCLOUD_SAM", tools / "sam" / "bin" / "sam"),
        )

    @property
    def aws_endpoint_url(self) -> str:
        """Where every AWS service but Lambda answers."""
        return f"http://{HOST}:{self.aws_port}"

    @property
    def lambda_endpoint_url(self) -> str:
        """Where Lambda answers, durable executions included."""
        return f"http://{HOST}:{self.lambda_port}"

    @property
    def runner_endpoint_url(self) -> str:
        """Where the durable execution service answers; only the gateway calls it."""
        return f"http://{HOST}:{self.runner_port}"

    @property
    def executions_file(self) -> Path:
        """The SQLite file that holds the durable executions."""
        return self.directory / "runner" / "executions.db"

    def client_environment(self) -> dict[str, str]:
        """Return the variables that point stock AWS clients at this local cloud."""
        return {
            "AWS_ENDPOINT_URL": self.aws_endpoint_url,
            "AWS_ENDPOINT_URL_LAMBDA": self.lambda_endpoint_url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def to_environment(self) -> dict[str, str]:
        """Return the LOCALCLOUD_* variables that `from_environment` reads back into these."""
        return {
            "LOCALCLOUD_DIR": str(self.directory),
            "LOCALCLOUD_AWS_PORT": str(self.aws_port),
            "LOCALCLOUD_LAMBDA_PORT": str(self.lambda_port),
            "LOCALCLOUD_RUNNER_PORT": str(self.runner_port),
            "LOCALCLOUD_MINISTACK": str(self.ministack_command),
            "LOCALCLOUD_SAM": str(self.sam_command),
        }


def from_process_environment() -> Settings:
    """Return the settings of this process: what its supervisor or its user exported."""
    return Settings.from_environment(os.environ)


def _tools() -> Path:
    """Where `make setup` puts ministack and SAM: here, or in the checkout that is worked in.

    An installed package has none beside it.
    """
    here = Path.cwd()
    found = (f / ".tools" for f in (_ROOT, here, *here.parents) if (f / ".tools").is_dir())
    return next(found, here / ".tools")


def _port(environ: Mapping[str, str], variable: str, default: int) -> int:
    text = environ.get(variable) or str(default)
    if not text.isdecimal() or not 0 < int(text) <= _HIGHEST_PORT:
        raise LocalCloudError(
            f"{variable}={text!r} is not a TCP port: set it to a number from 1 to {_HIGHEST_PORT}."
        )
    return int(text)


def _command(environ: Mapping[str, str], variable: str, default: Path) -> Path:
    return Path(environ.get(variable) or default).absolute()
