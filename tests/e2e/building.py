"""`sam` for the tests, which builds each template once in a run; to be executed by its path.

What a deployment builds is a matter of the template and the code alone, and neither changes while
the tests run. So whoever builds a template after another one did, in this process or beside it,
gets a copy of that.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def building_once(sam: Path, folder: Path) -> Path:
    """Write a command that does what ``sam`` does, and keeps in ``folder`` what it has built."""
    folder.mkdir(exist_ok=True)
    command = folder / f"sam-{os.getpid()}"
    build = shlex.join([sys.executable, "-P", __file__, str(sam), str(folder)])
    all_else = shlex.join([str(sam)])
    command.write_text(f'#!/bin/sh\n[ "$1" = build ] && exec {build} "$@"\nexec {all_else} "$@"\n')
    command.chmod(0o755)
    return command


def build(sam: str, folder: Path, arguments: Sequence[str]) -> int:
    """Do what ``sam`` does with these arguments, which are ``build`` and options; its exit code."""
    options = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    target = Path(options["--build-dir"])
    kept = folder / hashlib.sha256(options["--template-file"].encode()).hexdigest()
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.is_dir():
            code = subprocess.run([sam, *arguments], check=False).returncode
            if code == 0:
                shutil.copytree(target, kept)
            return code
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(kept, target)
    return 0


if __name__ == "__main__":
    sys.exit(build(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))
