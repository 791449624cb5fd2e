"""`tunnel`: Spark's pages on local ports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from provisioner.cli.console import line, warn
from provisioner.cli.options import Name
from provisioner.errors import UsageError


def tunnel(
    name: Name,
    browse: Annotated[bool, typer.Option("--open", help="Open the master's page in a browser.")] = False,
) -> None:
    """Bring Spark's pages (master, workers, application, history) to local ports until Ctrl-C."""
    import webbrowser

    from provisioner.operations import tunnels
    from provisioner.operations.hosts import looking_at

    with looking_at(name) as session:
        if session.spec.workload.engine == "local":
            raise UsageError(f"{name} runs its training without Spark, so there are no pages", "see `provisioner logs`")

        def ready(urls: Sequence[tuple[tunnels.Page, str]]) -> None:
            width = max(len(page.title) for page, _ in urls)
            for page, url in urls:
                line(f"{page.title:{width}} {url}")
            if browse:
                webbrowser.open(urls[0][1])
            line("Ctrl-C ends it")

        tunnels.serve(tunnels.pages(session, warn), ready)
