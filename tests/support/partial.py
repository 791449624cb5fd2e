"""The first phases of `up` in a process: `python -m tests.support.partial INVENTORY PHASES [--die-after STEP]`.

Prints one JSON line, {"changed", "present"}. With --die-after the process kills itself right after it has recorded what
the step's creating call made.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from provisioner import steps
from provisioner.adapters.store import FolderStore
from provisioner.cli.console import report_error
from provisioner.deployment.state import parse
from provisioner.errors import ProvisionerError
from provisioner.inventory import load
from provisioner.operations import opening
from provisioner.runner import Event, Runner
from provisioner.step import Plan


class DyingStore(FolderStore):
    """The real folder, and a sudden end."""

    last = ""

    def _save(self, content: bytes) -> None:
        super()._save(content)
        if any(creation.ids for creation in parse(content, "").creations if creation.kind == self.last):
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    """Run it; the exit code of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("inventory", type=Path)
    parser.add_argument("phases", type=int)
    parser.add_argument("--die-after", default="")
    options = parser.parse_args()
    if options.die_after:
        DyingStore.last = "instance" if options.die_after == "instances" else options.die_after
        sys.modules[FolderStore.__module__].FolderStore = DyingStore  # type: ignore[attr-defined]

    def show(event: Event) -> None:
        print(json.dumps(event.as_json()), file=sys.stderr, flush=True)

    try:
        with opening.opened(load(options.inventory), show, create=True) as (session, emit):
            full = steps.plan(session)
            outcome = Runner(session, Plan(full.name, full.phases[: options.phases]), emit).up()
    except ProvisionerError as error:
        report_error(error)
        return error.exit_code
    print(json.dumps({"changed": outcome.changed, "present": outcome.present}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
