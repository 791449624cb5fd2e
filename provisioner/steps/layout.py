"""Where Spark's things are on a host, and the texts that go there: settings and start scripts. Pure."""

from __future__ import annotations

import shlex
from itertools import groupby
from typing import Any

from provisioner import catalog
from provisioner.deployment.host import Host
from provisioner.hosts import room, topology
from provisioner.hosts.limits import NO_LIMITS, Limits
from provisioner.hosts.room import Needs, heap_gib
from provisioner.render import render
from provisioner.step import RenderedFile

MEMORY = {"spark": "1g", "tfpark": "4g"}
"""Java heap of driver and executors by engine: BigDL holds the weights there, several times over."""
PACKAGED_SPARK_HOME = (
    '"$(python3 -c "import importlib.util as u; print(*u.find_spec(\'pyspark\').submodule_search_locations)")"'
)


class Layout:
    """Where Spark's things are on one host, and the texts that go there. The master is on the `first` host."""

    def __init__(self, host: Host, first: Host) -> None:
        self.host = host
        self.first = first
        self._spark = host.spec.spark
        self.work = host.work_folder
        self.docker = host.spec.runtime == "docker"
        home = self._spark.home or (host.deployment.container_image.spark_home if self.docker else None)
        # Spark out of the Python package index is wherever that package is; the scripts ask on the spot.
        self.spark_home = shlex.quote(home) if home else PACKAGED_SPARK_HOME
        # An image's Spark is ours to configure where it looks by itself; one that a host has already stays as it is.
        self.in_place = bool(home) and self.docker
        self.conf = f"{home}/conf" if self.in_place else f"{self.work}/conf"
        self.bin = f"{home}/bin" if self.in_place else f"{self.work}/bin"
        self.events = "/var/log/spark/spark-events" if self.in_place else f"{self.work}/spark-events"
        self.master_log = f"{self.work}/logs/master.log"
        self.worker_log = f"{self.work}/logs/workers.log"
        self.master_pids = f"{self.work}/master.pid"
        self.worker_pids = f"{self.work}/workers.pid"
        self.history_pids = f"{self.work}/history.pid"

    def log_of(self, name: str) -> str:
        """The log of the master or the workers, by the name of their pid file."""
        return self.master_log if name == "master" else self.worker_log

    @property
    def by_hostname(self) -> bool:
        """Whether the cluster goes by the master's host name, as the paper's does, or by its private address."""
        return self._spark.master == "hostname"

    @property
    def master(self) -> str:
        """The master's name for files that no shell expands."""
        if self.by_hostname:
            return self.first.facts_or_expected.hostname
        return self.first.cluster_address

    @property
    def master_url(self) -> str:
        """Where Spark finds the master, for files that no shell expands."""
        return f"spark://{self.master}:{self._spark.master_port}"

    @property
    def master_url_in_script(self) -> str:
        """The same for shell scripts."""
        return f"spark://{self.master_in_script}:{self._spark.master_port}"

    @property
    def master_in_script(self) -> str:
        """The master's name for shell scripts: the paper's own `$(hostname)` where that is what it is."""
        return "$(hostname)" if self.by_hostname and self.host is self.first else shlex.quote(self.master)

    @property
    def cleared(self) -> tuple[str, ...]:
        """Patterns of the variables that scripts clear first; in a container there are the image's alone."""
        return () if self.docker else catalog.cleared_variables()

    @property
    def is_the_papers(self) -> bool:
        """Whether the scripts are the paper's own, which rely on what its image has in its environment."""
        return self.by_hostname and self.in_place

    def surroundings(self) -> dict[str, Any]:
        """What the start scripts of all Spark processes have in common: their environment, and one Spark."""
        return {
            "cleared": self.cleared,
            "environment": self.environment(),
            "spark_home": self.spark_home,
            "spark_home_is_set": self.is_the_papers,
        }

    def environment(self) -> list[tuple[str, str]]:
        """What processes on this host have to know, beyond the paper's exports; last what the inventory sets."""
        given = self.host.spec.workload.environment.items()
        return [*self._own_environment(), *((name, shlex.quote(value)) for name, value in given)]

    def _own_environment(self) -> list[tuple[str, str]]:
        if self.is_the_papers:
            return []
        found: list[tuple[str, str]] = []
        if not self.by_hostname:
            address = self.host.cluster_address
            # Without the second, the driver calls itself by its host name, which the other hosts need not know.
            found += [(f"SPARK_{name}", shlex.quote(address)) for name in ("LOCAL_IP", "LOCAL_HOSTNAME", "PUBLIC_DNS")]
        if not self.docker:
            found += [
                ("PATH", f'{shlex.quote(self.work + "/venv/bin")}:"$PATH"'),
                ("no_proxy", '"localhost,127.0.0.1,::1${no_proxy:+,$no_proxy}"'),
                ("NO_PROXY", '"$no_proxy"'),
            ]
        return [
            *found,
            # On by itself only where TensorFlow knows the processor: without it bfloat16 has no instructions.
            ("TF_ENABLE_ONEDNN_OPTS", "1"),
            ("PYSPARK_PYTHON", "python3"),
            ("SPARK_CONF_DIR", shlex.quote(self.conf)),
            ("SPARK_LOCAL_DIRS", shlex.quote(f"{self.work}/local")),
            ("SPARK_WORKER_DIR", shlex.quote(f"{self.work}/work")),
            ("SPARK_DAEMON_MEMORY", "512m"),
            # Master and workers only keep books: the quick compiler and the small collector start them sooner.
            ("SPARK_DAEMON_JAVA_OPTS", shlex.quote("-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")),
        ]

    @property
    def limits(self) -> Limits:
        """What the processes that are started here may use; a container is in control groups of its own."""
        return NO_LIMITS if self.docker else self.host.facts_or_expected.limits

    @property
    def needs(self) -> Needs:
        """What the processes that are started here are set to take."""
        usual = MEMORY.get(self.host.spec.workload.engine, "1g")
        return Needs(
            executor_gib=heap_gib(self._spark.executor_memory or usual),
            driver_gib=heap_gib(self._spark.driver_memory or usual),
        )

    def worker_sets(self) -> list[topology.WorkerSet]:
        """The cores of each worker on this host."""
        return topology.worker_sets(self.host.facts_or_expected.cpus, self._spark.workers, self.room)

    def warnings(self) -> list[str]:
        """What a person should know of the division of this host, and of its limits."""
        facts, sets = self.host.facts_or_expected, self.worker_sets()
        return [
            *topology.warnings(facts.cpus, sets, self.room),
            *room.warnings(self.limits, facts, self.needs, sets),
        ]

    @property
    def room(self) -> topology.Room:
        """What its limits leave for workers."""
        return room.room(self.limits, self.host.facts_or_expected, self.needs)

    def defaults(self, secret: str) -> RenderedFile:
        """spark-defaults.conf, with the secret as it is written there."""
        spark = self._spark
        more: list[tuple[str, str]] = []
        if spark.authenticate:
            more.append(("spark.authenticate.secret", secret))
        more += spark.settings.items()
        text = render(
            "spark/spark-defaults.conf",
            authenticate="true" if spark.authenticate else "false",
            event_folder=property_value(self.events),
            master=property_value(self.master_url),
            history_page_port=spark.history_page_port,
            more=[(name, property_value(value)) for name, value in more],
        )
        return RenderedFile(
            self.host.name, f"{self.conf}/spark-defaults.conf", text, 0o600 if spark.authenticate else 0o644
        )

    def start_master(self) -> RenderedFile:
        """start-master.sh."""
        text = render(
            "spark/start-master.sh",
            **self.surroundings(),
            event_folder=shlex.quote(self.events),
            master=self.master_in_script,
            port=self._spark.master_port,
            page_port=self._spark.master_page_port,
            pid_file=shlex.quote(self.master_pids),
            log_file=shlex.quote(self.master_log),
        )
        return RenderedFile(self.host.name, f"{self.bin}/start-master.sh", text, 0o755)

    def start_workers(self) -> RenderedFile:
        """start-workers.sh: a line for each worker, and before each run of equal ones the threads they may use."""
        facts = self.host.facts_or_expected
        given = self.host.spec.workload.environment.get("OMP_NUM_THREADS")
        groups = [
            {
                "threads": shlex.quote(given) if given else threads,
                "cpus": [chosen.numactl for chosen in equal],
            }
            for threads, equal in groupby(self.worker_sets(), key=lambda chosen: chosen.physical_cores)
        ]
        text = render(
            "spark/start-workers.sh",
            **self.surroundings(),
            event_folder=shlex.quote(self.events),
            groups=groups,
            pin="taskset -c" if "numactl" not in facts.programs and not self.docker else "numactl -C",
            master=self.master_url_in_script,
            pid_file=shlex.quote(self.worker_pids),
            log_file=shlex.quote(self.worker_log),
        )
        return RenderedFile(self.host.name, f"{self.bin}/start-workers.sh", text, 0o755)


def property_value(text: str) -> str:
    """A line of text as the value of a Java properties file, where a backslash begins an escape, or joins two lines."""
    return text.replace("\\", "\\\\")
