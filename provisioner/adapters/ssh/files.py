"""Files on a host by SFTP (draft-ietf-secsh-filexfer-02, with OpenSSH's posix-rename): whole or not at all.

Imports paramiko, so it is itself imported at the first file only.
"""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
from collections.abc import Callable
from contextlib import suppress
from typing import IO

import paramiko

from provisioner.ports import OnBytes

CHUNK = 32_000  # a request and its header in one SSH packet
HASH_ABOVE = 1024 * 1024  # bytes; below, the size and the server's answer to each write are proof enough


class RemoteFiles:
    """One SFTP session, for one thread at a time: paramiko's client mixes up the answers of several.

    Methods raise OSError for what the host refuses; EOFError and paramiko.SSHException for a connection that is gone.

    Args:
        channel: a session channel.
        remote_sha256: the SHA-256 of a file on the host, in hexadecimal.
    """

    def __init__(self, channel: paramiko.Channel, remote_sha256: Callable[[str], str]) -> None:
        channel.invoke_subsystem("sftp")
        self._client = paramiko.SFTPClient(channel)
        self._remote_sha256 = remote_sha256

    def put(self, source: IO[bytes], path: str, mode: int, on_sent: Callable[[int], None] | None = None) -> None:
        """Write what `source` gives: to a temporary name beside `path`, verified, then renamed; makes folders.

        `on_sent` hears after each chunk how many bytes have gone out.
        """
        folder, name = posixpath.split(path)
        temporary = posixpath.join(folder, f".{name}.{os.urandom(4).hex()}.part")
        try:
            target = self._client.open(temporary, "wx")
        except OSError as error:
            if error.errno != errno.ENOENT or not folder:
                raise
            self._make_folders(folder)
            target = self._client.open(temporary, "wx")
        try:
            with target:
                target.chmod(mode)  # before the first byte: it may be a secret
                size, digest = _send(source, target, on_sent)
                written = target.stat().st_size
            if written != size:
                raise OSError(f"{written} of {size} bytes arrived")
            if size > HASH_ABOVE and self._remote_sha256(temporary) != digest:
                raise OSError("what arrived differs from what was sent")
            self._client.posix_rename(temporary, path)
        except OSError:
            with suppress(OSError):
                self._client.remove(temporary)
            raise

    def get(self, path: str, target: IO[bytes], on_bytes: OnBytes | None = None) -> None:
        """Copy a file to `target`; `on_bytes` hears of each chunk."""
        with self._client.open(path, "rb") as source:
            size, done = source.stat().st_size or 0, 0
            source.prefetch(size, max_concurrent_requests=64)
            while data := source.read(CHUNK):  # to its end: /proc says 0, and a log grows
                target.write(data)
                done += len(data)
                if on_bytes is not None:
                    on_bytes(done, size)

    def close(self) -> None:
        """End the session."""
        self._client.close()

    def _make_folders(self, folder: str) -> None:
        try:
            self._client.stat(folder)
        except FileNotFoundError:
            parent = posixpath.dirname(folder)
            if parent not in ("", "/"):
                self._make_folders(parent)
            self._client.mkdir(folder)


def _send(source: IO[bytes], target: paramiko.SFTPFile, on_sent: Callable[[int], None] | None) -> tuple[int, str]:
    """Size and SHA-256 of what was sent, after the server has said that each write was done."""
    size, digest = 0, hashlib.sha256()
    target.set_pipelined(True)
    data = source.read(CHUNK)
    while data:
        following = source.read(CHUNK)
        if not following:
            target.set_pipelined(False)  # with the last write, the answers to all of them are read
        target.write(data)
        size += len(data)
        digest.update(data)
        if on_sent is not None:
            on_sent(size)
        data = following
    return size, digest.hexdigest()
