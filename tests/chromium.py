"""A Chromium for the tests of pages: one that is there, or Debian's, unpacked below .tools.

`python -m tests.chromium` sees to it that there is one.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests import debian

FOLDER = debian.TOOLS / "chromium"
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
PACKAGES = ("chromium-headless-shell", "fonts-dejavu-core", "fonts-roboto-unhinted")

REMEDY = (
    "no Chromium for the tests of the console: they are passed over. Install one, or name it: "
    "CHROMIUM=/path/to/chromium make test"
)

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
    return Chromium(
        unpacked,
        {
            "LD_LIBRARY_PATH": debian.libraries(FOLDER),
            "FONTCONFIG_FILE": str(FOLDER / "fonts.conf"),
        },
    )


def unpack() -> None:
    """Unpack Debian's, and fonts for it.

    Raises:
        OSError, subprocess.CalledProcessError: that is not to be had here.
    """
    debian.unpack(FOLDER, PACKAGES)
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


if __name__ == "__main__":
    sys.exit(debian.main(find, unpack, FOLDER, REMEDY))
