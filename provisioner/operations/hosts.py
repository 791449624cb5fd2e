"""People's way onto the hosts of a deployment that exists: a shell, a command, the logs."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from provisioner.deployment import Host, Session
from provisioner.errors import PartialFailureError, ProvisionerError, UsageError
from provisioner.fan_out import fan_out
from provisioner.operations import opening
from provisioner.ports import OnLine

ALL = "all"
"""In place of a host's name: every one."""


def looking_at(name: str) -> AbstractContextManager[Session]:
    """The deployment of that name, to look at."""
    return opening.looking(opening.saved_spec(name))


def chosen(session: Session, host: str | None) -> Host:
    """The host of that name, else the first. Raises UsageError when there is none."""
    names = session.deployment.host_names
    if host is not None and host not in names:
        raise UsageError(f"{session.spec.name} has no host {host}", f"its hosts are {', '.join(names)}")
    return session.host(host or names[0])


def open_shell(name: str, host: str | None = None, *, container: bool = False) -> int:
    """A person's shell on a host, or in its container, on this process's terminal; the status it ended with.

    Raises UsageError when there is no such host, or no container; ConnectError when the host lets nobody in.
    """
    with looking_at(name) as session:
        if container:
            _check_container(session)
        return chosen(session, host).connection().interactive(_terminal_command(session) if container else None)


def execute(
    name: str,
    command: str,
    on_line: Callable[[str | None, str], None],
    *,
    host: str | None = None,
    container: bool = False,
) -> dict[str, int]:
    """Run a shell command on a host, or with `host` ALL on every one, side by side; the status of each.

    `on_line` is told what it prints, with the host's name where several are asked and None for a single one. Raises
    PartialFailureError with those that could not be asked, once all have ended.
    """
    failures: list[tuple[str, ProvisionerError]] = []
    with looking_at(name) as session:
        if container:
            _check_container(session)
        hosts = session.hosts if host == ALL else (chosen(session, host),)

        def on(each: Host) -> int:
            shell = each.shell() if container else each.connection()
            of = each.name if len(hosts) > 1 else None
            return shell.run(command, timeout_s=None, check=False, on_line=lambda text: on_line(of, text)).status

        def tried(each: Host) -> int:
            try:
                return on(each)
            except ProvisionerError as error:
                failures.append((each.name, error))
                return 1

        if len(hosts) == 1:
            return {hosts[0].name: on(hosts[0])}
        statuses = fan_out(tried, hosts, on_interrupt=session.close)
    if failures:
        raise PartialFailureError(f"{len(failures)} of {len(hosts)} hosts could not be asked", failures)
    return {each.name: status for each, status in zip(hosts, statuses, strict=True)}


def kept_logs(name: str, host: str | None = None) -> list[Path]:
    """The logs in the deployment's folder: of its runs, and with `host` what the steps' commands printed there."""
    from provisioner.adapters.store import FolderStore

    folder = FolderStore.open(name, create=False).folder
    described = Session(opening.saved_spec(name))
    named = chosen(described, host).name if host else None
    others = {f"{each.name}.log" for each in described.hosts if each.name != named}
    return sorted(path for path in folder.glob("logs/*.log") if path.name not in others)


def tail(name: str, on_line: OnLine, *, host: str | None = None, follow: bool = False) -> None:
    """The last lines of what Spark's processes wrote on a host; with `follow` on and on, as they arrive.

    Nothing for a deployment that was removed, unless to follow it.
    """
    from provisioner.adapters.store import FolderStore

    if FolderStore.open(name, create=False).state.removed_at and not follow:
        return
    with looking_at(name) as session:
        shown = chosen(session, host)
        shown.facts()  # the folder is below the login's home
        words = f"tail -n 50 {'-F' if follow else ''} {shlex.quote(shown.work_folder)}/logs/*.log"
        shown.shell().run(words, timeout_s=None, check=False, on_line=on_line)


def _check_container(session: Session) -> None:
    """Raises UsageError when the deployment has no container."""
    if session.spec.runtime != "docker":
        raise UsageError(f"{session.spec.name} has no container (runtime: host)", "leave out --container")


def _terminal_command(session: Session) -> str:
    """What opens a shell in the container, on its host."""
    from provisioner.adapters.docker import dial

    return dial.terminal_command(session.deployment.container, local=session.spec.provider == "local")
