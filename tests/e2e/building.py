"""`sam` for the tests, which builds each template once in a run; to be executed by its path.

What a deployment builds is a matter of the template and the code alone, and neither changes while
the tests run. So whoever builds a template after another one did, in this process or beside it,
gets links to the files of that: nobody writes into a file that was built, but puts another one in
its place.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def building_once(sam: Path, folder: Path, again: str = "") -> Path:
    """Write a command that does what ``sam`` does, and keeps in ``folder`` what it has built.

    One function, that with the logical id ``again``, is built each time.
    """
    folder.mkdir(exist_ok=True)
    command = folder / f"sam-{os.getpid()}{again}"
    build = shlex.join([sys.executable, "-P", __file__, str(sam), str(folder), again])
    all_else = shlex.join([str(sam)])
    command.write_text(f'#!/bin/sh\n[ "$1" = build ] && exec {build} "$@"\nexec {all_else} "$@"\n')
    command.chmod(0o755)
    return command


def build(sam: str, folder: Path, again: str, arguments: Sequence[str]) -> int:
    """Do what ``sam`` does with these arguments, which are ``build`` and options; its exit code."""
    options = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    target = Path(options["--build-dir"])
    code = _build_once(sam, folder, options, target)
    return _build_again(sam, again, options, target) if again and code == 0 else code


def _build_once(sam: str, folder: Path, options: Mapping[str, str], target: Path) -> int:
    kept = folder / hashlib.sha256(options["--template-file"].encode()).hexdigest()
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.is_dir():
            code = _sam_build(sam, (), options)
            if code == 0:
                shutil.copytree(target, kept, copy_function=_link)
            return code
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(kept, target, copy_function=_link)
    return 0


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)


def _build_again(sam: str, function: str, options: Mapping[str, str], target: Path) -> int:
    """Put what is built now of one function in the place of what was built of it."""
    with tempfile.TemporaryDirectory(dir=target) as aside:
        code = _sam_build(sam, [function], {**options, "--build-dir": aside})
        if code == 0:
            shutil.rmtree(target / function)
            (Path(aside) / function).rename(target / function)
    return code


def _sam_build(sam: str, functions: Sequence[str], options: Mapping[str, str]) -> int:
    words = [word for option in options.items() for word in option]
    return subprocess.run([sam, "build", *functions, *words], check=False).returncode


if __name__ == "__main__":
    sys.exit(build(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4:]))
