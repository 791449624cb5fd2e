"""What a command prints, as it arrives: into lines for the reader, text for the result, and the end of an error."""

from __future__ import annotations

import codecs
import io
import re

from provisioner.errors import CommandError, CommandTimeoutError
from provisioner.ports import Completed, OnLine

TAIL_LINES = 20
_TAIL_CHARACTERS = 16384

SILENCE_S = 1.0
"""After a command's end, how long its output may be silent before what still holds it open is left behind."""


class LineSplitter:
    r"""Cuts a stream into lines at \n, \r\n and \r (progress bars), and keeps all of it.

    Bytes that are no UTF-8 become U+FFFD. A lone \r at the end of a chunk waits for the next one, which may begin with
    its \n.
    """

    def __init__(self, on_line: OnLine | None = None) -> None:
        self._on_line = on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._newlines = io.IncrementalNewlineDecoder(None, translate=True)
        self._parts: list[str] = []
        self._line: list[str] = []

    def feed(self, data: bytes) -> None:
        """Take the next bytes; calls `on_line` for each line that is now whole."""
        self._take(self._decoder.decode(data), final=False)

    def finish(self) -> None:
        """The stream is over: what is left is the last line."""
        self._take(self._decoder.decode(b"", final=True), final=True)
        if self._line:
            self._take("\n", final=True, kept=False)

    @property
    def output(self) -> str:
        """Everything so far, as it was printed."""
        return "".join(self._parts)

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines that are not blank, at most 20."""
        lines = re.split(r"\r\n|\r|\n", self.output[-_TAIL_CHARACTERS:])
        return tuple([line for line in lines if line.strip()][-TAIL_LINES:])

    def _take(self, text: str, *, final: bool, kept: bool = True) -> None:
        if kept:
            self._parts.append(text)
        if self._on_line is None:
            return
        *ends, rest = self._newlines.decode(text, final).split("\n")
        for end in ends:
            line = "".join(self._line) + end
            self._line.clear()
            self._on_line(line)
        if rest:
            self._line.append(rest)


def completed(name: str, command: str, status: int, splitter: LineSplitter, *, check: bool) -> Completed:
    """The result of a command that ended on host `name`. Raises CommandError for a failed one when `check` is set."""
    if check and status != 0:
        how = f"ended with status {status}" if status > 0 else "ended, by a signal or without telling a status"
        raise CommandError(
            f"{name}: `{shortened(command)}` {how}",
            "its last lines say why",
            host=name,
            tail=splitter.tail,
            status=status,
        )
    return Completed(status, splitter.output)


def too_slow(name: str, command: str, timeout_s: float | None, splitter: LineSplitter) -> CommandTimeoutError:
    """The error for a command that was stopped at its deadline."""
    return CommandTimeoutError(
        f"{name}: `{shortened(command)}` did not end within {timeout_s:g} s and was stopped",
        "look at its last lines; if it was only slow, run the same again",
        host=name,
        tail=splitter.tail,
    )


def file_refused(name: str, what: str, error: OSError) -> CommandError:
    """The error for a file that a host does not let us read or write."""
    return CommandError(
        f"{name}: {what}: {error.strerror or error}",
        "check the path, its owner and mode, and the free space",
        host=name,
    )


def shortened(command: str) -> str:
    """A command as messages name it: its first line, at most 80 characters."""
    first = command.strip().split("\n")[0]
    return first if len(first) <= 80 else f"{first[:77]}..."
