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
    from provisioner.deployment import Deployment
    from provisioner.operations import wiring
    from provisioner.operations.hosts import chosen, looking_at
    from provisioner.steps.host import work_folder

    store = FolderStore.open(name, create=False)
    if not follow:
        described = Deployment(wiring.saved_spec(name))
        named = host and chosen(described, host)
        others = {f"{each}.log" for each in described.host_names if each != named}
        for path in sorted(path for path in store.folder.glob("logs/*.log") if path.name not in others):
            line(f"==> {path} <==")
            line(path.read_text(encoding="utf-8", errors="replace").rstrip("\n"))
        if store.state.removed_at:
            return
    with looking_at(name) as deployment:
        named = chosen(deployment, host)
        deployment.facts(named)
        folder = shlex.quote(work_folder(deployment, named))
        words = f"tail -n 50 {'-F' if follow else ''} {folder}/logs/*.log"
        deployment.shell(named).run(words, timeout_s=None, check=False, on_line=line)
