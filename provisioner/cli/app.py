"""The typer application: every command, in the order of the help."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any

import typer

from provisioner.cli import (
    cp,
    data,
    doctor,
    down,
    exec_,
    image,
    init,
    logs,
    plan,
    report,
    run,
    simulator,
    ssh,
    status,
    sweep,
    tunnel,
    types,
    up,
)
from provisioner.cli.console import line
from provisioner.errors import InterruptedRun, ProvisionerError

app = typer.Typer(
    name="provisioner",
    help="From one YAML inventory to the measured float32-against-bfloat16 table, and everything removed again.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(show: bool) -> None:
    if show:
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


def _ending_as_ours(function: Callable[..., None]) -> Callable[..., None]:
    """Ctrl-C in a command ends with our own error, whose exit code is 130."""

    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except KeyboardInterrupt:
            raise InterruptedRun("interrupted") from None
        except BrokenPipeError as error:  # a connection's: typer would take it for standard output's, and be silent
            raise ProvisionerError("the other side closed a connection", "run the command again") from error

    return command


def _add(application: typer.Typer, *functions: Callable[..., None]) -> None:
    for function in functions:
        application.command()(_ending_as_ours(function))


def _add_group(name: str, help_: str, *functions: Callable[..., None]) -> None:
    group = typer.Typer(help=help_, no_args_is_help=True, rich_markup_mode=None)
    _add(group, *functions)
    app.add_typer(group, name=name)


_add(app, init.init, plan.plan, up.up, status.status, run.run, report.report, ssh.ssh)
app.command("exec", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
    _ending_as_ours(exec_.exec_)
)
_add(app, cp.cp, logs.logs, tunnel.tunnel, down.down, sweep.sweep, types.types, doctor.doctor)
_add_group("image", image.HELP, image.build, image.push)
_add_group("data", data.HELP, data.check, data.measure)
_add_group("simulator", simulator.HELP, simulator.serve, simulator.status, simulator.stop, simulator.clean)
