"""A program on a host that goes on when nobody follows it: its output, exit status and process id in a folder there.

The client starts it in a session of its own, follows its output, and may come and go: whoever comes next finds it by
the folder, hears every line from the first on, and gets its exit status. Commands and what they print are text here;
the one who runs them is `training`.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Literal

from provisioner.errors import HostError

_PROGRAM = 'echo $$ > "$1/pid"; bash "$2" > "$1/log" 2>&1; echo $? > "$1/status"'

_RUN = re.compile("[a-z0-9-]+")

POLL_S = 0.2
"""Between two looks of the host's `tail` at the output."""


@dataclass(frozen=True)
class Trace:
    """What a look at the folder shows. `key` and `run` are those it was started with, `status` is there once it ended.

    Lost: it has neither ended by itself nor is it running; it was killed, or its machine restarted.
    """

    state: Literal["none", "running", "ended", "lost"]
    key: str = ""
    run: str = ""
    status: int | None = None


def start(folder: str, script: str, key: str, run: str) -> str:
    """Start `bash SCRIPT`, after which `look` shows it. What an earlier program left in the folder is gone.

    The process notes its own id before anything else, so that a cut line leaves either nothing or one that is found.
    """
    inside = shlex.quote(folder)
    return (
        f"rm -rf {inside} && mkdir -p {inside} && : > {inside}/log && "
        f"printf '%s %s\\n' {shlex.quote(key)} {shlex.quote(run)} > {inside}/key && "
        f"{{ setsid sh -c {shlex.quote(_PROGRAM)} training {inside} {shlex.quote(script)} "
        "</dev/null >/dev/null 2>&1 & } && "
        f"for i in $(seq 100); do [ -s {inside}/pid ] && exit 0; sleep 0.05; done; exit 1"
    )


def look(folder: str) -> str:
    """Print what `parse_look` reads. The status last: a program that ends meanwhile wrote it before it was gone."""
    inside = shlex.quote(folder)
    return (
        f"echo key $(cat {inside}/key 2>/dev/null); echo running $({_alive(folder)} && echo yes); "
        f"echo status $(cat {inside}/status 2>/dev/null)"
    )


def parse_look(output: str, host: str) -> Trace:
    """What `look` printed on `host`. A status counts before a process that is about to end.

    Raises HostError for a run that has no name of ours: files here are named after it.
    """
    fields = dict.fromkeys(("key", "status", "running"), "")
    for line in output.splitlines():
        name, _, value = line.partition(" ")
        if name in fields:
            fields[name] = value.strip()
    key, _, run = fields["key"].partition(" ")
    if not key:
        return Trace("none")
    if not _RUN.fullmatch(run):
        raise HostError(
            f"{host} says that its training is called {run!r}, which is no name of ours",
            "is the host what it should be? Its folder `training` is below the deployment's",
            host=host,
        )
    if fields["status"].isdigit():
        return Trace("ended", key, run, int(fields["status"]))
    return Trace("running" if fields["running"] == "yes" else "lost", key, run)


def follow(folder: str) -> str:
    """Print the output from its first line on, until the program has ended."""
    inside = shlex.quote(folder)
    return f"tail -n +1 -s {POLL_S} -f --pid=$(cat {inside}/pid) {inside}/log"


def stop(folder: str) -> str:
    """End the program and all that it started, if it runs; the folder goes with it."""
    inside = shlex.quote(folder)
    return (
        f"if {_alive(folder)}; then p=$(cat {inside}/pid); kill -s TERM -- -$p; "
        f'for i in $(seq 50); do kill -s 0 -- -$p 2>/dev/null || break; [ "$i" -lt 40 ] || kill -s KILL -- -$p; '
        f"sleep 0.1; done; fi; rm -rf {inside}"
    )


def forget(folder: str) -> str:
    """Remove the traces of a program that has ended."""
    return f"rm -rf {shlex.quote(folder)}"


def ended_processes(folder: str) -> str:
    """Print a line `NAME PID` for each process that Spark's start scripts noted in `folder` and that is gone."""
    inside = shlex.quote(folder)
    return (
        f"for f in master workers; do for p in $(cat {inside}/$f.pid 2>/dev/null); do "
        "[ -d /proc/$p ] || echo $f $p; done; done"
    )


def is_running(word: str, pid_file: str) -> str:
    """Succeed when the process whose id the file holds runs, and still has this word in its command line."""
    return f'grep -qs {word} "/proc/$(cat {shlex.quote(pid_file)} 2>/dev/null)/cmdline"'


def _alive(folder: str) -> str:
    """Whether the noted process runs and is still that program: ids are used again after a restart."""
    inside = shlex.quote(folder)
    words = f"' training '{inside}' '"
    return f"tr '\\0' ' ' 2>/dev/null < /proc/$(cat {inside}/pid 2>/dev/null)/cmdline | grep -qF -- {words}"
