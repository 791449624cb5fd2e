"""Files and folders to and from a host, over its connection."""

from __future__ import annotations

import shlex
from pathlib import Path, PurePosixPath
from typing import Protocol

from provisioner.errors import UsageError
from provisioner.operations.hosts import chosen, looking_at
from provisioner.ports import Connection, OnBytes


class Progress(Protocol):
    """Hears how far a copy is: of file `number` of `of`."""

    def begin(self, number: int, of: int, name: str) -> OnBytes | None:
        """A file begins; what hears of its bytes, where somebody wants to."""

    def end(self, number: int, of: int, name: str, size: int) -> None:
        """A file is done."""


def copy(source: str, target: str, progress: Progress) -> int:
    """Copy a file or a folder, as `cp -r` would, between this machine and a host; how many files.

    One side is NAME:PATH, or NAME/HOST:PATH for another than the first host; the other is a local path. A relative
    path, and `~`, begin at the login's home. Raises UsageError when neither or both are.
    """
    remote = [side for side in (source, target) if ":" in side]
    if len(remote) != 1:
        raise UsageError("one side must be NAME:PATH and the other a local path")
    name, _, path = remote[0].partition(":")
    name, _, host = name.partition("/")
    path = path_on_host(path)
    with looking_at(name) as session:
        connection = chosen(session, host or None).connection()
        if remote[0] == target:
            return upload(connection, Path(source), path, progress)
        return download(connection, path, Path(target), progress)


def upload(connection: Connection, source: Path, target: str, progress: Progress) -> int:
    """Copy a file or a folder to a host, as `cp -r` would, telling of each file; how many files."""
    if not source.exists():
        raise UsageError(f"there is no {source}")
    into = connection.run(f"[ -d {shlex.quote(target)} ]", check=False).status == 0
    base = PurePosixPath(target) / source.resolve().name if into else PurePosixPath(target)
    if source.is_file():
        connection.put_file(source, str(base), on_bytes=progress.begin(1, 1, source.name))
        progress.end(1, 1, source.name, source.stat().st_size)
        return 1
    files = [path for path in sorted(source.rglob("*")) if path.is_file()]
    for number, path in enumerate(files, 1):
        relative = path.relative_to(source).as_posix()
        connection.put_file(path, str(base / relative), on_bytes=progress.begin(number, len(files), relative))
        progress.end(number, len(files), relative, path.stat().st_size)
    return len(files)


def download(connection: Connection, source: str, target: Path, progress: Progress) -> int:
    """Copy a file or a folder from a host, as `cp -r` would, telling of each file; how many files."""
    listing = connection.run(
        f"if [ -d {shlex.quote(source)} ]; then cd -- {shlex.quote(source)} && find . -type f; else echo //; fi"
    ).output.splitlines()
    base = target / PurePosixPath(source).name if target.is_dir() else target
    if listing == ["//"]:
        connection.get_file(source, base, on_bytes=progress.begin(1, 1, base.name))
        progress.end(1, 1, base.name, base.stat().st_size)
        return 1
    for number, line in enumerate(sorted(listing), 1):
        relative = PurePosixPath(line)
        if relative.is_absolute() or ".." in relative.parts:
            raise UsageError(f"{source} lists {line}, which would leave {base}")
        path = base / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        on_bytes = progress.begin(number, len(listing), str(relative))
        connection.get_file(f"{source}/{relative}", path, on_bytes=on_bytes)
        progress.end(number, len(listing), str(relative), path.stat().st_size)
    return len(listing)


def path_on_host(text: str) -> str:
    """A path as the shell and SFTP both take it: `~` is the login's home, which relative paths begin at.

    Raises UsageError for somebody else's home.
    """
    if text and not text.startswith("~"):
        return text
    begin, _, rest = text.partition("/")
    if begin not in ("", "~"):
        raise UsageError(f"where {begin} is on the host is not known", "name the folder itself (/home/…)")
    return rest.lstrip("/") or "."
