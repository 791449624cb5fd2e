"""What the workload's tests share."""

import json
import pathlib

ROOT = pathlib.Path(__file__).parents[2]
SMALL = ["--model", "resnet14", "--image-size", "32", "--classes", "10", "--batch-size", "8"]


def package_files():
    """The files of the folder workload/ that are shipped."""
    return sorted(path for kind in ("*.py", "*.json") for path in (ROOT / "workload").rglob(kind))


class Run:
    """A finished workload process: ``code``, ``events`` (its stdout, every line JSON) and ``stderr``."""

    def __init__(self, process):
        self.code, self.stderr = process.returncode, process.stderr
        self.events = [json.loads(line) for line in process.stdout.splitlines()]

    def of(self, event):
        return [line for line in self.events if line["event"] == event]

    @property
    def summary(self):
        assert self.code == 0, (self.events[-1:], self.stderr[-2000:])
        (line,) = self.of("summary")
        return line

    @property
    def error(self):
        (line,) = self.of("error")
        return line["message"]
