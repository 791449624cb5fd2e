"""An interactive session: this process's terminal, handed to a program on a host."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paramiko import Channel

_WINDOW_POLL_S = 0.05  # nothing tells when the other side takes more bytes


def attach(channel: Channel, command: str | None) -> int:
    """Run a login shell, or `command`, on this process's stdin and stdout; its exit status (-1 without one).

    With a terminal here the program gets one too, of the same size, also when that changes; keys go through as they
    are, Ctrl-C included. Without one it gets pipes. For the main thread only. Raises SSHException, EOFError, OSError.
    """
    if not sys.stdin.isatty():
        _request(channel, command)
        return _relay(channel, None)
    columns, lines = shutil.get_terminal_size()
    channel.get_pty(os.environ.get("TERM", "xterm"), columns, lines)
    _request(channel, command)
    with _raw_terminal(), _size_changes() as changes:
        return _relay(channel, changes)


def _request(channel: Channel, command: str | None) -> None:
    if command is None:
        channel.invoke_shell()
    else:
        channel.exec_command(command)


def _relay(channel: Channel, size_changes: int | None) -> int:
    """Carry bytes both ways until the program ends; `size_changes` is readable when the terminal's size changed."""
    stdin, stdout, stderr = sys.stdin.fileno(), sys.stdout.fileno(), sys.stderr.fileno()
    typed, typing = b"", True
    while True:
        inputs = [
            channel.fileno(),
            *([stdin] if typing and not typed else []),
            *([size_changes] if size_changes else []),
        ]
        ready, _, _ = select.select(inputs, [], [], _WINDOW_POLL_S if typed else None)
        if size_changes in ready and size_changes is not None:
            os.read(size_changes, 1024)
            channel.resize_pty(*shutil.get_terminal_size())
        while channel.recv_stderr_ready():
            _write(stderr, channel.recv_stderr(65536))
        if channel.recv_ready() or channel.eof_received or channel.closed:
            data = channel.recv(65536)
            if not data:
                return channel.recv_exit_status()
            _write(stdout, data)
        if stdin in ready:
            typed = os.read(stdin, 65536)
            typing = bool(typed)
            if not typing:
                channel.shutdown_write()
        if typed and channel.send_ready():  # never wait for the program to read: it may be waiting for us to
            typed = typed[channel.send(typed) :]


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


@contextmanager
def _raw_terminal() -> Iterator[None]:
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextmanager
def _size_changes() -> Iterator[int]:
    """A descriptor with a byte for each SIGWINCH; its handler must not touch the channel, whose locks may be held."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.signal(signal.SIGWINCH, lambda *_: os.write(writing, b"\0"))
    try:
        yield reading
    finally:
        signal.signal(signal.SIGWINCH, before)
        os.close(reading)
        os.close(writing)
