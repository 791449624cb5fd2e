"""Standard output and standard error: what cannot be told there never stops what is being done."""

from __future__ import annotations

import errno
import io
import os
import sys
import unicodedata
from contextlib import suppress
from typing import Literal, TextIO

from provisioner.errors import OutputError


class Stream(io.TextIOBase):
    """One of the two. After a write that failed nothing more is written; `problem` says why.

    Attributes:
        goes_on: a failed write is kept in `problem` alone. Otherwise it raises OutputError: a command that only shows
            something has nothing left to do.
    """

    def __init__(self, name: Literal["stdout", "stderr"], *, goes_on: bool = False) -> None:
        self._name = name
        self.goes_on = goes_on
        self.problem: OSError | None = None

    @property
    def _file(self) -> TextIO:
        file: TextIO = getattr(sys, self._name)
        return file

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """What a terminal's library asks, before it draws."""
        return self._file.encoding

    def isatty(self) -> bool:
        """Whether somebody looks at it."""
        return self._file.isatty()

    def fileno(self) -> int:
        """Its descriptor."""
        return self._file.fileno()

    def write(self, text: str) -> int:
        """Write it at once."""
        if self.problem is None:
            try:
                self._file.write(text)
                self._file.flush()
            except OSError as error:
                self._give_up(error)
        if self.problem is not None and not self.goes_on:
            raise OutputError(f"standard output cannot be written: {self.problem.strerror}") from self.problem
        return len(text)

    def _give_up(self, error: OSError) -> None:
        self.problem = error
        # What is still in the file's buffer goes nowhere, so that Python does not try it once more when it ends.
        with suppress(io.UnsupportedOperation), open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), self._file.fileno())


stdout = Stream("stdout")
stderr = Stream("stderr", goes_on=True)


def prepare() -> None:
    """Make the streams fit to be written: open, and able to show every character, escaped where they lack it.

    A closed one becomes a place where nothing arrives, so that no file that is opened later is taken for it.
    """
    if not _is_open(0):
        sys.stdin = open(_nowhere())  # noqa: SIM115 - the process's own, as the next two
    if not _is_open(1):
        sys.stdout = open(_nowhere(), "w")  # noqa: SIM115
        stdout.problem = OSError(errno.EBADF, "it is closed")
    if not _is_open(2):
        sys.stderr = open(_nowhere(), "w")  # noqa: SIM115
    for file in (sys.stdout, sys.stderr):
        if isinstance(file, io.TextIOWrapper):
            file.reconfigure(errors="backslashreplace")


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _nowhere() -> int:
    """A descriptor with the lowest number that is free."""
    return os.open(os.devnull, os.O_RDWR)


def reader_is_gone(error: BaseException) -> bool:
    """Whether output failed because nobody reads it any more (`| head -n 1`): nothing that has to be told."""
    cause = error.__cause__
    return isinstance(error, OutputError) and isinstance(cause, OSError) and cause.errno == errno.EPIPE


def printable(text: str, *, keep: str = "\n\t") -> str:
    """Text with whatever a terminal would obey, and whatever reorders or hides text, as `\\uXXXX`, as JSON does."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character in keep or unicodedata.category(character) == "Zs"
        else _escaped(character)
        for character in text
    )


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
