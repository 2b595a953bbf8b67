"""Puts changed sources live on the local cloud within seconds, without `sam`.

A function's artifact, as `sam build` made it, says which sources the function carries: whatever
lies at its top under a name that the source folder has as well. A changed source is copied into the
artifact of each function that carries it, and the code of these functions is replaced. A change of
the template, of a function's requirements or of how functions are built takes a deployment.
"""

import shutil
import stat
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from localcloud import cloudformation_yaml
from localcloud.deploy import artifacts, build_directory, put_live
from localcloud.overlay import SAM_FUNCTION
from localcloud.settings import LocalCloudError, Settings

Snapshot = Mapping[Path, tuple[int, int]]
"""Of each file when it was last changed, in nanoseconds since the epoch, and its bytes."""


class Watch:
    """Watches a template and the sources of its functions, from when it is made."""

    def __init__(self, settings: Settings, template: Path, stack_name: str) -> None:
        """Raises LocalCloudError if the template's functions have no source folder in common."""
        self._settings = settings
        self._template = template.resolve()
        self._stack_name = stack_name
        self._sources = source_folder(self._template)
        self._seen = snapshot(self._template, self._sources)
        # What has changed and could not be put live.
        self._pending: set[Path] = set()

    def poll(self) -> str | None:
        """Put live what has changed since the last time; return what to tell, in one line."""
        now = snapshot(self._template, self._sources)
        changed = changed_files(self._seen, now)
        self._seen = now
        if not changed:
            return None
        to_deploy = {path for path in changed if takes_a_deployment(path, self._sources)}
        self._pending |= changed - to_deploy
        told = [self._put_live()]
        if to_deploy:
            told.append(f"{self._names(to_deploy)} changed: run `pipelinectl local up` for that")
        return "; ".join(filter(None, told)) or None

    def _put_live(self) -> str | None:
        began = time.monotonic()
        names = self._names(self._pending)
        try:
            folders = artifacts(build_directory(self._settings, self._stack_name))
            carried = carried_by_function(self._pending, self._sources, folders)
            self._pending = set().union(*carried.values())
            if not carried:
                return None
            names = self._names(self._pending)
            if wrong := syntax_error(self._pending, self._template.parent):
                return f"{wrong}; nothing was replaced"
            for logical_id, paths in carried.items():
                copy_into(folders[logical_id], paths, self._sources)
            put_live(self._settings, self._stack_name, carried)
        except (BotoCoreError, ClientError, LocalCloudError, OSError) as error:
            return f"{names} could not be put live, which the next change tries again: {error}"
        self._pending.clear()
        seconds = time.monotonic() - began
        return f"{', '.join(carried)} live in {seconds:.1f} s: {names}"

    def _names(self, paths: Iterable[Path]) -> str:
        return ", ".join(str(path.relative_to(self._template.parent)) for path in sorted(paths))


def source_folder(template: Path) -> Path:
    """Return the folder that all functions of a template are built from.

    Raises:
        LocalCloudError: there is none, or more than one.
    """
    document = cloudformation_yaml.load(template)
    common = document.get("Globals", {}).get("Function", {}).get("CodeUri")
    folders = {
        resource.get("Properties", {}).get("CodeUri", common)
        for resource in document.get("Resources", {}).values()
        if resource.get("Type") == SAM_FUNCTION
    }
    if len(folders) != 1 or not isinstance(folder := folders.pop(), str):
        raise LocalCloudError(
            f"The functions of {template} are built from more than one folder, or none: only one "
            "can be watched, so give all of them the same CodeUri, or leave out --watch."
        )
    return (template.parent / folder).resolve()


def snapshot(template: Path, sources: Path) -> Snapshot:
    """Look at the template and at every source that is not hidden, compiled or a backup."""
    found = {}
    for path in (template, *sources.rglob("*")):
        parts = path.relative_to(template.parent).parts
        if any(part.startswith((".", "__pycache__")) or part.endswith("~") for part in parts):
            continue
        try:
            status = path.stat()
        except FileNotFoundError:
            continue  # an editor is replacing it: the next look finds it
        if stat.S_ISREG(status.st_mode):
            found[path] = (status.st_mtime_ns, status.st_size)
    return found


def changed_files(before: Snapshot, after: Snapshot) -> set[Path]:
    """Return what is new, is gone or is not as it was."""
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


def takes_a_deployment(path: Path, sources: Path) -> bool:
    """Tell whether a change of the file is one that copying it does not put live."""
    if not path.is_relative_to(sources):
        return True  # the template
    # At the top of the sources are the rules and the tools of the build.
    build_rule = path.parent == sources and path.suffix != ".py"
    return build_rule or path.name.startswith("requirements.")


def carried_by_function(
    changed: Iterable[Path], sources: Path, folders: Mapping[str, Path]
) -> dict[str, set[Path]]:
    """Return which of the changed files each function carries; who carries none is left out."""
    carried = {
        logical_id: {
            path for path in changed if (folder / path.relative_to(sources).parts[0]).exists()
        }
        for logical_id, folder in folders.items()
    }
    return {logical_id: paths for logical_id, paths in carried.items() if paths}


def syntax_error(paths: Iterable[Path], root: Path) -> str | None:
    """Say where the first Python file that does not compile is wrong, as seen from `root`."""
    for path in sorted(paths):
        if path.suffix != ".py" or not path.exists():
            continue
        try:
            compile(path.read_bytes(), path, "exec", dont_inherit=True)
        except SyntaxError as error:
            return f"{path.relative_to(root)}:{error.lineno}: {error.msg}"
        except ValueError as error:  # null bytes
            return f"{path.relative_to(root)}: {error}"
    return None


def copy_into(artifact: Path, paths: Iterable[Path], sources: Path) -> None:
    """Make the files in a function's artifact what they are in the source folder."""
    for path in paths:
        target = artifact / path.relative_to(sources)
        # Never into a file that is there, which other artifacts may have as well, by a link.
        target.unlink(missing_ok=True)
        if path.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
