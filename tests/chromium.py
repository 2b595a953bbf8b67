"""A Chromium for the tests of pages: one that is there, or Debian's, unpacked below .tools.

`python -m tests.chromium` sees to it that there is one. Nothing is installed, and nobody needs to
be root: packages are fetched by apt-get and unpacked by dpkg.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".tools" / "chromium"
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
PACKAGES = ("chromium-headless-shell", "fonts-dejavu-core", "fonts-roboto-unhinted")

REMEDY = (
    "no Chromium for the tests of the console: they are passed over. Install one, or name it: "
    "CHROMIUM=/path/to/chromium make test"
)

_INSTALLED = re.compile(r"^Inst (?P<name>\S+) ", re.MULTILINE)
_FAMILIES = {
    "Roboto": ("system-ui", "sans-serif", "sans", "Sans", "serif", ""),
    "DejaVu Sans Mono": ("monospace", "ui-monospace"),
}
"""What stands for what: nothing is known of fonts without Debian's configuration."""
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
<dir>/usr/share/fonts</dir><dir>{folder}/usr/share/fonts</dir>
<cachedir>{folder}/fontcache</cachedir>
{rules}
</fontconfig>
"""
_RULE = (
    '<match target="pattern"><test name="family" qual="any"><string>{asked}</string></test>'
    '<edit name="family" mode="prepend" binding="strong"><string>{given}</string></edit></match>'
)


@dataclass(frozen=True)
class Chromium:
    """Its executable, and the variables that it needs beside the environment's."""

    path: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What it is to be started with."""
        return {**os.environ, **self.variables}


def find() -> Chromium | None:
    """The one that CHROMIUM names, or one on the PATH, or the one below .tools."""
    named = os.environ.get("CHROMIUM")
    for name in (named,) if named else NAMES:
        if path := shutil.which(name):
            return Chromium(Path(path))
    # Debian's /usr/bin/chromium-headless-shell is a script that knows where it is installed.
    unpacked = FOLDER / "usr/lib/chromium/chromium-headless-shell"
    if not (FOLDER / ".ready").exists():
        return None
    libraries = sorted({str(found.parent) for found in (FOLDER / "usr/lib").rglob("*.so*")})
    return Chromium(
        unpacked,
        {
            "LD_LIBRARY_PATH": ":".join(libraries),
            "FONTCONFIG_FILE": str(FOLDER / "fonts.conf"),
        },
    )


def unpack() -> None:
    """Fetch Debian's packages and what they need that is not installed, and unpack them.

    Raises:
        OSError, subprocess.CalledProcessError: that is not to be had here.
    """
    shutil.rmtree(FOLDER, ignore_errors=True)
    archives = FOLDER / "archives"
    (FOLDER / "lists" / "partial").mkdir(parents=True)
    archives.mkdir()
    options = [
        *("-o", f"Dir::State::Lists={FOLDER}/lists", "-o", f"Dir::Cache={FOLDER}/cache"),
        *("-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1", "-q"),
    ]
    (FOLDER / "cache" / "archives" / "partial").mkdir(parents=True)
    _run("apt-get", *options, "update")
    plan = _run("apt-get", *options, "install", "--simulate", "--no-install-recommends", *PACKAGES)
    needed = _INSTALLED.findall(plan)
    _run("apt-get", *options, "download", *needed, cwd=archives)
    for archive in sorted(archives.glob("*.deb")):
        _run("dpkg", "-x", str(archive), str(FOLDER))
    for done_with in ("archives", "lists", "cache"):
        shutil.rmtree(FOLDER / done_with)
    # It passes for the upright one of its family.
    for condensed in FOLDER.rglob("RobotoCondensed*"):
        condensed.unlink()
    rules = [
        _RULE.format(asked=asked, given=given)
        for given, every in _FAMILIES.items()
        for asked in every
    ]
    (FOLDER / "fonts.conf").write_text(_FONTS.format(folder=FOLDER, rules="\n".join(rules)))
    (FOLDER / ".ready").touch()


def _run(*command: str, cwd: Path | None = None) -> str:
    run = subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)
    return run.stdout


def main() -> int:
    """Find one, or unpack one; only where CI counts on it is it a failure that there is none."""
    if find():
        return 0
    sys.stderr.write(f"Setting up {FOLDER.relative_to(ROOT)}\n")
    try:
        unpack()
    except subprocess.CalledProcessError as error:
        said = (error.stderr or "").strip().splitlines()[-1:]
        sys.stderr.write(f"{' '.join(error.cmd[:1])}: {''.join(said)}\n{REMEDY}\n")
    except OSError as error:
        sys.stderr.write(f"{error}\n{REMEDY}\n")
    return 0 if find() or not os.environ.get("CI") else 1


if __name__ == "__main__":
    sys.exit(main())
