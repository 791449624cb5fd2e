"""The command line: parse, call, show.

Only typer is imported here; each command imports what it needs, so `--help` and an offline `plan` stay quick.
"""

from __future__ import annotations

import signal
import sys
import traceback
from types import FrameType
from typing import NoReturn

from provisioner.cli import console, streams
from provisioner.errors import InterruptedRun, ProvisionerError


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage or inventory, 130 interrupted."""
    streams.prepare()
    # A CI job that is cancelled and a terminal that is closed deserve the same care as Ctrl-C. Who had SIGHUP ignored
    # (nohup) meant it.
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _hang_up)
    code = 0
    try:
        from provisioner.cli.app import app

        app()
    except SystemExit as end:  # typer's own: a wrong command line, or the status of a host's command
        code = end.code if isinstance(end.code, int) else 0
    except (Exception, KeyboardInterrupt) as error:
        code = _as_ours(error).exit_code
        if "--debug" in sys.argv:
            streams.stderr.write(traceback.format_exc())
        elif not streams.reader_is_gone(error):
            console.report_error(_as_ours(error))
    sys.exit(console.exit_code(code))


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _hang_up(_number: int, _frame: FrameType | None) -> NoReturn:
    # The kernel and the shell both send it when a terminal goes: the second one is not a wish to stop removing.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise KeyboardInterrupt


def _as_ours(error: BaseException) -> ProvisionerError:
    """Any error as one of ours."""
    if isinstance(error, ProvisionerError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return InterruptedRun("interrupted")
    if isinstance(error, OSError) and error.strerror:
        what = f"{error.filename} cannot be used" if error.filename else "the system refused"
        return ProvisionerError(f"{what}: {error.strerror}", "check the path, its owner and the free space")
    what = f"{type(error).__name__}: {error}"
    return ProvisionerError(
        f"a mistake in this program, please report it: {what}", "`provisioner --debug …` shows where"
    )
