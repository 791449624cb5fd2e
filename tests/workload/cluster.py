"""A Spark standalone cluster on loopback: a master and workers of one slot each, pinned to one core each."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pyspark

SPARK_HOME = pathlib.Path(pyspark.__file__).parent
_DEADLINE_S = 60


class Cluster:
    """Started by ``with``; every process it started is ended by its process group at the end."""

    def __init__(self, folder, workers, address="127.0.0.1"):
        self.folder, self.count, self.address = pathlib.Path(folder), workers, address
        self.master = None
        self._processes = []

    def __enter__(self):
        try:
            log = self._start("master", "master.Master", "--host", self.address, "--port", "0", "--webui-port", "0")
            self.master = _wait_for(log, r"Starting Spark master at (spark://\S+)")
            cpus = sorted(os.sched_getaffinity(0))
            for index in range(self.count):
                log = self._start(
                    f"worker{index}",
                    "worker.Worker",
                    *("--host", self.address, "--port", "0", "--webui-port", "0", "--cores", "1"),
                    *("--memory", "1g", "--work-dir", str(self.folder / f"work{index}"), self.master),
                    cpu=cpus[index % len(cpus)],
                )
                _wait_for(log, "(Successfully registered with master)")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self._processes):
            _end(process)

    def python_workers(self):
        """Process ids of the Python processes that run tasks, by the Spark worker they belong to."""
        return [_task_processes(process.pid) for process in self._processes[1:]]

    def _start(self, name, main_class, *arguments, cpu=None):
        log = self.folder / (name + ".log")
        pin = [] if cpu is None else ["taskset", "-c", str(cpu)]
        environment = dict(
            os.environ,
            SPARK_HOME=str(SPARK_HOME),
            SPARK_LOCAL_IP=self.address,
            PYSPARK_PYTHON=sys.executable,
            SPARK_LOCAL_DIRS=str(self.folder),
        )
        with log.open("wb") as output:
            self._processes.append(
                subprocess.Popen(
                    [*pin, SPARK_HOME / "bin/spark-class", "org.apache.spark.deploy." + main_class, *arguments],
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=self.folder,
                    start_new_session=True,
                )
            )
        return log


def _wait_for(log, pattern):
    deadline = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline:
        found = re.search(pattern, log.read_text(errors="replace"))
        if found:
            return found.group(1)
        time.sleep(0.05)
    raise AssertionError(f"no {pattern!r} in {log}:\n{log.read_text(errors='replace')[-2000:]}")


def _end(process):
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _task_processes(session):
    """Python workers in this session: pyspark.daemon processes whose parent is one as well."""
    daemons = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            parent, _, its_session = (folder / "stat").read_text().rpartition(")")[2].split()[1:4]
            if int(its_session) == session and b"pyspark.daemon" in (folder / "cmdline").read_bytes():
                daemons[int(folder.name)] = int(parent)
    return [pid for pid, parent in daemons.items() if parent in daemons]
