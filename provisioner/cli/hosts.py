"""ssh, exec, cp, logs, tunnel: people's way onto the hosts."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli.app import app, command
from provisioner.cli.console import line, raw_line
from provisioner.errors import UsageError

if TYPE_CHECKING:
    from provisioner.deployment import Deployment
    from provisioner.ports import OnLine

Name = Annotated[str, typer.Argument(metavar="NAME", help="The deployment's name.")]
Host = Annotated[str | None, typer.Option("--host", help="Which host; by default the first.")]
Container = Annotated[bool, typer.Option("--container", help="Inside the container.")]


def _looking(name: str) -> AbstractContextManager[Deployment]:
    from provisioner.operations import wiring

    return wiring.looking(wiring.saved_spec(name))


def _chosen(deployment: Deployment, host: str | None) -> str:
    names = deployment.host_names
    if host is None:
        return names[0]
    if host not in names:
        raise UsageError(f"{deployment.spec.name} has no host {host}", f"its hosts are {', '.join(names)}")
    return host


def _check_container(deployment: Deployment) -> None:
    if deployment.spec.runtime != "docker":
        raise UsageError(f"{deployment.spec.name} has no container (runtime: host)", "leave out --container")


def _terminal_command(deployment: Deployment) -> str:
    from provisioner.adapters.docker.dial import terminal_command

    return terminal_command(deployment.container, local=deployment.spec.provider == "local")


def _printer(prefix: str) -> OnLine:
    """For the output of a command that a person gave: as the host prints it."""
    return lambda text: raw_line(prefix + text)


@command(app)
def ssh(name: Name, host: Host = None, container: Container = False) -> None:
    """Open a shell on a host."""
    with _looking(name) as deployment:
        if container:
            _check_container(deployment)
        connection = deployment.connection(_chosen(deployment, host))
        status = connection.interactive(_terminal_command(deployment) if container else None)
    raise typer.Exit(status)


@command(app, "exec", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def exec_(context: typer.Context, name: Name, host: Host = None, container: Container = False) -> None:
    """Run a command on a host, or with --host all on every one side by side: `provisioner exec NAME -- CMD …`."""
    from concurrent.futures import ThreadPoolExecutor

    from provisioner.errors import PartialFailureError, ProvisionerError
    from provisioner.runner import MOST_HOSTS_AT_ONCE

    if not context.args:
        raise UsageError("no command was given", f"write `provisioner exec {name} -- COMMAND`")
    words = context.args[0] if len(context.args) == 1 else shlex.join(context.args)
    failures: list[tuple[str, ProvisionerError]] = []
    with _looking(name) as deployment:
        if container:
            _check_container(deployment)
        hosts = deployment.host_names if host == "all" else (_chosen(deployment, host),)

        def on(each: str) -> int:
            shell = deployment.shell(each) if container else deployment.connection(each)
            prefix = f"[{each}] " if len(hosts) > 1 else ""
            return shell.run(words, timeout_s=None, check=False, on_line=_printer(prefix)).status

        if len(hosts) == 1:
            raise typer.Exit(on(hosts[0]))

        def tried(each: str) -> int:
            try:
                return on(each)
            except ProvisionerError as error:
                failures.append((each, error))
                return 1

        with ThreadPoolExecutor(min(len(hosts), MOST_HOSTS_AT_ONCE)) as pool:
            statuses = list(pool.map(tried, hosts))
    if failures:
        raise PartialFailureError(f"{len(failures)} of {len(hosts)} hosts could not be asked", failures)
    raise typer.Exit(next(filter(None, statuses), 0))


@command(app)
def cp(source: str, target: str) -> None:
    """Copy a file or a folder: `provisioner cp NAME:PATH LOCAL`, `provisioner cp LOCAL NAME:PATH` (NAME/HOST: too)."""
    from provisioner.cli import copying

    remote = [side for side in (source, target) if ":" in side]
    if len(remote) != 1:
        raise UsageError("one side must be NAME:PATH and the other a local path")
    name, _, path = remote[0].partition(":")
    name, _, host = name.partition("/")
    progress = copying.Progress()
    with _looking(name) as deployment:
        connection = deployment.connection(_chosen(deployment, host or None))
        try:
            if remote[0] == target:
                count = copying.upload(connection, Path(source), path, progress)
            else:
                count = copying.download(connection, path, Path(target), progress)
        finally:
            progress.close()
    line(f"{count} file{'s' if count != 1 else ''} copied")


@command(app)
def logs(
    name: Name,
    host: Host = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as lines arrive.")] = False,
) -> None:
    """Show what the training and Spark's processes wrote; with --host also what the steps' commands printed there."""
    from provisioner.adapters.store import FolderStore
    from provisioner.deployment import Deployment
    from provisioner.operations import wiring
    from provisioner.steps.host import work_folder

    store = FolderStore.open(name, create=False)
    if not follow:
        described = Deployment(wiring.saved_spec(name))
        chosen = host and _chosen(described, host)
        others = {f"{each}.log" for each in described.host_names if each != chosen}
        for path in sorted(path for path in store.folder.glob("logs/*.log") if path.name not in others):
            line(f"==> {path} <==")
            line(path.read_text(encoding="utf-8", errors="replace").rstrip("\n"))
        if store.state.removed_at:
            return
    with _looking(name) as deployment:
        chosen = _chosen(deployment, host)
        deployment.facts(chosen)
        folder = shlex.quote(work_folder(deployment, chosen))
        words = f"tail -n 50 {'-F' if follow else ''} {folder}/logs/*.log"
        deployment.shell(chosen).run(words, timeout_s=None, check=False, on_line=line)


@command(app)
def tunnel(
    name: Name,
    browse: Annotated[bool, typer.Option("--open", help="Open the master's page in a browser.")] = False,
) -> None:
    """Bring Spark's pages (master, workers, application, history) to local ports until Ctrl-C."""
    import webbrowser

    from provisioner.operations import tunnels

    with _looking(name) as deployment:
        if deployment.spec.workload.engine == "local":
            raise UsageError(f"{name} runs its training without Spark, so there are no pages", "see `provisioner logs`")

        def ready(urls: Sequence[tuple[tunnels.Page, str]]) -> None:
            width = max(len(page.title) for page, _ in urls)
            for page, url in urls:
                line(f"{page.title:{width}} {url}")
            if browse:
                webbrowser.open(urls[0][1])
            line("Ctrl-C ends it")

        tunnels.serve(tunnels.pages(deployment), ready)
