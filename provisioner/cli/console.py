"""The one place that prints: tables and a spinner on a terminal, plain lines in a pipe, JSON with --json.

Text may come from inventories, hosts and the cloud: what a terminal would obey is shown escaped.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any, cast

from provisioner.cli import streams
from provisioner.cli.streams import printable
from provisioner.errors import HostError, PartialFailureError, ProvisionerError
from provisioner.render import aligned

if TYPE_CHECKING:
    from provisioner.runner import Event

MARKS = {"present": "=", "done": "+", "failed": "!", "undone": "-"}

_untold: list[str] = []


def line(text: str = "") -> None:
    """A line on standard output."""
    streams.stdout.write(f"{printable(text)}\n")


def raw_line(text: str) -> None:
    """A line of what a person asked a host to print: as it is."""
    streams.stdout.write(f"{text}\n")


def over_line(text: str) -> None:
    """On a terminal, in place of the line that is there."""
    streams.stdout.write(f"\r{printable(text, keep='')}\x1b[K")


def warn(text: str) -> None:
    """A line on standard error."""
    streams.stderr.write(f"provisioner: {printable(text)}\n")


def untold(text: str) -> None:
    """Something could not be told or noted down. It is said where possible, and makes the exit code 1."""
    _untold.append(text)
    warn(text)


def report_error(error: ProvisionerError) -> None:
    """One sentence to standard error, and the last lines that the failing host printed."""
    warn(str(error))
    failures = error.failures if isinstance(error, PartialFailureError) else [("", error)]
    for step, failure in failures:
        if step:
            streams.stderr.write(f"  {printable(f'{step}: {failure}')}\n")
        if isinstance(failure, HostError):
            for text in failure.tail:
                streams.stderr.write(f"    | {printable(text)}\n")


def exit_code(code: int) -> int:
    """The exit code of a command that ended with `code`: not 0 when some of what it had to tell did not arrive."""
    going_on, streams.stdout.goes_on = streams.stdout.goes_on, True
    streams.stdout.write("")  # what is in its buffer still
    if streams.stdout.problem and going_on:
        untold(
            f"standard output cannot be written: {streams.stdout.problem.strerror}: what was to be told there is lost"
        )
    return code or int(bool(_untold))


def on_terminal() -> bool:
    """Whether somebody looks at standard output."""
    return streams.stdout.isatty()


def somebody_there() -> bool:
    """Whether somebody can answer a question."""
    return sys.stdin.isatty()


class Console:
    """Shows events and results. `as_json`: JSON Lines of events, then one object. Called from several threads.

    Args:
        as_json: JSON instead of text.
        goes_on: what is being done goes on when standard output cannot be written.
    """

    def __init__(self, *, as_json: bool = False, goes_on: bool = False) -> None:
        self.as_json = as_json
        streams.stdout.goes_on = goes_on
        self._lock = threading.Lock()
        self._live: Any = None
        self._spinner: Any = None
        self._last = ""
        if on_terminal() and not as_json:
            from rich.console import Console as Rich

            self._rich: Any = Rich(file=cast(IO[str], streams.stdout), highlight=False)
        else:
            self._rich = None

    def event(self, event: Event) -> None:
        """One thing that happened."""
        if event.kind == "error":
            untold(event.text)
        if event.kind == "notice":
            self.close()
            warn(event.text)
            return
        with self._lock:
            if self.as_json:
                line(json.dumps(event.as_json()))
            elif event.kind == "phase":
                self._line(f"{event.text}:", "bold")
            elif event.kind in ("start", "progress"):
                self._now(event)
            elif event.kind != "error":
                where = f" [{event.host}]" if event.host else ""
                took = f"  {event.seconds:.1f} s" if event.seconds is not None else ""
                style = {"failed": "red", "present": "dim"}.get(event.kind, "")
                self._line(f"  {MARKS[event.kind]}{where} {event.text}{took}", style)

    def _now(self, event: Event) -> None:
        """What is being done: a spinner that the next one replaces, or in a pipe a line for progress alone."""
        where = f"[{event.host}] " if event.host else ""
        if self._rich is None:
            if event.kind == "progress" and event.text != self._last:
                line(f"    . {event.text}")
                self._last = event.text
            return
        if self._live is None:
            from rich.live import Live
            from rich.spinner import Spinner

            self._spinner = Spinner("dots")
            # Not redirected: standard output is this console's already.
            self._live = Live(
                self._spinner, console=self._rich, transient=True, redirect_stdout=False, redirect_stderr=False,
                refresh_per_second=12.5,
            )  # fmt: skip
            self._live.start()
        from rich.text import Text

        self._spinner.update(text=Text(printable(f"{where}{event.text}", keep="")))

    def _line(self, text: str, style: str = "") -> None:
        if self._rich is None:
            line(text)
        else:
            self._rich.print(printable(text), style=style or None, markup=False)

    def close(self) -> None:
        """End the spinner."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, text: str = "") -> None:
        """A line for the person; nothing with --json."""
        if not self.as_json:
            with self._lock:
                self._line(text)

    def warn(self, text: str) -> None:
        """A line on stderr."""
        warn(text)

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Aligned columns."""
        lines = [[printable(str(cell), keep="") for cell in row] for row in rows]
        if self._rich is not None:
            from rich.table import Table
            from rich.text import Text

            table = Table(*headers, box=None, pad_edge=False)
            for row in lines:
                table.add_row(*(Text(cell) for cell in row))
            self._rich.print(table)
            return
        for text in aligned([headers, *lines], "  "):
            line(text)

    def result(self, value: object) -> None:
        """The one object of a command with --json."""
        line(json.dumps(value, ensure_ascii=False))

    def ask(self, question: str) -> bool:
        """Yes or no, from a person at a terminal. The end of the input is a no."""
        self.close()
        streams.stdout.write(f"{printable(question)} [y/N] ")
        try:
            answer = input()
        except EOFError:
            return False
        return answer.strip().lower() in ("y", "yes")
