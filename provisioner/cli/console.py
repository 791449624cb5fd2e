"""The one place that prints: tables and a spinner on a terminal, plain lines in a pipe, JSON with --json."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from provisioner.runner import Event

MARKS = {"present": "=", "done": "+", "failed": "!", "undone": "-"}


class Console:
    """Shows events and results. `as_json`: JSON Lines of events, then one object. Called from several threads."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self._lock = threading.Lock()
        self._status: Any = None
        self._last = ""
        if sys.stdout.isatty() and not as_json:
            from rich.console import Console as Rich

            self._rich: Any = Rich(highlight=False)
        else:
            self._rich = None

    def event(self, event: Event) -> None:
        """One thing that happened."""
        with self._lock:
            if self.as_json:
                print(json.dumps(event.as_json()), flush=True)
            elif event.kind == "phase":
                self._line(f"{event.text}:", "bold")
            elif event.kind in ("start", "progress"):
                self._now(event)
            else:
                where = f" [{event.host}]" if event.host else ""
                took = f"  {event.seconds:.1f} s" if event.seconds is not None else ""
                style = {"failed": "red", "present": "dim"}.get(event.kind, "")
                self._line(f"  {MARKS[event.kind]}{where} {event.text}{took}", style)

    def _now(self, event: Event) -> None:
        """What is being done: a spinner that the next one replaces, or in a pipe a line for progress alone."""
        where = f"[{event.host}] " if event.host else ""
        if self._rich is None:
            if event.kind == "progress" and event.text != self._last:
                print(f"    . {event.text}", flush=True)
                self._last = event.text
            return
        if self._status is None:
            self._status = self._rich.status("")
            self._status.start()
        self._status.update(f"{where}{event.text}".replace("[", "\\["))

    def _line(self, text: str, style: str = "") -> None:
        if self._rich is None:
            print(text, flush=True)
        else:
            self._rich.print(text, style=style or None, markup=False)

    def close(self) -> None:
        """End the spinner."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def say(self, text: str = "") -> None:
        """A line for the person; nothing with --json."""
        if not self.as_json:
            with self._lock:
                self._line(text)

    def warn(self, text: str) -> None:
        """A line on stderr."""
        print(f"provisioner: {text}", file=sys.stderr, flush=True)

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Aligned columns."""
        lines = [[str(cell) for cell in row] for row in rows]
        if self._rich is not None:
            from rich.table import Table

            table = Table(*headers, box=None, pad_edge=False)
            for line in lines:
                table.add_row(*(cell.replace("[", "\\[") for cell in line))
            self._rich.print(table)
            return
        widths = [max(len(line[i]) for line in [list(headers), *lines]) for i in range(len(headers))]
        for line in [list(headers), *lines]:
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())

    def result(self, value: object) -> None:
        """The one object of a command with --json."""
        print(json.dumps(value, ensure_ascii=False), flush=True)

    def ask(self, question: str) -> bool:
        """Yes or no, from a person at a terminal."""
        self.close()
        answer = input(f"{question} [y/N] ")
        return answer.strip().lower() in ("y", "yes")
