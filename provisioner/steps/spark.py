"""The Spark standalone cluster: configuration, master, workers bound to their cores (the paper's steps 3.2 to 3.5)."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from typing import Any

from provisioner.deployment.host import Host
from provisioner.errors import HostError, ProvisionerError
from provisioner.render import counted
from provisioner.secret import Secret
from provisioner.step import ABSENT, PRESENT, Description, Finding, Presence, RenderedFile
from provisioner.steps import background
from provisioner.steps.base import HostStep
from provisioner.steps.host import remove_work_folder
from provisioner.steps.layout import Layout
from provisioner.steps.master_page import is_ours, live_workers, master_page, page_address
from provisioner.steps.watch import parse_ended
from provisioner.waiting import wait_until

READY_DEADLINE_S = 120.0
STILL_RUNNING = "still running:"


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

    def lives(self, word: str, pid_file: str) -> bool:
        """As background.is_running, on this host."""
        return self._host.shell().run(background.is_running(word, pid_file), check=False).status == 0

    def check_ports(self, *ports: int) -> None:
        """Raises HostError when one is taken: Spark would move to the next one, where nobody looks for it."""
        connection = self._host.connection()
        for port in ports:
            try:
                connection.dial(page_address(self._first), port).close()
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
        # The history server comes after the training: who finds its port taken then has trained for nothing to see.
        if self._spec.workload.engine == "spark" and not self.lives("deploy.history", layout.history_pids):
            self.check_ports(self._spec.spark.history_page_port)
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
        number = len(self.layout.worker_sets())
        page = master_page(self._first)
        alive = self._alive(page)
        if alive != number:
            return Finding(Presence.ABSENT, f"the master sees {alive} of {number} workers")
        running = self._running()
        if running is not None and running != number:
            return Finding(Presence.ABSENT, f"jps counts {running} of {number} workers")
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
        number = len(layout.worker_sets())
        self.stop(layout.worker_pids)
        self._host.shell().run(f"bash {shlex.quote(layout.start_workers().path)}", timeout_s=60)
        finding = self._wait_until_present()
        if finding.presence is not Presence.PRESENT:
            raise HostError(
                f"not all Spark workers came up on {self._host.name} in {READY_DEADLINE_S:.0f} s: {finding.detail}",
                f"{number} workers need memory for as many Java processes; their log's last lines follow",
                host=self._host.name,
                tail=self._log_tail(layout.worker_log),
            )

    def undo(self) -> None:
        self.stop(self.layout.worker_pids)


def parse_jps(output: str) -> int | None:
    """How many workers jps counts, by the last line; None where there is no jps."""
    last = (output.strip().splitlines() or ["0"])[-1]
    return None if last == "none" else int(last) if last.isdigit() else 0
