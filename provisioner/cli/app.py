"""The typer application; each module of commands registers its own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

from provisioner.cli.console import line
from provisioner.errors import InterruptedRun, ProvisionerError

Command = TypeVar("Command", bound=Callable[..., Any])

app = typer.Typer(
    name="provisioner",
    help="From one YAML inventory to the measured float32-against-bfloat16 table, and everything removed again.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from provisioner import __version__

        line(f"provisioner {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
) -> None:
    pass


def command(application: typer.Typer, name: str | None = None, **settings: Any) -> Callable[[Command], Command]:
    """Register a function as a command. Ctrl-C in it ends with our own error, whose exit code is 130."""

    def register(function: Command) -> Command:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except KeyboardInterrupt:
                raise InterruptedRun("interrupted") from None
            except BrokenPipeError as error:  # a connection's: typer would take it for standard output's, and be silent
                raise ProvisionerError("the other side closed a connection", "run the command again") from error

        application.command(name, **settings)(run)
        return function

    return register


from provisioner.cli import data, hosts, image, inspect, lifecycle, simulator  # noqa: E402, F401  (they register their commands)
