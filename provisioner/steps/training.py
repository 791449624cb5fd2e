"""The training runs, one for each dtype (the paper's steps 3.6 and 3.7), and their measurements."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from provisioner import catalog
from provisioner.deployment.host import Host
from provisioner.deployment.results import Results
from provisioner.errors import HostError
from provisioner.hosts import topology
from provisioner.hosts.expected import missing_flags
from provisioner.inventory.spec import Dtype
from provisioner.ports import OnLine
from provisioner.reporting import events, report
from provisioner.step import ABSENT, Description, Finding, Presence
from provisioner.steps import background
from provisioner.steps.base import HostStep
from provisioner.steps.layout import Layout
from provisioner.steps.run_script import RunScript
from provisioner.steps.sample import SampleLog
from provisioner.steps.training_log import TrainingLog, speed_words, summary_words
from provisioner.steps.watch import EndedProcess, Watch
from provisioner.steps.workload import training_folder, workload_archive


class TrainStep(HostStep):
    """One run of the workload in one dtype. Present when its measurement is kept already.

    Args:
        hosts: all of the cluster; it runs on the first.
        results: where the measurement goes.
        dtype: what it computes in.
        progress: takes a line for the person.
        program: says this program's version, for the record.
        again: what was measured before is measured anew.
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        results: Results,
        dtype: Dtype,
        progress: Callable[[str], None],
        program: Callable[[], str],
        *,
        again: bool = False,
    ) -> None:
        super().__init__(hosts[0])
        self.name = f"{self._spec.workload.mode}/{dtype}"
        self._hosts = hosts
        self._results = results
        self._dtype = dtype
        self._progress = progress
        self._program = program
        self._again = again
        self.script = RunScript(hosts, dtype)

    def describe(self) -> Description:
        """The script that is run."""
        work = self._spec.workload
        verb = "Train" if work.mode == "train" else "Infer with"
        return Description(
            f"{verb} {report.name_of(work.model)} in {self._dtype}: {self.script.workers} workers, "
            f"batch {work.batch_size} each, engine {work.engine}",
            files=(self.script.file(),),
        )

    def check(self) -> Finding:
        """Present when this very run has been measured."""
        self._host.facts()
        if self._again:
            return ABSENT
        for result in reversed(self._results.measured):
            if result["key"] == self.script.key:
                return Finding(Presence.PRESENT, speed_words(result["images_per_second"], result["model"]))
        return ABSENT

    def apply(self) -> None:
        """Run it, or find it running; follow its lines, keep the summary."""
        work, results = self._spec.workload, self._results
        run = self._begin()
        results.begin_log(run)
        sample = SampleLog(work, self._dtype, self.script.workers, self._host.facts()) if work.source else None
        log = TrainingLog(work, self._dtype, sample.event if sample else events.parse_line, self._progress)

        def line(text: str) -> None:
            results.log(run, text)
            log.line(text)

        status = self._follow(line)
        if status != 0:
            ended = "was killed" if status is None else f"ended with status {status}"
            raise HostError(
                f"{self.name} failed on {self._host.name}: {log.reason or f'it {ended}'}",
                f"the whole output is in {results.log_of(run)}; {self._start_again()}",
                host=self._host.name,
                tail=tuple(log.tail),
            )
        summary = sample.summary() if sample else log.summary
        if not summary:
            raise HostError(
                f"{self.name} on {self._host.name} ended without a summary line",
                f"its output is in {results.log_of(run)}",
                host=self._host.name,
            )
        measurement = events.measurement(summary)
        self._again = False
        figures = {field: value for field, value in summary.items() if field != "variables"}
        environment = {**self._environment(), "variables": _variables(summary.get("variables"))}
        results.keep({"key": self.script.key, "run": run, **figures, "environment": environment})
        self._host.shell().run(background.forget(self._folder))
        self._tell(summary_words(measurement))

    # ------------------------------------------------------------------------------------------------- the run

    @property
    def _folder(self) -> str:
        return training_folder(self._host)

    def _tell(self, text: str) -> None:
        self._progress(f"{self._dtype}: {text}")

    def _trace(self) -> background.Trace:
        return background.parse_look(self._host.shell().run(background.look(self._folder)).output, self._host.name)

    def _begin(self) -> str:
        """The name of the run: of one that is there already, running or ended while nobody followed it, else a new one.

        Raises HostError when something else is being trained: beside it neither would be measured rightly.
        """
        trace, key = self._trace(), self.script.key
        if trace.key == key and (trace.state == "running" or (trace.state == "ended" and trace.status == 0)):
            state = "goes on" if trace.state == "running" else "ended while nobody followed it"
            self._tell(f"{trace.run} {state} on {self._host.name}; nothing is started beside it")
            return trace.run
        if trace.state == "running":
            inside = " --container" if self._spec.runtime == "docker" else ""
            end = shlex.quote(f"kill -- -$(cat {shlex.quote(self._folder)}/pid)")
            raise HostError(
                f"{trace.run} is still running on {self._host.name}, with other settings: beside it nothing can be "
                "measured",
                "wait for it, follow it with the settings it was started with, or end it: "
                f"`provisioner exec {self._spec.name}{inside} -- {end}`",
                host=self._host.name,
            )
        if trace.state != "none":
            how = "was killed" if trace.status is None else f"ended with status {trace.status}"
            self._tell(f"{trace.run} {how} while nobody followed it; {self.name} is started anew")
        shell, script = self._host.shell(), self.script.file()
        shell.put(script.content.encode(), script.path, mode=script.mode)
        run = self._results.next_run(self.name.replace("/", "-"))
        shell.run(background.start(self._folder, script.path, key, run))
        return run

    def _follow(self, line: OnLine) -> int | None:
        """Hear every line until the program has ended; its exit status, None when it was killed.

        Raises HostError when a Spark process that it needs has ended meanwhile, and ConnectError when the line is cut:
        the runner's next try finds the program by its trace and hears it from the first line on.
        """
        watched = self._hosts if self._spec.workload.engine != "local" else ()
        with Watch(watched, self._end) as watch:
            self._host.shell().run(background.follow(self._folder), timeout_s=None, on_line=line)
        trace = self._trace()
        if watch.ended and trace.status != 0:
            raise self._spark_ended(watch.ended)
        return trace.status

    def _end(self) -> None:
        self._host.shell().run(background.stop(self._folder), timeout_s=60)

    def _spark_ended(self, ended: EndedProcess) -> HostError:
        log = Layout(ended.host, self._host).log_of(ended.name)
        output = ended.host.shell().run(f"tail -n 20 {shlex.quote(log)}", check=False).output
        return HostError(
            f"the Spark {ended.noun} on {ended.host.name} (process {ended.pid}) has ended, and {self.name} with it",
            f"{self._start_again()}; its log's last lines follow",
            host=ended.host.name,
            tail=output.splitlines(),
        )

    def _start_again(self) -> str:
        name, work = self._spec.name, self._spec.workload
        if work.model_dir and work.mode == "train":
            return f"`provisioner run {name} --resume` goes on from the last checkpoint"
        return f"`provisioner up` or `provisioner run {name}` starts it again"

    # ------------------------------------------------------------------------------------------------- the record

    def _environment(self) -> dict[str, Any]:
        """What the figures depended on besides the processor and the libraries, which the summary itself tells."""
        spec, code = self._spec, self._spec.workload.source
        return {
            "program": self._program(),
            "workload": f"{code.git} at {code.ref}" if code else hashlib.sha256(workload_archive()).hexdigest()[:16],
            "runtime": spec.runtime,
            "image": (spec.image.pull or spec.image.build) if spec.image else None,
            "settings": {
                **spec.workload.model_dump(mode="json", exclude={"dtypes", "source"}, exclude_none=True),
                "spark": spec.spark.model_dump(include={"driver_memory", "executor_memory"}),
            },
            "hosts": [self._topology(host) for host in self._hosts],
        }

    def _topology(self, host: Host) -> dict[str, Any]:
        facts = host.facts()
        return {
            "cpu": facts.cpu_model,
            "kernel": facts.kernel,
            "bf16": sorted(catalog.bf16_of(facts.cpu_flags)),
            "bf16_missing": missing_flags(facts, host.rented_type),
            "sockets": len({cpu.socket for cpu in facts.cpus}),
            "numa_nodes": len({cpu.node for cpu in facts.cpus}),
            "cores": topology.physical_cores(facts.cpus),
            "cpus": len(facts.cpus),
            "memory_gib": round(facts.memory_gib),
            "limits": Layout(host, self._host).limits.told(),
            "distribution": f"{facts.distribution} {facts.distribution_version}",
            "worker_cpus": [] if self._spec.workload.engine == "local" else self._worker_cpus(host),
        }

    def _worker_cpus(self, host: Host) -> list[str]:
        return [chosen.numactl for chosen in Layout(host, self._host).worker_sets()]


def _variables(told: Any) -> dict[str, str]:
    """The environment variables that a worker told of, as text: a host's lines may hold anything."""
    return {str(name): str(value) for name, value in told.items()} if isinstance(told, dict) else {}
