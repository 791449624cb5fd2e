"""The folder of a deployment on this machine's disk: `$XDG_STATE_HOME/provisioner/NAME/`.

state.json      state.State (0600)              known_hosts     the hosts' public keys
secrets/        one file a secret (0600)        lock            held by the run that is working; lock.json says who
"""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

from provisioner.adapters.atomic import remove_leftovers, sync_folder, write_atomically
from provisioner.adapters.known_hosts import known_keys, replace_keys
from provisioner.deployment.state import State, parse
from provisioner.errors import LockedError, StateError, UsageError
from provisioner.secret import Secret

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?")


def state_root() -> Path:
    """Where the deployments' folders are: `$XDG_STATE_HOME/provisioner`, else `~/.local/state/provisioner`."""
    from platformdirs import user_state_path

    return user_state_path("provisioner", appauthor=False)


def list_deployments() -> list[str]:
    """The names of the deployments that have a state folder, sorted."""
    root = state_root()
    return sorted(path.parent.name for path in root.glob("*/state.json") if _NAME.fullmatch(path.parent.name))


def require(name: str) -> None:
    """Raises StateError when there is no deployment of this name on this machine, UsageError when there cannot be."""
    _check_name(name)
    names = list_deployments()
    if name not in names:
        existing = ", ".join(names) or "none"
        raise StateError(f"there is no deployment called {name}", f"deployments on this machine: {existing}")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be a deployment's name", "use lower-case letters, digits and hyphens")


class FolderStore:
    """Implements deployment.store.Store. Every write is on the disk when its method returns.

    Raises StateError when the folder cannot be read or written, or holds what this program did not write.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.folder = folder
        self.read_only = read_only
        self._mutex = threading.RLock()
        self._state: State | None = None
        self._removing = False
        self.unwritten: StateError | None = None
        """Why a change of the state is not on the disk, after `begin_removal`."""

    @classmethod
    def open(cls, name: str, *, create: bool, read_only: bool = False) -> FolderStore:
        """The folder of the deployment `name`; StateError when there is none and `create` is not set.

        One that is `read_only` refuses to change the state and the files, with a StateError.
        """
        if create:
            _check_name(name)
        else:
            require(name)
        store = cls(state_root() / name, read_only=read_only)
        if create:
            with readable_errors(store.folder):
                store.folder.mkdir(parents=True, exist_ok=True)
                store.folder.chmod(0o700)
                sync_folder(store.folder.parent)
        store._load()
        return store

    # ------------------------------------------------------------------------------------------------- the state

    @property
    def began(self) -> bool:
        """Whether there is a state."""
        return self._state is not None

    @property
    def state(self) -> State:
        """What is kept, to be read and not changed. Raises StateError for a deployment that never began."""
        if self._state is None:
            raise StateError(f"deployment {self.folder.name} was never started", "`provisioner up` starts it")
        return self._state

    @contextmanager
    def changing(self) -> Iterator[State]:
        """A copy of the state to change; it is the state once the block has ended, and is on the disk."""
        with self._mutex:
            state = self.state.model_copy(deep=True)
            yield state
            self.keep(state)

    def keep(self, state: State) -> None:
        """Put a whole state in place of what there was."""
        self._may_write("state.json")
        content = state.written()
        with self._mutex:
            try:
                with readable_errors(self._file):
                    self._save(content)
            except StateError as error:
                if not self._removing:
                    raise
                self.unwritten = error
            else:
                self.unwritten = None
            self._state = parse(content, str(self._file))  # what is in memory is what the next command reads

    def begin_removal(self) -> None:
        """As deployment.store.Store.begin_removal."""
        self._removing = True

    def secret(self, name: str) -> Secret:
        """A generated secret (256 bits, URL-safe) that stays the same; a file of its own, 0600."""
        path = self._inside(f"secrets/{name}")
        with self._mutex, readable_errors(path):
            if not path.exists():
                self.write(f"secrets/{name}", secrets.token_urlsafe(32))
            return Secret(path.read_text())

    # ------------------------------------------------------------------------------------------------- files

    @property
    def known_hosts(self) -> Path:
        """The hosts' public keys, in OpenSSH's format."""
        return self.folder / "known_hosts"

    def host_keys(self, address: str, port: int) -> list[str]:
        """The public keys (`TYPE BASE64`) that known_hosts has for a host; [] when it has none."""
        return known_keys(self.known_hosts, address, port)

    def add_host_keys(self, address: str, port: int, keys: Sequence[str]) -> None:
        """Put a host's public keys (`TYPE BASE64` lines) into known_hosts, in place of any older ones."""
        with readable_errors(self.known_hosts):
            replace_keys(self.known_hosts, address, port, keys)

    def write(self, name: str, content: str | bytes, *, mode: int = 0o600) -> Path:
        """Write a file by its name relative to the folder, whole or not at all; folders are made (0700)."""
        path = self._inside(name)
        self._may_write(name)
        with self._mutex, readable_errors(path):
            self._make_folders(path.parent)
            write_atomically(path, content.encode() if isinstance(content, str) else content, mode=mode)
        return path

    def append(self, name: str, line: str) -> None:
        """A line at the end of a file; what a killed run left of a line stays a line of its own."""
        path = self._inside(name)
        self._may_write(name)
        with self._mutex, readable_errors(path):
            self._make_folders(path.parent)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                end = os.lseek(descriptor, 0, os.SEEK_END)
                torn = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"
                data = f"{chr(10) if torn else ''}{line}\n".encode()
                while data:
                    data = data[os.write(descriptor, data) :]
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)

    # ------------------------------------------------------------------------------------------------- lock

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs out. Raises LockedError, saying who is in, at once; the lock ends with its process."""
        from filelock import FileLock, Timeout

        with readable_errors(self.folder):
            lock = FileLock(self.folder / "lock", mode=0o600)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise LockedError(
                    f"deployment {self.folder.name} is in use{self._holder()}", "wait for that run to end, or stop it"
                ) from None
        try:
            since = datetime.now(timezone.utc).isoformat(timespec="seconds")
            with suppress(StateError):  # without it other runs are kept out all the same, and not told by whom
                self.write("lock.json", json.dumps({"pid": os.getpid(), "command": _command_line(), "since": since}))
            with readable_errors(self.folder):
                for pattern in (".*.tmp", "secrets/.*.tmp", "rendered/**/.*.tmp"):
                    remove_leftovers(self.folder.glob(pattern))
            self._load()  # another run may have written between `open` and here
            yield
        finally:
            lock.release()

    def _holder(self) -> str:
        try:
            holder = json.loads((self.folder / "lock.json").read_text())
            return f" by `{holder['command']}` (pid {holder['pid']}) since {holder['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            return ""  # the other run has the lock but has not yet said who it is

    # ------------------------------------------------------------------------------------------------- inner workings

    @property
    def _file(self) -> Path:
        return self.folder / "state.json"

    def _may_write(self, name: str) -> None:
        if self.read_only:
            raise StateError(f"{name} would have to be written, and this only looks", "`provisioner up` writes it")

    def _inside(self, name: str) -> Path:
        path = self.folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise StateError(f"{name} is outside of the deployment's folder {self.folder}")
        return path

    def _make_folders(self, folder: Path) -> None:
        if not folder.is_dir():
            self._make_folders(folder.parent)
            folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(folder.parent)

    def _load(self) -> None:
        with self._mutex:
            try:
                content = self._file.read_bytes()
            except FileNotFoundError:
                self._state = None
            except OSError as error:
                raise StateError(
                    f"{self._file} cannot be read: {error.strerror}", "check its owner and mode"
                ) from error
            else:
                self._state = parse(content, str(self._file))

    def _save(self, content: bytes) -> None:
        write_atomically(self._file, content)


def _command_line() -> str:
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])


@contextmanager
def readable_errors(path: Path) -> Iterator[None]:
    """An OSError, or a text file that is not UTF-8, as the StateError that a person can act on."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise StateError(f"{path} is not text: it holds what this program did not write", "remove it") from error
    except OSError as error:
        raise StateError(
            f"{error.filename or path} cannot be used: {error.strerror or error}",
            "check its owner and mode and the free space, or set XDG_STATE_HOME to another folder",
        ) from error
