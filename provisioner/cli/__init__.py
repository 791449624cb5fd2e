"""The command line: parse, call, show.

Only typer is imported here; each command imports what it needs, so `--help` and an offline `plan` stay quick.
"""

from __future__ import annotations

import signal
import sys
import traceback
from types import FrameType
from typing import NoReturn

from provisioner.errors import HostError, InterruptedRun, PartialFailureError, ProvisionerError


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage or inventory, 130 interrupted."""
    # Cancelling a CI job sends SIGTERM; it deserves the same care as Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        from provisioner.cli.app import app

        app()
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in sys.argv:
            traceback.print_exc()
        else:
            report_error(_told(error))
        sys.exit(_told(error).exit_code)
    sys.exit(0)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _told(error: BaseException) -> ProvisionerError:
    """Any error as one of ours."""
    if isinstance(error, ProvisionerError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return InterruptedRun("interrupted")
    if isinstance(error, OSError) and error.filename:
        return ProvisionerError(f"{error.filename} cannot be used: {error.strerror}", "check the path and its owner")
    what = f"{type(error).__name__}: {error}"
    return ProvisionerError(
        f"a mistake in this program, please report it: {what}", "`provisioner --debug …` shows where"
    )


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
