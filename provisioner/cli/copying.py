"""`cp`: files and folders to and from a host, over its connection."""

from __future__ import annotations

import shlex
from pathlib import Path, PurePosixPath

from provisioner.errors import UsageError
from provisioner.ports import Connection


def upload(connection: Connection, source: Path, target: str) -> int:
    """Copy a file or a folder to a host, as `cp -r` would; how many files."""
    if not source.exists():
        raise UsageError(f"there is no {source}")
    into = connection.run(f"[ -d {_quoted(target or '.')} ]", check=False).status == 0
    base = PurePosixPath(target or ".") / source.resolve().name if into else PurePosixPath(target)
    if source.is_file():
        connection.put_file(source, str(base))
        return 1
    files = [path for path in sorted(source.rglob("*")) if path.is_file()]
    for path in files:
        connection.put_file(path, str(base / path.relative_to(source).as_posix()))
    return len(files)


def download(connection: Connection, source: str, target: Path) -> int:
    """Copy a file or a folder from a host, as `cp -r` would; how many files."""
    listing = connection.run(
        f"if [ -d {_quoted(source)} ]; then cd {_quoted(source)} && find . -type f; else echo //; fi"
    ).output.splitlines()
    base = target / PurePosixPath(source).name if target.is_dir() else target
    if listing == ["//"]:
        connection.get_file(source, base)
        return 1
    for line in listing:
        relative = PurePosixPath(line)
        if relative.is_absolute() or ".." in relative.parts:
            raise UsageError(f"{source} lists {line}, which would leave {base}")
        path = base / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        connection.get_file(f"{source}/{relative}", path)
    return len(listing)


def _quoted(path: str) -> str:
    return '"$HOME"/' + shlex.quote(path[2:]) if path.startswith("~/") else shlex.quote(path)
