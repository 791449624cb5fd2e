"""An SSH channel that looks like a socket, closely enough for http.client, urllib3 and a tunnel."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paramiko import Channel


class ChannelSocket:
    """What paramiko's Channel lacks: a file made from it keeps it open, as one made from a socket does.

    http.client closes the socket as soon as the headers of a last answer are in and reads the body from the file.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._files = 0
        self._closed = False

    def send(self, data: Any) -> int:
        """Send some of the bytes; how many it took."""
        return self._channel.send(bytes(data))

    def sendall(self, data: Any) -> None:
        """Send all of the bytes."""
        self._channel.sendall(bytes(data))

    def recv(self, size: int) -> bytes:
        """At most `size` bytes; b"" at the end. Raises TimeoutError."""
        return self._channel.recv(size)

    def recv_into(self, buffer: Any, size: int = 0) -> int:
        """Bytes into a buffer; how many."""
        view = memoryview(buffer).cast("B")
        data = self._channel.recv(size or len(view))
        view[: len(data)] = data
        return len(data)

    def settimeout(self, seconds: float | None) -> None:
        """How long `recv` and `send` may block."""
        self._channel.settimeout(seconds)

    def gettimeout(self) -> float | None:
        """As set by `settimeout`."""
        return self._channel.gettimeout()

    def setsockopt(self, *arguments: Any) -> None:
        """Options are the transport's; there is none to set on a channel."""

    def fileno(self) -> int:
        """A descriptor that select() finds readable when `recv` would not block."""
        return self._channel.fileno()

    def shutdown(self, how: int) -> None:
        """End one direction (socket.SHUT_WR: the other side sees the end of our bytes) or both."""
        self._channel.shutdown(how)

    def makefile(self, mode: str = "r", buffering: int | None = None, **text: Any) -> Any:
        """A file over it, as socket.makefile; `buffering` 0 gives a raw one."""
        raw = _ChannelFile(self)
        if buffering == 0:
            return raw
        size = io.DEFAULT_BUFFER_SIZE if buffering is None or buffering < 0 else buffering
        reading, writing = "r" in mode, "w" in mode
        buffered: Any
        if reading and writing:
            buffered = io.BufferedRWPair(raw, raw, size)
        else:
            buffered = io.BufferedWriter(raw, size) if writing else io.BufferedReader(raw, size)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, **text)

    def close(self) -> None:
        """Close it once the last file made from it is closed too."""
        self._closed = True
        self._close_when_unused()

    def __enter__(self) -> ChannelSocket:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _close_when_unused(self) -> None:
        if self._closed and self._files <= 0:
            self._channel.close()


class _ChannelFile(io.RawIOBase):
    def __init__(self, sock: ChannelSocket) -> None:
        self._sock = sock
        sock._files += 1

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._sock.recv_into(buffer)

    def write(self, data: Any) -> int:
        return self._sock.send(data)

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._sock._files -= 1
            self._sock._close_when_unused()
