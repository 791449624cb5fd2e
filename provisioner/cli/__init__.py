"""The command line: parse, call, show.

Only typer is imported here; each command imports what it needs, so `--help` and an offline `plan` stay quick.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

from provisioner.errors import HostError, PartialFailureError, ProvisionerError


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage or inventory, 130 interrupted."""
    from provisioner.cli.app import app

    # Cancelling a CI job sends SIGTERM; it deserves the same care as Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except ProvisionerError as error:
        if "--debug" in sys.argv:
            raise
        report_error(error)
        sys.exit(error.exit_code)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        what = f"{type(error).__name__}: {error}"
        print(
            f"provisioner: a mistake in this program, please report it: {what}: `provisioner --debug …` shows where",
            file=sys.stderr,
        )
        sys.exit(1)
    sys.exit(0)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def report_error(error: ProvisionerError) -> None:
    """One sentence to stderr, and the last lines that the failing host printed."""
    print(f"provisioner: {error}", file=sys.stderr)
    failures = error.failures if isinstance(error, PartialFailureError) else [("", error)]
    for step, failure in failures:
        if step:
            print(f"  {step}: {failure}", file=sys.stderr)
        if isinstance(failure, HostError):
            for line in failure.tail:
                print(f"    | {line}", file=sys.stderr)
