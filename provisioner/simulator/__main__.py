"""Run a simulator in the foreground: `python -m provisioner.simulator`; `background.start` runs this detached."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

from provisioner.simulator import SSH_PORT
from provisioner.simulator.account import BALANCE, QUOTAS
from provisioner.simulator.background import write_ready
from provisioner.simulator.machines import KINDS
from provisioner.simulator.server import Simulator, serve


def main() -> None:
    """Read the options, serve until told to stop."""
    options = _parser().parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    faults: list[dict[str, Any]] = json.loads(options.faults.read_text()) if options.faults else []

    def ready(simulator: Simulator) -> None:
        print(f"listening on {simulator.endpoint}, machines: {simulator.machines}", flush=True)  # noqa: T201 - a program of its own
        if options.ready_file:
            write_ready(options.ready_file, simulator.port)

    serve(
        port=options.port,
        machines=options.machines,
        pace=options.pace,
        state_file=options.state,
        faults=faults,
        folder=options.folder,
        ssh_port=options.ssh_port,
        window_s=options.clock_window,
        quotas=dict(options.quota),
        balance=options.balance,
        simulator_id=options.id,
        idle_exit_s=options.idle_exit,
        on_ready=ready,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m provisioner.simulator", description="A stand-in for Alibaba Cloud ECS and VPC on 127.0.0.1."
    )
    add = parser.add_argument
    add("--port", type=int, default=0, help="port to listen on; 0, the default, for any free one")
    add("--machines", choices=KINDS, default="process", help="what stands behind an instance")
    add("--pace", type=float, default=1.0, help="1: a start takes a second; 0: none; 30: about the real service")
    add("--state", type=Path, help="file that keeps what exists, to go on from after a restart")
    add("--faults", type=Path, help="JSON list of faults: what goes wrong, and when")
    add("--folder", type=Path, help="where machines keep their files; a temporary folder by default")
    add("--ssh-port", type=int, default=SSH_PORT, help="SSH port of process machines")
    add("--clock-window", type=float, default=900, metavar="S", help="how old a signed request may be")
    add("--balance", type=float, default=BALANCE, help="the account's money; instances need 100")
    add("--quota", type=_quota, action="append", default=[], metavar="NAME=N", help=", ".join(QUOTAS))
    add("--idle-exit", type=float, metavar="S", help="end after this long without resources and calls")
    add("--id", default="", help="marks what belongs to this simulator")
    add("--ready-file", type=Path, help="written once it listens")
    return parser


def _quota(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if name not in QUOTAS:
        raise argparse.ArgumentTypeError(f"there are {', '.join(QUOTAS)}")
    return name, int(number)


if __name__ == "__main__":
    main()
