"""`provisioner simulator …`: the bundled stand-in for the cloud."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from provisioner.cli.console import line

HELP = "The bundled simulator of the cloud."


def serve(
    port: Annotated[int, typer.Option("--port", help="Loopback port; 0 takes a free one.")] = 0,
    machines: Annotated[str, typer.Option("--machines", help="process, booted (needs root), or none.")] = "process",
    pace: Annotated[
        float, typer.Option("--pace", min=0, help="How slowly states move; 0 at once, 30 as in reality.")
    ] = 1,
    faults: Annotated[Path | None, typer.Option("--faults", help="A JSON file of faults to inject.")] = None,
    state: Annotated[Path | None, typer.Option("--state", help="Keep what exists in this file over restarts.")] = None,
) -> None:
    """Serve the simulated API on loopback until Ctrl-C."""
    from provisioner.errors import UsageError
    from provisioner.simulator import server
    from provisioner.simulator.machines import NotInstalledError

    if machines not in ("process", "booted", "none"):
        raise UsageError(f"--machines {machines} is not known", "it is process, booted or none")

    def ready(running: server.Simulator) -> None:
        line(f"simulator at {running.endpoint}")
        line(f"  export PROVISIONER_ENDPOINT={running.endpoint}")

    injected = _faults(faults) if faults else ()
    try:
        server.serve(port=port, machines=machines, pace=pace, faults=injected, state_file=state, on_ready=ready)
    except NotInstalledError as error:
        raise UsageError(str(error)) from None


def _faults(path: Path) -> list[Mapping[str, Any]]:
    """The faults in a file. Raises UsageError for one that holds none."""
    from provisioner.errors import UsageError
    from provisioner.simulator.faults import Faults

    try:
        content = json.loads(path.read_bytes())
        faults = [content] if isinstance(content, dict) else content
        Faults(faults)
    except OSError as error:
        raise UsageError(f"{path} could not be read: {error.strerror}") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"{path} is not a JSON list of faults: {error}", "docs/adding.md shows one") from None
    return list(faults)


def status() -> None:
    """Say whether the simulators of `provider: simulator` run, and where."""
    from provisioner.simulator import background

    running = [state for folder in _folders() if (state := background.status(folder))]
    for simulator in running:
        line(f"simulator at {simulator.endpoint}, pid {simulator.pid}, machines: {simulator.machines}")
    if not running:
        line("no simulator is running")


def stop() -> None:
    """Stop them; their machines end with them."""
    from provisioner.simulator import background

    stopped = [background.stop(folder) for folder in _folders()]
    line("stopped" if any(stopped) else "no simulator was running")


def clean() -> None:
    """Stop them, end what killed ones left (processes, booted machines), and delete their folders."""
    from provisioner.errors import ProvisionerError
    from provisioner.simulator import background

    for folder in _folders():
        try:
            background.clean(folder)
        except RuntimeError as error:
            what = f"could not clean up {folder}: {error}"
            raise ProvisionerError(what, "try again, as the user who started it") from None
        line(f"nothing is left of the simulator in {folder}")


def _folders() -> list[Path]:
    from provisioner.operations.places import simulator_folder

    return [simulator_folder(machines) for machines in ("process", "booted")]
