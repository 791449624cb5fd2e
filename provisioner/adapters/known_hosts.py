"""A deployment's known_hosts file, in OpenSSH's format (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path

from provisioner.adapters.atomic import write_atomically
from provisioner.errors import StateError

_writing = threading.Lock()


def entry_name(address: str, port: int) -> str:
    """How a host is named in the file: its address, or `[address]:port` when the port is not 22."""
    return address if port == 22 else f"[{address}]:{port}"


def fingerprint(key: str) -> str:
    """`TYPE BASE64` -> `TYPE SHA256:…`, as `ssh-keygen -lf` and the cloud's console show it."""
    kind, blob = key.split()[:2]
    digest = hashlib.sha256(base64.b64decode(blob)).digest()
    return f"{kind} SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def known_keys(file: Path, address: str, port: int) -> list[str]:
    """The keys known for a host, as `TYPE BASE64`; [] for a host that is not in the file, or without the file."""
    try:
        text = file.read_text()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise StateError(f"{file} cannot be read: {error}", "mend or remove it") from error
    entry = entry_name(address, port)
    return [f"{kind} {blob}" for names, kind, blob in map(_fields, text.splitlines()) if entry in names]


def replace_keys(file: Path, address: str, port: int, keys: Sequence[str]) -> None:
    """Put the keys of a host (`TYPE BASE64`, a comment may follow) in place of any that are there for it."""
    name = entry_name(address, port)
    with _writing:
        lines = file.read_text().splitlines() if file.exists() else []
        if sorted(known_keys(file, address, port)) == sorted(" ".join(key.split()[:2]) for key in keys):
            return
        kept = [line for line in lines if name not in _fields(line)[0]]
        added = [f"{name} {' '.join(key.split()[:2])}" for key in keys]
        write_atomically(file, "".join(f"{line}\n" for line in kept + added).encode())


def _fields(line: str) -> tuple[list[str], str, str]:
    """A line's host names, key type and key; all empty for what is no entry (comments, @markers)."""
    fields = line.split()
    if len(fields) < 3 or line.lstrip().startswith(("#", "@")):
        return [], "", ""
    return fields[0].split(","), fields[1], fields[2]
