"""`cp`: files and folders to and from a host."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from provisioner.cli import console
from provisioner.render import counted

if TYPE_CHECKING:
    from provisioner.ports import OnBytes

EVERY_S = 0.1
"""Between two updates of a terminal's line."""


def cp(source: str, target: str) -> None:
    """Copy a file or a folder: `provisioner cp NAME:PATH LOCAL`, `provisioner cp LOCAL NAME:PATH` (NAME/HOST: too)."""
    from provisioner.operations.transfer import copy

    progress = Progress()
    try:
        count = copy(source, target, progress)
    finally:
        progress.close()
    console.line(f"{counted(count, 'file')} copied")


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
