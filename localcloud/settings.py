"""Where the local cloud lives, which ports it uses, and what it raises."""

import contextlib
import itertools
import json
import os
import random
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud import credentials
from localcloud.credentials import Credentials

HOST = "127.0.0.1"
ACCOUNT_ID = "000000000000"
# Version 1 of the AWS CLI ignores AWS_ENDPOINT_URL for SQS in most regions: it has a table of
# host names that wins. This region is not in the table.
REGION = "eu-central-2"

ROOT = Path(__file__).resolve().parent.parent
"""The folder above this package."""

MOST_EXECUTIONS = 10_000
"""Executions that have ended that a local cloud keeps if it is told no number."""
_MOST_EXECUTIONS_VARIABLE = "LOCALCLOUD_EXECUTIONS"
_FEWEST_EXECUTIONS = 100

BASE_PORT = 4566
"""What LOCALCLOUD_PORT is without being set; the offsets of the three ports follow."""
_OFFSETS = {
    "LOCALCLOUD_AWS_PORT": 0,
    "LOCALCLOUD_LAMBDA_PORT": 4,
    "LOCALCLOUD_RUNNER_PORT": 5,
}
_HIGHEST_PORT = 65535
_FREE_PORTS = range(20_000, 32_000)
"""Below those of outgoing connections, which begin at 32,768 on Linux and above on others."""
_PORTS_FILE = "ports.json"
_FOLDER = ".local"


class LocalCloudError(Exception):
    """One clear line for the person at the terminal: the input, the rule and the remedy."""


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
    most_executions: int = MOST_EXECUTIONS

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """The local cloud of this folder, as the LOCALCLOUD_* variables have it.

        It is the one recorded in the nearest `.local` of this folder or above, or else that of the
        nearest template.yaml. Its ports are those it was made with; variables say otherwise.

        Raises:
            LocalCloudError: a value is no port, or no number of executions.
        """
        tools = _tools()
        directory = _directory(environ)
        made_with = _recorded(directory)
        return cls(
            directory=directory,
            aws_port=_port(environ, "LOCALCLOUD_AWS_PORT", made_with),
            lambda_port=_port(environ, "LOCALCLOUD_LAMBDA_PORT", made_with),
            runner_port=_port(environ, "LOCALCLOUD_RUNNER_PORT", made_with),
            ministack_command=_command(
                environ, "LOCALCLOUD_MINISTACK", tools / "ministack" / "bin" / "ministack"
            ),
            sam_command=_command(environ, "LOCALCLOUD_SAM", tools / "sam" / "bin" / "sam"),
            most_executions=_most_executions(environ),
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

    @property
    def save_request_file(self) -> Path:
        """The file whose existence asks ministack to save its state; ministack then deletes it."""
        return self.directory / "ministack" / "save-requested"

    @property
    def credentials(self) -> Credentials:
        """The root's, which are made when the local cloud first starts.

        Raises LocalCloudError where none has been started.
        """
        try:
            return credentials.read(self._credentials_file)
        except FileNotFoundError as error:
            raise LocalCloudError(
                f"There is no local cloud in {self.directory}, and so no credentials: start one, "
                "with `pipelinectl local up`."
            ) from error
        except (OSError, ValueError) as error:
            raise LocalCloudError(
                f"The credentials of the local cloud cannot be read ({error}): delete "
                f"{self._credentials_file} and start it again."
            ) from error

    def make_credentials(self) -> None:
        """Make the root's credentials, unless there are some; the directory is there."""
        credentials.make(self._credentials_file)

    def client_environment(self) -> dict[str, str]:
        """Return the variables that point stock AWS clients at this local cloud, as its root."""
        root = self.credentials
        return {
            "AWS_ENDPOINT_URL": self.aws_endpoint_url,
            "AWS_ENDPOINT_URL_LAMBDA": self.lambda_endpoint_url,
            "AWS_ACCESS_KEY_ID": root.access_key,
            "AWS_SECRET_ACCESS_KEY": root.secret_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def to_environment(self) -> dict[str, str]:
        """Return the LOCALCLOUD_* variables that `from_environment` reads back into these."""
        return {
            "LOCALCLOUD_DIR": str(self.directory),
            **self._ports(),
            "LOCALCLOUD_MINISTACK": str(self.ministack_command),
            "LOCALCLOUD_SAM": str(self.sam_command),
            _MOST_EXECUTIONS_VARIABLE: str(self.most_executions),
        }

    def root_client_options(self) -> dict[str, Any]:
        """Return what makes a boto3 client call ministack itself, as its root user.

        A Lambda client then passes the gateway by.
        """
        from botocore.config import Config  # slow, and most who read settings need no client

        root = self.credentials
        return {
            "endpoint_url": self.aws_endpoint_url,
            "region_name": self.region,
            "aws_access_key_id": root.access_key,
            "aws_secret_access_key": root.secret_key,
            # The first limit holds for sending as well: code of megabytes, while ministack saves.
            "config": Config(
                connect_timeout=10, read_timeout=10, retries={"total_max_attempts": 2}, proxies={}
            ),
        }

    def require_same_ports(self) -> None:
        """Raise LocalCloudError if the directory holds a local cloud made with other ports.

        Queues are known by URLs and functions by the gateway's address, also after `down`. With
        other ports they would still be there, and nothing would reach them.
        """
        made_with = _recorded(self.directory)
        for variable in ("LOCALCLOUD_AWS_PORT", "LOCALCLOUD_LAMBDA_PORT"):
            port = self._ports()[variable]
            if port != (known := str(made_with.get(variable, port))):
                raise LocalCloudError(
                    f"The local cloud in {self.directory} was made with {variable}={known}, not "
                    f"{port}, and its queues and functions keep that: set {variable}={known}, or "
                    f"delete {self.directory} to begin anew."
                )

    def remember_ports(self) -> None:
        """Write down which ports the local cloud in the directory is made with."""
        ports = self.directory / _PORTS_FILE
        ports.touch(mode=0o600)
        ports.write_text(json.dumps(self._ports()))

    @property
    def _credentials_file(self) -> Path:
        return self.directory / "credentials.json"

    def _ports(self) -> dict[str, str]:
        return {
            "LOCALCLOUD_AWS_PORT": str(self.aws_port),
            "LOCALCLOUD_LAMBDA_PORT": str(self.lambda_port),
            "LOCALCLOUD_RUNNER_PORT": str(self.runner_port),
        }


def free_settings(directory: Path) -> Settings:
    """Return settings of a local cloud beside others: in `directory`, with ports free now.

    They are none of those that the system gives connections that go out: one of these could take a
    port of a cloud that is being restarted.
    """
    ports = [str(port) for port in itertools.islice(_free_ports(), 3)]
    return Settings.from_environment(
        {
            **os.environ,
            "LOCALCLOUD_DIR": str(directory),
            "LOCALCLOUD_AWS_PORT": ports[0],
            "LOCALCLOUD_LAMBDA_PORT": ports[1],
            "LOCALCLOUD_RUNNER_PORT": ports[2],
        }
    )


def _free_ports() -> Iterator[int]:
    for port in random.sample(_FREE_PORTS, len(_FREE_PORTS)):
        with contextlib.suppress(OSError), socket.create_server((HOST, port)):
            yield port


def _tools() -> Path:
    """Where `make setup` puts ministack and SAM: here, or in the checkout that is worked in.

    An installed package has none beside it.
    """
    here = Path.cwd()
    found = (f / ".tools" for f in (ROOT, here, *here.parents) if (f / ".tools").is_dir())
    return next(found, here / ".tools")


def _directory(environ: Mapping[str, str]) -> Path:
    if named := environ.get("LOCALCLOUD_DIR"):
        return Path(named).absolute()
    here = Path.cwd()
    for mark in (f"{_FOLDER}/{_PORTS_FILE}", "template.yaml"):
        for folder in (here, *here.parents):
            if (folder / mark).is_file():
                return folder / _FOLDER
    return here / _FOLDER


def _recorded(directory: Path) -> dict[str, str]:
    """The ports that the local cloud in the directory was made with, by variable."""
    try:
        recorded = json.loads((directory / _PORTS_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return {k: str(v) for k, v in recorded.items()} if isinstance(recorded, dict) else {}


def _port(environ: Mapping[str, str], variable: str, made_with: Mapping[str, str]) -> int:
    """By the variable itself, by LOCALCLOUD_PORT, as it was made, or the default."""
    if environ.get(variable):
        return _number(environ, variable)
    if environ.get("LOCALCLOUD_PORT"):
        return _number(environ, "LOCALCLOUD_PORT", _OFFSETS[variable])
    return _number(made_with, variable, default=BASE_PORT + _OFFSETS[variable])


def _number(
    values: Mapping[str, str], name: str, offset: int = 0, *, default: int | None = None
) -> int:
    text = values.get(name) or str(default)
    highest = _HIGHEST_PORT - (max(_OFFSETS.values()) if name == "LOCALCLOUD_PORT" else 0)
    if not text.isdecimal() or not 0 < int(text) <= highest:
        raise LocalCloudError(
            f"{name}={text!r} is not a TCP port: set it to a number from 1 to {highest}."
        )
    return int(text) + offset


def _most_executions(environ: Mapping[str, str]) -> int:
    text = environ.get(_MOST_EXECUTIONS_VARIABLE) or str(MOST_EXECUTIONS)
    # Fewer might be gone before whoever started one has read what became of it.
    if not text.isdecimal() or int(text) < _FEWEST_EXECUTIONS:
        raise LocalCloudError(
            f"{_MOST_EXECUTIONS_VARIABLE}={text!r} is not how many executions to keep: set it to a "
            f"number from {_FEWEST_EXECUTIONS} on."
        )
    return int(text)


def _command(environ: Mapping[str, str], variable: str, default: Path) -> Path:
    return Path(environ.get(variable) or default).absolute()
