"""`tunnel`: Spark's pages on local ports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from provisioner.cli.console import line, warn
from provisioner.cli.options import Name


def tunnel(
    name: Name,
    browse: Annotated[bool, typer.Option("--open", help="Open the master's page in a browser.")] = False,
) -> None:
    """Bring Spark's pages (master, workers, application, history) to local ports until Ctrl-C."""
    import webbrowser

    from provisioner.operations.tunnel import Page, tunnel

    def ready(urls: Sequence[tuple[Page, str]]) -> None:
        width = max(len(page.title) for page, _ in urls)
        for page, url in urls:
            line(f"{page.title:{width}} {url}")
        if browse:
            webbrowser.open(urls[0][1])
        line("Ctrl-C ends it")

    tunnel(name, ready, warn)
