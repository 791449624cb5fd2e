"""One command on one channel: how it is started, read and stopped."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from provisioner.adapters.output import SILENCE_S

if TYPE_CHECKING:
    from paramiko import Channel

# What runs before a command: its process id, so that it can be stopped (a channel that closes stops nothing unless the
# command has a terminal); no input, so that nothing waits for an answer; and one stream, since two would lose the order
# of arrival. What the login's own start-up files print comes before the mark and is dropped.
_PREFIX = "exec 2>&1 </dev/null; printf '\\001%s\\n' $$\n"
_MARK = b"\x01"

# TERM to the process group; KILL to what of it is left after two seconds. Under sudo the group has members that only
# root may signal. A `--` before the group is not understood by every shell's kill.
_STOP = """p=%d
k() { kill "-$1" "-$p" || kill "-$1" "$p"; r=$?; [ "$(id -u)" = 0 ] || sudo -n kill "-$1" "-$p" || return $r; }
k TERM >/dev/null 2>&1; i=0
while k 0 && [ $i -lt 20 ]; do sleep 0.1; i=$((i + 1)); done >/dev/null 2>&1
k KILL >/dev/null 2>&1"""


@contextmanager
def answered(channel: Channel, within_s: float) -> Iterator[None]:
    """Close the channel when a request on it gets no answer, for which paramiko would wait for ever."""
    watchdog = threading.Timer(within_s, channel.close)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()


def stop_line(pid: int) -> str:
    """The command that stops a command with everything it started, kindly and then not."""
    return f"exec /bin/sh -c {shlex.quote(_STOP % pid)}"


class RemoteCommand:
    """A `/bin/sh -c` on a channel of its own, without input, stdout and stderr in one stream.

    `pid` is its process on the host, once it has begun; `in_time` whether it ended before the deadline.
    """

    def __init__(self, channel: Channel) -> None:
        self.pid: int | None = None
        self.in_time = True
        self.channel = channel

    def start(self, command: str, answer_s: float) -> None:
        """Ask for it. Raises SSHException, EOFError."""
        self.channel.set_combine_stderr(True)
        with answered(self.channel, answer_s):
            self.channel.exec_command(f"exec /bin/sh -c {shlex.quote(_PREFIX + command)}")

    def output(self, deadline: float | None) -> Iterator[bytes]:
        """What it prints, until it has ended or `deadline` (time.monotonic) has come. Raises SSHException, OSError."""
        head = b""
        for data in self._received(deadline):
            if self.pid is not None:
                yield data
                continue
            head += data
            _, mark, rest = head.partition(_MARK)
            digits, newline, begin = rest.partition(b"\n")
            if mark and newline:
                self.pid = int(digits)
                yield begin
        if self.pid is None:
            yield head  # it never began: this says why
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        self.in_time = self.in_time and self.channel.status_event.wait(left)  # it may close its output and run on

    def _received(self, deadline: float | None) -> Iterator[bytes]:
        ended = False
        while True:
            left = SILENCE_S if deadline is None else deadline - time.monotonic()
            if left <= 0 and not ended:
                self.in_time = False
                return
            self.channel.settimeout(SILENCE_S if ended else min(SILENCE_S, left))
            try:
                data = self.channel.recv(65536)
            except TimeoutError:
                if ended:
                    return  # what it left behind holds its output open
                ended = self.channel.exit_status_ready()
                continue
            if not data:
                return
            yield data
