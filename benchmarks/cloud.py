"""`python -m benchmarks.cloud`: up and down of 1, 10 and 100 instances against the simulator.

Prints, for each number: API calls until everything runs and its host keys are known (pages and polls included), the
bound of 40 + n/10, calls of the removal, and wall seconds. The simulator's machines boot at once, and its own waits
(`--pace`) are in the seconds: at pace 0 what is left is the program and the SDK. There is no peer that speaks to this
API offline, so none is measured beside it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from provisioner import inventory, steps
from provisioner.operations import opening
from provisioner.runner import Event, Runner
from provisioner.simulator import background
from provisioner.step import Plan

TEXT = """
name: bench-{count}
provider: simulator
runtime: host
cloud: {{instance_types: [ecs.hfc7.large], count: {count}}}
ssh: {{port: 2222}}
"""


def calls(endpoint: str) -> list[str]:
    """The actions that the simulator was asked so far."""
    with urllib.request.urlopen(f"{endpoint}/_simulator/calls", timeout=10) as answer:
        return [call["action"] for call in json.load(answer)]


def measure(count: int, endpoint: str) -> tuple[int, float, int, float]:
    """(calls up, seconds up, calls down, seconds down) for a number of instances."""
    spec = inventory.parse(TEXT.format(count=count))

    def quiet(event: Event) -> None:
        pass

    before = len(calls(endpoint))
    with opening.opened(spec, quiet, create=True) as (deployment, emit):
        full = steps.plan(deployment)
        runner = Runner(deployment, Plan(full.name, full.phases[:2]), emit)
        begin = time.perf_counter()
        runner.up()
        up_s = time.perf_counter() - begin
        running = len(calls(endpoint))
        begin = time.perf_counter()
        runner.down()
        down_s = time.perf_counter() - begin
    return running - before, up_s, len(calls(endpoint)) - running, down_s


def main() -> int:
    """Print the table; 1 when a bound is broken."""
    broken = False
    print("| pace | instances | calls up | bound | seconds up | calls down | seconds down |")
    print("|---|---|---|---|---|---|---|")
    for pace in (0.0, 1.0):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["XDG_STATE_HOME"] = f"{folder}/state"
            simulator = Path(folder) / "simulator"
            os.environ["PROVISIONER_ENDPOINT"] = endpoint = background.start(simulator, machines="process", pace=pace)
            try:
                for count in (1, 10, 100):
                    up, up_s, down, down_s = measure(count, endpoint)
                    bound = 40 + count // 10
                    broken |= up > bound
                    print(f"| {pace:g} | {count} | {up} | {bound} | {up_s:.2f} | {down} | {down_s:.2f} |", flush=True)
            finally:
                background.clean(simulator)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
