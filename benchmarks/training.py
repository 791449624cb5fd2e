"""`python -m benchmarks.training`: ResNet-50 training, this project and its peers in turns, in both dtypes.

Two workers, bound to half of the machine's cores each, with an all-reduce between them; synthetic images of 224
pixels, the same batch and the same number of steps for all. Ours is the whole of it: `provisioner up` with
`provider: local`, Spark's cluster on this machine, then `provisioner run` for each leg. The peers are PyTorch's
DistributedDataParallel over gloo, eager and compiled, and Keras 3 (see benchmarks/peers).

`--peer-python` is an interpreter that has torch, when this one has not: `pip install torch` here, or from PyTorch's CPU
index, whose packages are smaller. Prints a Markdown table of the medians over `--rounds`. Leave the machine alone
meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
PEERS = ROOT / "benchmarks/peers"
WORKERS = 2
DTYPES = ("float32", "bfloat16")
OURS = "provisioner, engine spark"
ALONE = "provisioner, one worker alone"

INVENTORY = """
name: training
provider: local
runtime: host
spark: {{workers: {workers}, executor_memory: 2g}}
workload: {{batch_size: {batch_size}, steps: {steps}, warmup_steps: {warmup_steps}, dtypes: [{dtypes}]}}
"""


class Ours:
    """`provisioner up` before the first leg, `run` for each further one, `down` at the end."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self._environment = {**os.environ, "XDG_STATE_HOME": str(folder)}
        self._inventory = folder / "training.yaml"
        self._options = options
        self._is_up = False

    def leg(self, dtype: str, workers: int = WORKERS) -> float:
        """Images a second."""
        if not self._is_up:
            self._inventory.write_text(INVENTORY.format(workers=WORKERS, dtypes=dtype, **vars(self._options)))
            self._run("up", str(self._inventory), "--yes")
            self._is_up = True
        else:
            self._run("run", "training", "--dtype", dtype, "--workers", str(workers))
        results = json.loads(self._run("report", "training", "--format", "json"))["results"]
        matching = [result for result in results if (result["dtype"], result["workers"]) == (dtype, workers)]
        return float(matching[-1]["images_per_second"])

    def close(self) -> None:
        """Stop Spark, remove what it made."""
        if self._inventory.exists():
            self._run("down", "training", "--yes")

    def _run(self, *arguments: str) -> str:
        return _output([sys.executable, "-m", "provisioner", *arguments], self._environment)


def torch_leg(options: argparse.Namespace, *more: str) -> Callable[[str], float]:
    """PyTorch: one process for each worker, bound to its cores."""

    def leg(dtype: str) -> float:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        cpus = sorted(os.sched_getaffinity(0))
        share = len(cpus) // WORKERS
        started = []
        for rank in range(WORKERS):
            cores = ",".join(map(str, cpus[rank * share : (rank + 1) * share]))
            command = ["taskset", "-c", cores, options.peer_python, str(PEERS / "torch_ddp.py"), "--dtype", dtype]
            command += [*_counts(options, options.batch_size), *more]
            where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
            environment = {**os.environ, **where, "RANK": str(rank), "WORLD_SIZE": str(WORKERS)}
            started.append(
                subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            )
        try:
            outputs = [process.communicate() for process in started]
        finally:
            for process in started:
                process.kill()
        for process, (_, errors) in zip(started, outputs, strict=True):
            if process.returncode:
                raise SystemExit(f"{' '.join(map(str, process.args))} failed:\n{errors[-2000:]}")
        return _rate(outputs[0][0])

    return leg


def keras_leg(options: argparse.Namespace) -> Callable[[str], float]:
    """Keras: one process on all cores, the global batch."""

    def leg(dtype: str) -> float:
        command = [sys.executable, str(PEERS / "keras_fit.py"), "--dtype", dtype]
        return _rate(_output([*command, *_counts(options, options.batch_size * WORKERS)], dict(os.environ)))

    return leg


def _counts(options: argparse.Namespace, batch_size: int) -> list[str]:
    counts = {"--batch-size": batch_size, "--steps": options.steps, "--warmup-steps": options.warmup_steps}
    return [str(word) for pair in counts.items() for word in pair]


def _rate(output: str) -> float:
    return float(json.loads(output.splitlines()[-1])["images_per_second"])


def _output(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}")
    return done.stdout


def table(rates: dict[str, dict[str, list[float]]]) -> str:
    """Medians, and the ratio of the two dtypes' medians."""
    lines = ["| images/second | float32 | bfloat16 | ratio |", "|---|---:|---:|---:|"]
    for name, legs in rates.items():
        slow, fast = (statistics.median(legs[dtype]) for dtype in DTYPES)
        lines.append(f"| {name} | {slow:.1f} | {fast:.1f} | {fast / slow:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure in turns, print each figure as it comes and the table at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32, help="images for each worker")
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--warmup-steps", type=int, default=5)
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter that has torch")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        ours = Ours(Path(folder), options)
        runners: dict[str, Callable[[str], float]] = {
            OURS: ours.leg,
            ALONE: lambda dtype: ours.leg(dtype, workers=1),
            "PyTorch DDP, eager": torch_leg(options),
            "PyTorch DDP, torch.compile": torch_leg(options, "--compile"),
            "Keras 3, one process, no all-reduce": keras_leg(options),
        }
        rates: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in runners}
        try:
            for number in range(1, options.rounds + 1):
                for dtype in DTYPES:
                    for name, leg in runners.items():
                        rates[name][dtype].append(leg(dtype))
                        print(f"round {number}, {name}, {dtype}: {rates[name][dtype][-1]:.1f} images/s", flush=True)
        finally:
            ours.close()
    print(f"\n{WORKERS} workers, batch size {options.batch_size} each, medians of {options.rounds} rounds:\n")
    print(table(rates))
    for dtype in DTYPES:
        two, one = (statistics.median(rates[name][dtype]) for name in (OURS, ALONE))
        print(f"\n{dtype}: {WORKERS} workers are {two / one / WORKERS:.0%} of {WORKERS} times one")


if __name__ == "__main__":
    main()
