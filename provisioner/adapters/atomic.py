"""Files that are whole or not there, and that survive the power going off."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

_TEMPORARY = re.compile(r"\..+\.(?P<pid>\d+)\.tmp")


def write_atomically(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file beside `path`, bring it to the disk, and rename it into place. Raises OSError.

    The name of the temporary file is the same for each write of one process, so a killed process leaves at most one.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def remove_leftovers(paths: Iterable[Path]) -> None:
    """Remove those that are `write_atomically`'s temporary files, of processes that have ended. Raises OSError."""
    for path in paths:
        name = _TEMPORARY.fullmatch(path.name)
        if name and not _runs(int(name["pid"])) and path.is_file():
            path.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return pid != os.getpid()


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
