"""`cp`: files and folders to and from a host, over its connection."""

from __future__ import annotations

import shlex
import shutil
import time
from pathlib import Path, PurePosixPath

from provisioner.cli import console
from provisioner.errors import UsageError
from provisioner.ports import Connection, OnBytes

EVERY_S = 0.1
"""Between two updates of a terminal's line."""


class Progress:
    """What is being copied: on a terminal one line that is written over, else a line for each file that is done."""

    def __init__(self) -> None:
        self._terminal = console.on_terminal()
        self._began_at = self._shown_at = 0.0
        self._open = False

    def begin(self, number: int, of: int, name: str) -> OnBytes | None:
        """A file begins; what hears of its bytes, where that is shown."""
        if not self._terminal:
            return None
        self._began_at = time.monotonic()
        self._show(moving(number, of, name, 0, 1, 0.0))

        def on_bytes(done: int, size: int) -> None:
            now = time.monotonic()
            if now - self._shown_at >= EVERY_S:
                self._show(moving(number, of, name, done, size, now - self._began_at))

        return on_bytes

    def end(self, number: int, of: int, name: str, size: int) -> None:
        """A file is done."""
        if self._terminal:
            self._show(moving(number, of, name, size, size, time.monotonic() - self._began_at))
        else:
            console.line(f"{number} of {of}: {name}, {_mib(size)} MiB")

    def close(self) -> None:
        """What is printed next begins on a line of its own."""
        if self._open:
            console.line()
            self._open = False

    def _show(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1  # a full line would wrap, and could not be written over
        shown = text if len(text) <= width else f"…{text[len(text) - width + 1 :]}"
        console.over_line(shown)
        self._open, self._shown_at = True, time.monotonic()


def moving(number: int, of: int, name: str, done: int, size: int, seconds: float) -> str:
    """A copy under way (`done` of `size` bytes after `seconds`) in a line of a terminal.

    The name may come from a host: it gets no control characters through. A file that grows is at 100% from its size on.
    """
    plain = "".join(character if character.isprintable() else "?" for character in name)
    share = 100 * done // size if done < size else 100
    rate = f", {done / 2**20 / seconds:.1f} MiB/s" if seconds > 0 and done else ""
    return f"{number} of {of}: {plain}, {_mib(done)} MiB, {share}%{rate}"


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f}"


def upload(connection: Connection, source: Path, target: str, progress: Progress) -> int:
    """Copy a file or a folder to a host, as `cp -r` would, telling of each file; how many files."""
    if not source.exists():
        raise UsageError(f"there is no {source}")
    into = connection.run(f"[ -d {_quoted(target or '.')} ]", check=False).status == 0
    base = PurePosixPath(target or ".") / source.resolve().name if into else PurePosixPath(target)
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
        f"if [ -d {_quoted(source)} ]; then cd {_quoted(source)} && find . -type f; else echo //; fi"
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


def _quoted(path: str) -> str:
    return '"$HOME"/' + shlex.quote(path[2:]) if path.startswith("~/") else shlex.quote(path)
