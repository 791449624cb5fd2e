"""The command line as people use it: a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output as one JSON document."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Its output as JSON Lines."""
        return [json.loads(line) for line in self.out.splitlines()]


def environment(**more: str) -> dict[str, str]:
    """Next to nothing: where state goes, a home without anything in it, and where programs are."""
    state = Path(more.get("XDG_STATE_HOME") or os.environ["XDG_STATE_HOME"])
    home = Path(more.get("HOME") or state.parent / "home")
    home.mkdir(exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_STATE_HOME": str(state),
        "PYTHONPATH": str(ROOT),
        "LANG": "C.UTF-8",
        **more,
    }


def command(*arguments: object, options: Sequence[str] = ()) -> list[str]:
    """The words that start it."""
    return [sys.executable, *options, "-m", "provisioner", *map(str, arguments)]


def provisioner(
    *arguments: object, cwd: Path = ROOT, timeout: float = PATIENCE_S, options: Sequence[str] = (), **more: str
) -> Done:
    """Run it to its end, without a terminal. `more` goes into its environment, `options` are Python's own."""
    done = subprocess.run(
        command(*arguments, options=options),
        cwd=cwd,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def write(path: Path, text: str) -> Path:
    """An inventory file."""
    path.write_text(text)
    return path
