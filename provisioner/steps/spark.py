"""The Spark standalone cluster: configuration, master, workers bound to their cores (the paper's steps 3.2 to 3.5)."""

from __future__ import annotations

import http.client
import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from provisioner import catalog
from provisioner.deployment.host import Host
from provisioner.errors import HostError, ProvisionerError
from provisioner.hosts import room, topology
from provisioner.hosts.limits import NO_LIMITS, Limits
from provisioner.hosts.room import Needs, heap_gib
from provisioner.render import counted, render
from provisioner.secret import Secret
from provisioner.step import ABSENT, PRESENT, Description, Finding, Presence, RenderedFile
from provisioner.steps import background
from provisioner.steps.base import HostStep
from provisioner.steps.host import remove_work_folder
from provisioner.steps.watch import parse_ended
from provisioner.waiting import wait_until

READY_DEADLINE_S = 120.0
MEMORY = {"spark": "1g", "tfpark": "4g"}
"""Java heap of driver and executors by engine: BigDL holds the weights there, several times over."""
STILL_RUNNING = "still running:"
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
        said = self.host.spec.workload.environment.get("OMP_NUM_THREADS")
        groups = [
            {"threads": shlex.quote(said) if said else threads, "cpus": [chosen.numactl for chosen in equal]}
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


class SparkStep(HostStep):
    """What Spark's steps have in common. What they leave goes with an instance of ours, or with the container."""

    def __init__(self, host: Host, first: Host) -> None:
        super().__init__(host)
        self._first = first
        self.undone = not host.is_ours and host.spec.runtime == "host"

    @property
    def planned(self) -> Layout:
        """The layout as far as it is known; made anew each time, since facts and addresses become known on the way."""
        return Layout(self._host, self._first)

    @property
    def layout(self) -> Layout:
        """The layout on the real host: its facts are read first, unless they were already."""
        self._host.facts()
        return self.planned

    def stop(self, pid_file: str) -> None:
        """End the processes whose ids the file holds, those that still are what they were.

        One that was started this instant still has its script's command line, or for a moment none: hence two looks.
        Raises HostError when some do not end; the file stays then, and they are known.
        """
        done = self._host.shell().run(
            f'f={shlex.quote(pid_file)}; [ -f "$f" ] || exit 0; '
            'for i in $(seq 100); do left=; [ "$i" -lt 80 ] && signal=TERM || signal=KILL; for p in $(cat "$f"); do '
            'grep -qs -e org.apache.spark.deploy -e bin/start- "/proc/$p/cmdline" || continue; '
            'left="$left $p"; kill -s $signal "$p"; done; '
            '[ -z "$left" ] && [ "$i" -gt 1 ] && break; sleep 0.1; done; '
            f'[ -z "$left" ] || {{ echo "{STILL_RUNNING}$left"; exit 1; }}; rm -f "$f"',
            timeout_s=60,
            check=False,
        )
        if done.status != 0:
            lines = done.output.splitlines()
            still = next((line for line in lines if line.startswith(STILL_RUNNING)), STILL_RUNNING)
            raise HostError(
                f"Spark's processes on {self._host.name} could not be ended ({still})",
                "end them there, and run the command again",
                host=self._host.name,
                tail=lines[-20:],
            )

    def check_ports(self, *ports: int) -> None:
        """Raises HostError when one is taken: Spark would move to the next one, where nobody looks for it."""
        connection = self._host.connection()
        for port in ports:
            try:
                connection.dial(_address(self._first), port).close()
            except (OSError, ProvisionerError):
                continue
            raise HostError(
                f"port {port} of {self._host.name} is in use by another program ({self._listener(port)})",
                "end it there, `provisioner down` the deployment that it belongs to, or take other ports "
                "(spark.master_port, master_page_port, history_page_port)",
                host=self._host.name,
            )

    def _listener(self, port: int) -> str:
        ports = self._spec.spark
        page = (master_page(self._first) or {}) if port in (ports.master_port, ports.master_page_port) else {}
        if "url" in page:
            return f"the Spark master {page['url']}"
        look = f"ss -Hltnp 'sport = :{port}' 2>/dev/null | grep -o '\"[^\"]*\",pid=[0-9]*'"
        lines = self._host.connection().run(look, check=False).output.splitlines()
        return lines[0] if lines else "which this login cannot see"

    def _wait_until_present(self) -> Finding:
        """The last finding within the deadline of what was started.

        Raises HostError as soon as a process has ended: nobody waits for what is dead.
        """

        def meanwhile(finding: Finding) -> None:
            look = background.ended_processes(self.planned.work)
            ended = parse_ended(self._host, self._host.shell().run(look, check=False).output)
            if ended:
                raise HostError(
                    f"the Spark {ended.noun} on {self._host.name} (process {ended.pid}) ended right after its start",
                    "its log's last lines follow",
                    host=self._host.name,
                    tail=self._log_tail(self.planned.log_of(ended.name)),
                )
            if finding.detail:
                self._host.tell(finding.detail)

        return wait_until(
            self._host.clock,
            self.check,
            lambda finding: finding.presence is Presence.PRESENT,
            deadline_s=READY_DEADLINE_S,
            pause_s=0.25,
            longest_pause_s=0.5,
            meanwhile=meanwhile,
        )

    def _log_tail(self, path: str) -> list[str]:
        return self._host.shell().run(f"tail -n 20 {shlex.quote(path)}", check=False).output.splitlines()


class ConfigureStep(SparkStep):
    """spark-defaults.conf and the start scripts, on one host."""

    part = "configure"

    def __init__(self, host: Host, first: Host, secret: Callable[[], Secret]) -> None:
        super().__init__(host, first)
        self._secret = secret

    def _files(self, layout: Layout, *, reveal: bool) -> Iterator[RenderedFile]:
        secret = self._secret() if self._spec.spark.authenticate else Secret("")
        yield layout.defaults(secret.reveal() if reveal else str(secret))
        if self._host is self._first:
            yield layout.start_master()
        yield layout.start_workers()

    def describe(self) -> Description:
        sets = self.planned.worker_sets()
        warnings = tuple(f"{self._host.name}: {warning}" for warning in self.planned.warnings())
        return Description(
            f"Configure Spark: {counted(len(sets), 'worker')} on CPUs {' '.join(chosen.numactl for chosen in sets)}",
            files=tuple(self._files(self.planned, reveal=False)),
            warnings=warnings,
        )

    def check(self) -> Finding:
        """Present when every file is there as it would be written."""
        shell = self._host.shell()
        for file in self._files(self.layout, reveal=True):
            answer = shell.run(f"cat {shlex.quote(file.path)} 2>/dev/null || echo missing", check=False)
            if answer.output.rstrip("\n") != file.content.rstrip("\n"):
                return Finding(Presence.ABSENT, file.path)
        return PRESENT

    def apply(self) -> None:
        shell = self._host.shell()
        layout = self.layout
        for warning in layout.warnings():
            self._host.tell(warning)
        for folder in ("logs", "local", "work"):
            shell.run(f"mkdir -p {shlex.quote(layout.work + '/' + folder)}")
        for file in self._files(layout, reveal=True):
            shell.put(file.content.encode(), file.path, mode=file.mode)

    def undo(self) -> None:
        """Remove the deployment's folder from the host."""
        remove_work_folder(self._host)


class MasterStep(SparkStep):
    """The master, on the first host."""

    part = "master"

    def describe(self) -> Description:
        return Description("Start the Spark master")

    def check(self) -> Finding:
        """Present when its page says that it is alive, and it is the process that we started."""
        page = master_page(self._first)
        alive = page is not None and page.get("status") == "ALIVE" and is_ours(self._first, page)
        return PRESENT if alive else ABSENT

    def apply(self) -> None:
        """Start it and wait for its page. Raises HostError when it does not come up, or a port of its is taken."""
        layout = self.layout
        self.stop(layout.master_pids)
        self.check_ports(self._spec.spark.master_port, self._spec.spark.master_page_port)
        self._host.shell().run(f"bash {shlex.quote(layout.start_master().path)}", timeout_s=60)
        finding = self._wait_until_present()
        if finding != PRESENT:
            raise HostError(
                f"the Spark master on {self._host.name} does not answer on port "
                f"{self._spec.spark.master_page_port} after {READY_DEADLINE_S:.0f} s",
                "its log's last lines follow",
                host=self._host.name,
                tail=self._log_tail(layout.master_log),
            )

    def undo(self) -> None:
        self.stop(self.layout.master_pids)


class WorkersStep(SparkStep):
    """The workers of one host."""

    part = "workers"

    def describe(self) -> Description:
        workers = counted(len(self.planned.worker_sets()), "Spark worker")
        return Description(f"Start {workers}, each bound to its cores")

    def check(self) -> Finding:
        """Present when the master counts them alive, and jps does too where there is one (the paper's step 3.5)."""
        wanted = len(self.layout.worker_sets())
        page = master_page(self._first)
        alive = self._alive(page)
        if alive != wanted:
            return Finding(Presence.ABSENT, f"the master sees {alive} of {wanted} workers")
        running = self._running()
        if running is not None and running != wanted:
            return Finding(Presence.ABSENT, f"jps counts {running} of {wanted} workers")
        return Finding(Presence.PRESENT, f"{alive} alive")

    def _alive(self, page: dict[str, Any] | None) -> int:
        mine = {self._host.facts().hostname, self._host.address.private}
        return sum(worker.host in mine for worker in live_workers(page or {}))

    def _running(self) -> int | None:
        """The paper's `jps | grep Worker | wc -l`, of the processes that we started; None where there is no jps."""
        pids = shlex.quote(self.layout.worker_pids)
        look = f"command -v jps >/dev/null || {{ echo none; exit 0; }}; jps | grep Worker | grep -cwFf {pids}"
        return parse_jps(self._host.shell().run(look, check=False).output)

    def apply(self) -> None:
        """Stop what is left of an earlier start, start all, wait until they are counted."""
        layout = self.layout
        wanted = len(layout.worker_sets())
        self.stop(layout.worker_pids)
        self._host.shell().run(f"bash {shlex.quote(layout.start_workers().path)}", timeout_s=60)
        finding = self._wait_until_present()
        if finding.presence is not Presence.PRESENT:
            raise HostError(
                f"not all Spark workers came up on {self._host.name} in {READY_DEADLINE_S:.0f} s: {finding.detail}",
                f"{wanted} workers need memory for as many Java processes; their log's last lines follow",
                host=self._host.name,
                tail=self._log_tail(layout.worker_log),
            )

    def undo(self) -> None:
        self.stop(self.layout.worker_pids)


def parse_jps(output: str) -> int | None:
    """How many workers jps counts, by the last line; None where there is no jps."""
    last = (output.strip().splitlines() or ["0"])[-1]
    return None if last == "none" else int(last) if last.isdigit() else 0


def master_page(first: Host) -> dict[str, Any] | None:
    """What the master on the first host itself says (its JSON page); None while nothing listens there."""
    port = first.spec.spark.master_page_port
    try:
        first.facts()  # its private address may be among them
        address = _address(first)
        channel = first.connection().dial(address, port)
    except (OSError, ProvisionerError):
        return None
    client = http.client.HTTPConnection(address, port, timeout=10)
    client.sock = channel
    try:
        client.request("GET", "/json/", headers={"Connection": "close"})
        answer = client.getresponse()
        page = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        return None  # it listens but is not up yet: the caller's deadline decides
    finally:
        client.close()
    return page if isinstance(page, dict) else None


@dataclass(frozen=True)
class LiveWorker:
    """A worker that the master counts as alive; `page_port` is None where the master tells none."""

    host: str
    page_port: int | None


def live_workers(page: Mapping[str, Any]) -> list[LiveWorker]:
    """The workers on the master's page, which a host has written: what is not of Spark's form is passed over."""
    workers = page.get("workers")
    return [
        LiveWorker(worker["host"], _port_of(worker.get("webuiaddress")))
        for worker in (workers if isinstance(workers, list) else [])
        if isinstance(worker, dict) and worker.get("state") == "ALIVE" and isinstance(worker.get("host"), str)
    ]


def _port_of(url: Any) -> int | None:
    match = re.fullmatch(r"https?://[^/]+:([0-9]{1,5})/?", url) if isinstance(url, str) else None
    return int(match[1]) if match and 0 < int(match[1]) < 2**16 else None


def is_ours(first: Host, page: Mapping[str, Any]) -> bool:
    """Whether a master's page is that of the process that we started on the first host.

    It could be that of any Spark there: another deployment's, or a user's own.
    """
    first.facts()
    layout = Layout(first, first)
    if page.get("url") != layout.master_url:
        return False
    lives = f'grep -qs deploy.master "/proc/$(cat {shlex.quote(layout.master_pids)} 2>/dev/null)/cmdline"'
    return first.shell().run(lives, check=False).status == 0


def _address(first: Host) -> str:
    """Where master and history server listen, as seen from their own host, the first."""
    return first.cluster_address if first.spec.spark.master == "address" else "127.0.0.1"
