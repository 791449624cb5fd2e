"""`logs`: what was written here and on a host."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from provisioner.cli.console import line
from provisioner.cli.options import Host, Name


def logs(
    name: Name,
    host: Host = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as lines arrive.")] = False,
) -> None:
    """Show what the training and Spark's processes wrote; with --host also what the steps' commands printed there."""
    from provisioner.adapters.store import FolderStore
    from provisioner.deployment import Session
    from provisioner.operations import opening
    from provisioner.operations.hosts import chosen, looking_at

    store = FolderStore.open(name, create=False)
    if not follow:
        described = Session(opening.saved_spec(name))
        named = chosen(described, host).name if host else None
        others = {f"{each.name}.log" for each in described.hosts if each.name != named}
        for path in sorted(path for path in store.folder.glob("logs/*.log") if path.name not in others):
            line(f"==> {path} <==")
            line(path.read_text(encoding="utf-8", errors="replace").rstrip("\n"))
        if store.state.removed_at:
            return
    with looking_at(name) as session:
        shown = chosen(session, host)
        shown.facts()  # the folder is below the login's home
        words = f"tail -n 50 {'-F' if follow else ''} {shlex.quote(shown.work_folder)}/logs/*.log"
        shown.shell().run(words, timeout_s=None, check=False, on_line=line)
