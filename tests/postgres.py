"""A Postgres for the tests of sinks: one that is there, or Debian's, unpacked below .tools.

`python -m tests.postgres` sees to it that there is one. A server of it listens on 127.0.0.1 only,
by TLS, and has its data in a temporary folder. Postgres refuses to be run by root: then it is run
as nobody.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import Connection

from tests import debian
from tests.e2e.localcloud.support import wait_for

FOLDER = debian.TOOLS / "postgres"
PACKAGES = ("postgresql",)

REMEDY = (
    "no Postgres for the tests of the sinks: they are passed over. Install one, or name the folder "
    "of its programs: POSTGRES_BIN=/usr/lib/postgresql/17/bin make test"
)
HOST = "127.0.0.1"
OWNER = "postgres"
NOBODY = 65534


@dataclass(frozen=True)
class Postgres:
    """The folder of its programs, and the variables that they need beside the environment's."""

    programs: Path
    variables: Mapping[str, str] = field(default_factory=dict)


def find() -> Postgres | None:
    """The one that POSTGRES_BIN names, or an installed one, or the one below .tools."""
    named = os.environ.get("POSTGRES_BIN")
    installed = [Path(named)] if named else _programs(Path("/"))
    for programs in installed:
        if (programs / "initdb").exists():
            return Postgres(programs)
    unpacked = _programs(FOLDER) if (FOLDER / ".ready").exists() else []
    if not unpacked:
        return None
    return Postgres(unpacked[0], {"LD_LIBRARY_PATH": debian.libraries(FOLDER)})


def _programs(root: Path) -> list[Path]:
    """Folders of programs as Debian has them, which are on nobody's PATH; the newest first."""
    found = [path.parent for path in root.glob("usr/lib/postgresql/*/bin/postgres")]
    return sorted(found, key=lambda path: int(path.parent.name), reverse=True)


def unpack() -> None:
    """Unpack Debian's.

    Raises:
        OSError, subprocess.CalledProcessError: that is not to be had here.
    """
    debian.unpack(FOLDER, PACKAGES)
    if not _programs(FOLDER):
        raise FileNotFoundError(f"{FOLDER}: Debian's packages brought no server")
    (FOLDER / ".ready").touch()


@dataclass(frozen=True)
class Server:
    """A server: where it listens, and how to get in as its owner."""

    postgres: Postgres
    folder: Path
    port: int
    password: str

    @property
    def authorities(self) -> Path:
        """The certificate that the server's is to be checked against."""
        return self.folder / "ca.pem"

    def connect(self, user: str = OWNER, password: str = "", database: str = OWNER) -> Connection:
        """Connect as its owner, or as somebody else."""
        context = ssl.create_default_context(cafile=self.authorities)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return Connection(
            user,
            password=password or self.password,
            host=HOST,
            port=self.port,
            database=database,
            ssl_context=context,
        )

    def run(self, sql: str, **parameters: Any) -> Any:
        """What a statement of its owner answers."""
        with closing(self.connect()) as connection:
            return connection.run(sql, **parameters)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve, until the end of the block, which ends every connection."""
        command = [self.postgres.programs / "postgres", "-D", self.folder / "data"]
        with (self.folder / "log").open("a") as log, _as_nobody(self, command, log) as process:
            try:
                wait_for(self._answers)
                yield
            finally:
                process.send_signal(signal.SIGINT)
                process.wait()

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except (InterfaceError, DatabaseError, OSError):
            return False
        return True


@contextmanager
def made(*, fsync: bool = False) -> Iterator[Server]:
    """A server with nothing in it, which does not serve yet. Raises if there is no Postgres.

    Without ``fsync`` it does not wait for the disk, as the machine will not lose power between two
    asserts.
    """
    postgres = find()
    if postgres is None:
        raise FileNotFoundError(REMEDY)
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        server = Server(_reachable(postgres, folder), folder, free_port(), secrets.token_hex())
        _make(server, "on" if fsync else "off")
        yield server
    finally:
        shutil.rmtree(folder)


def _reachable(postgres: Postgres, folder: Path) -> Postgres:
    """Programs that nobody can run: a copy, if they lie in a folder that only root may enter."""
    open_to_all = all(parent.stat().st_mode & 0o001 for parent in postgres.programs.parents)
    if os.geteuid() or open_to_all:
        return postgres
    shutil.copytree(FOLDER, folder / "copy", symlinks=True)
    copy = folder / "copy"
    return Postgres(_programs(copy)[0], {"LD_LIBRARY_PATH": debian.libraries(copy)})


def _make(server: Server, fsync: str) -> None:
    folder = server.folder
    (folder / "password").write_text(server.password)
    _certify(folder)
    if os.geteuid() == 0:
        for path in (folder, *folder.glob("*")):
            os.chown(path, NOBODY, NOBODY)
    command = [
        *(server.postgres.programs / "initdb", "-D", folder / "data", "-U", OWNER),
        *("--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--no-sync"),
        f"--pwfile={folder / 'password'}",
    ]
    with (folder / "log").open("w") as log, _as_nobody(server, command, log) as process:
        if process.wait():
            raise RuntimeError((folder / "log").read_text())
    with (folder / "data" / "postgresql.conf").open("a") as settings:
        settings.write(
            f"listen_addresses='{HOST}'\nport={server.port}\nunix_socket_directories=''\n"
            f"ssl=on\nssl_cert_file='{server.authorities}'\nssl_key_file='{folder / 'key.pem'}'\n"
            f"fsync={fsync}\n"
        )


def _as_nobody(server: Server, command: list[Any], log: Any) -> subprocess.Popen[bytes]:
    identity: dict[str, Any] = (
        {} if os.geteuid() else {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    )
    return subprocess.Popen(
        command,
        cwd=server.folder,
        env={**os.environ, **server.postgres.variables},
        stdout=log,
        stderr=log,
        **identity,
    )


def _certify(folder: Path) -> None:
    """Write a key for 127.0.0.1 and a certificate that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "key.pem").write_bytes(secret)
    (folder / "key.pem").chmod(0o600)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port: int = free.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(debian.main(find, unpack, FOLDER, REMEDY))
