"""The hosts' logs in a deployment's folder: `logs/HOST.log`, and `logs/HOST.log.1` for what came before it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from pathlib import Path

from provisioner.adapters.store import readable_errors

MOST_BYTES = 4 * 1024 * 1024
"""Of one file; then it becomes the one before, whose place it takes."""

MOST_CHARACTERS = 4096
"""Of one line; the rest is cut off."""

SHORTEST_SECRET = 4
"""Characters. To mask a shorter one would only make the log unreadable."""


class FolderHostLogs:
    """Implements ports.HostLogs. Not flushed to the disk line by line, unlike state: a log may lose its last moment.

    Args:
        folder: the deployment's.
        secrets: what is masked, asked at each line: secrets are generated on the way.
    """

    def __init__(self, folder: Path, secrets: Callable[[], Iterable[str]]) -> None:
        self._folder = folder / "logs"
        self._secrets = secrets
        self._lock = threading.Lock()

    def path(self, host: str) -> Path:
        """Where a host's log is, or would be."""
        return self._folder / f"{host}.log"

    def append(self, host: str, line: str) -> None:
        """A line with its time. Raises StateError when it cannot be written."""
        for secret in sorted(self._secrets(), key=len, reverse=True):  # one may be part of another
            if len(secret) >= SHORTEST_SECRET:
                line = line.replace(secret, "********")
        if len(line) > MOST_CHARACTERS:
            line = f"{line[:MOST_CHARACTERS]}…"
        at = datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
        data = f"{at} {line}\n".encode("utf-8", "replace")
        path = self.path(host)
        with self._lock, readable_errors(path):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            if path.exists() and path.stat().st_size + len(data) > MOST_BYTES:
                path.replace(path.with_name(f"{path.name}.1"))
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                file.write(data)
