"""`cp`: files and folders to and from a host, over its connection."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from provisioner.errors import UsageError
from provisioner.ports import Connection

Tell = Callable[[str], None]


def upload(connection: Connection, source: Path, target: str, tell: Tell) -> int:
    """Copy a file or a folder to a host, as `cp -r` would, telling of each file; how many files."""
    if not source.exists():
        raise UsageError(f"there is no {source}")
    into = connection.run(f"[ -d {_quoted(target or '.')} ]", check=False).status == 0
    base = PurePosixPath(target or ".") / source.resolve().name if into else PurePosixPath(target)
    if source.is_file():
        connection.put_file(source, str(base))
        tell(_line(1, 1, source.name, source))
        return 1
    files = [path for path in sorted(source.rglob("*")) if path.is_file()]
    for number, path in enumerate(files, 1):
        relative = path.relative_to(source).as_posix()
        connection.put_file(path, str(base / relative))
        tell(_line(number, len(files), relative, path))
    return len(files)


def download(connection: Connection, source: str, target: Path, tell: Tell) -> int:
    """Copy a file or a folder from a host, as `cp -r` would, telling of each file; how many files."""
    listing = connection.run(
        f"if [ -d {_quoted(source)} ]; then cd {_quoted(source)} && find . -type f; else echo //; fi"
    ).output.splitlines()
    base = target / PurePosixPath(source).name if target.is_dir() else target
    if listing == ["//"]:
        connection.get_file(source, base)
        tell(_line(1, 1, base.name, base))
        return 1
    for number, line in enumerate(listing, 1):
        relative = PurePosixPath(line)
        if relative.is_absolute() or ".." in relative.parts:
            raise UsageError(f"{source} lists {line}, which would leave {base}")
        path = base / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        connection.get_file(f"{source}/{relative}", path)
        tell(_line(number, len(listing), str(relative), path))
    return len(listing)


def _line(number: int, of: int, name: str, local: Path) -> str:
    return f"{number} of {of}: {name}, {local.stat().st_size / 2**20:.1f} MiB"


def _quoted(path: str) -> str:
    return '"$HOME"/' + shlex.quote(path[2:]) if path.startswith("~/") else shlex.quote(path)
