"""The training runs, one for each number type (the paper's steps 3.6 and 3.7), and their measurements."""

from __future__ import annotations

import hashlib
import io
import shlex
import zipfile
from collections import deque
from typing import Any

from provisioner import catalog
from provisioner.deployment import Deployment
from provisioner.errors import HostError, UsageError
from provisioner.hosts import topology
from provisioner.hosts.expected import missing_flags
from provisioner.inventory.mirrors import check_reach, host_of
from provisioner.inventory.spec import Dtype, WorkloadSpec
from provisioner.ports import OnLine
from provisioner.render import render, workload_files
from provisioner.reporting import report
from provisioner.reporting.measurement import Measurement
from provisioner.step import ABSENT, PRESENT, Description, Finding, Presence, RenderedFile
from provisioner.steps import background
from provisioner.steps.host import remove_work_folder, work_folder
from provisioner.steps.sample import SampleLog, sample_root
from provisioner.steps.spark import Layout
from provisioner.steps.watch import EndedProcess, Watch

TAIL_LINES = 20
LAUNCHER = "import sys\n\nfrom workload import cli\n\nif __name__ == '__main__':\n    sys.exit(cli.main())\n"
_OPTIONS = (
    "augment", "classes", "image_size", "sequence_length", "optimizer", "learning_rate", "label_smoothing", "seed"
)  # fmt: skip
MEMORY = {"spark": "1g", "tfpark": "4g"}
"""Java heap of driver and executors by engine: BigDL holds the weights there, several times over."""


def workload_archive() -> bytes:
    """The folder workload/ as a zip, the same bytes for the same files, so that uploads can be compared."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in workload_files().items():
            entry = zipfile.ZipInfo(path)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return buffer.getvalue()


class WorkloadStep:
    """The training code on the first host: the bundled one, or the repository that the inventory names."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self._host = deployment.host_names[0]
        self.host: str | None = self._host
        self.name = "workload"
        around = f"container/{self._host}" if deployment.spec.runtime == "docker" else None
        self.owner: str | None = deployment.host_owner or around

    def describe(self) -> Description:
        """An upload or a clone."""
        source = self.deployment.spec.workload.source
        if source:
            clone = source.mirror or source.git
            remedy = "name a repository with the same commits in workload.source.mirror"
            warnings = check_reach(self.deployment.spec, "workload.source", clone, host_of(clone), remedy)
            title = f"git clone {shlex.quote(clone)} && git checkout {shlex.quote(source.ref)}"
            return Description(title, warnings=warnings)
        return Description("Upload the bundled workload")

    def _sample(self) -> str:
        return sample_root(self.deployment)

    def check(self) -> Finding:
        """Present when the same archive is there, or the clone stands at its ref."""
        shell = self.deployment.shell(self._host)
        source = self.deployment.spec.workload.source
        if source:
            commit = shlex.quote(f"{source.ref}^{{commit}}")
            look = f"git -C {shlex.quote(self._sample())} rev-parse HEAD {commit} 2>/dev/null"
            lines = shell.run(look, check=False).output.split()
            return PRESENT if len(lines) == 2 and lines[0] == lines[1] else ABSENT
        names = " ".join(shlex.quote(path) for path in self._files())
        there = shell.run(f"sha256sum {names}", check=False).output.splitlines()
        wanted = [f"{hashlib.sha256(content).hexdigest()}  {path}" for path, content in self._files().items()]
        return PRESENT if there == wanted else ABSENT

    def _files(self) -> dict[str, bytes]:
        folder = work_folder(self.deployment, self._host)
        return {f"{folder}/launch.py": LAUNCHER.encode(), f"{folder}/workload.zip": workload_archive()}

    def apply(self) -> None:
        """Upload, or clone and check out."""
        shell = self.deployment.shell(self._host)
        source = self.deployment.spec.workload.source
        if source:
            target, clone = shlex.quote(self._sample()), shlex.quote(source.mirror or source.git)
            shell.run(
                f"rm -rf {target} && git clone -q -- {clone} {target} && cd {target} && "
                f"git checkout -q {shlex.quote(source.ref)} --",
                timeout_s=1800,
            )
            return
        for path, content in self._files().items():
            shell.put(content, path)

    def undo(self) -> None:
        """End the training that may go on; without Spark remove the deployment's folder, else Spark's step does."""
        self.deployment.facts(self._host)
        self.deployment.shell(self._host).run(background.stop(training_folder(self.deployment)), timeout_s=60)
        if self.deployment.spec.workload.engine == "local":
            remove_work_folder(self.deployment, self._host)


class TrainStep:
    """One run of the workload in one number type. Present when its measurement is kept already."""

    def __init__(self, deployment: Deployment, dtype: Dtype, *, again: bool = False) -> None:
        self.deployment = deployment
        self.dtype = dtype
        self.again = again
        self._host = deployment.host_names[0]
        self.host: str | None = self._host
        self.name = f"{deployment.spec.workload.mode}/{dtype}"
        self.owner: str | None = "results"

    @property
    def workers(self) -> int:
        """Over all hosts. Raises UsageError when more are asked for than there are."""
        work = self.deployment.spec.workload
        if work.engine == "local":
            return 1
        there = sum(len(Layout(self.deployment, host).worker_sets()) for host in self.deployment.host_names)
        if work.workers and work.workers > there:
            raise UsageError(
                f"workload.workers: {work.workers} workers asked for, and the cluster has {there}",
                "lower it, or raise spark.workers or the number of hosts",
            )
        return work.workers or there

    def describe(self) -> Description:
        """The script that is run."""
        work = self.deployment.spec.workload
        verb = "Train" if work.mode == "train" else "Infer with"
        return Description(
            f"{verb} {report.name_of(work.model)} in {self.dtype}: {self.workers} workers, "
            f"batch {work.batch_size} each, engine {work.engine}",
            files=(self.script(),),
        )

    def script(self) -> RenderedFile:
        """run-DTYPE.sh."""
        deployment, work = self.deployment, self.deployment.spec.workload
        layout = Layout(deployment, self._host)
        path = f"{layout.work}/run-{self.dtype}.sh"
        threads = max(chosen.physical_cores for chosen in layout.worker_sets())
        common: dict[str, Any] = {
            "title": f"{report.name_of(work.model)}, {work.mode}, {self.dtype}",
            "threads": threads,
            "environment": layout.environment(),
            "work_folder": shlex.quote(layout.work),
        }
        if work.engine == "local":
            cores = topology.physical_cores(deployment.facts_or_expected(self._host).cpus)
            text = render("spark/run-local.sh", **{**common, "threads": cores}, arguments=self._arguments())
            return RenderedFile(self._host, path, text, 0o755)
        spark = deployment.spec.spark
        common |= {
            "workers": self.workers,
            "master": layout.master_in_script,
            "spark_home": layout.spark_home,
            "driver_memory": spark.driver_memory or MEMORY[work.engine],
            "executor_memory": spark.executor_memory or MEMORY[work.engine],
            "settings": " ".join(
                f"--conf {shlex.quote(f'{key}={value}')}" for key, value in spark.submit_settings.items()
            ),
        }
        if work.source:
            text = render(
                "spark/run-sample.sh",
                **{name: value for name, value in common.items() if name != "work_folder"},
                sample_folder=shlex.quote(f"{sample_root(deployment)}/{work.source.path}"),
                # Analytics Zoo's script has Spark read its own settings: without ours nobody gets past our secret.
                properties=shlex.quote(f"{layout.conf}/spark-defaults.conf") if spark.authenticate else "",
                zoo_home=deployment.container_image.zoo_home,
                batch_size=work.batch_size,
                epochs=work.epochs or 1,
                data=shlex.quote(work.data),
                dtype_option=" --use_bfloat16" if self.dtype == "bfloat16" else "",
            )
        else:
            text = render("spark/run.sh", **common, arguments=self._arguments())
        return RenderedFile(self._host, path, text, 0o755)

    def _arguments(self) -> str:
        work = self.deployment.spec.workload
        words = ["--engine", work.engine, "--model", work.model, "--mode", work.mode, "--dtype", self.dtype]
        words += ["--data", work.data, "--batch-size", str(work.batch_size)]
        words += ["--epochs", str(work.epochs)] if work.epochs else ["--steps", str(work.steps)]
        words += ["--warmup-steps", str(work.warmup_steps), "--workers", str(self.workers)]
        for name in _OPTIONS:
            if (value := getattr(work, name)) is not None:
                words += [f"--{name.replace('_', '-')}", str(value)]
        for name in ("model_dir", "export_dir"):
            if folder := getattr(work, name):
                words += [f"--{name.replace('_', '-')}", f"{folder.rstrip('/')}/{work.model}-{self.dtype}"]
        words += ["--evaluate"] if work.evaluate else []
        words += ["--resume"] if work.resume else []
        return " ".join(shlex.quote(word) for word in words)

    def _key(self) -> str:
        """Tells runs with the same script from others."""
        return hashlib.sha256(self.script().content.encode()).hexdigest()[:16]

    def _environment(self) -> dict[str, Any]:
        """What the figures depended on besides the processor and the libraries, which the summary itself tells."""
        deployment, spec = self.deployment, self.deployment.spec
        code = spec.workload.source
        return {
            "program": deployment.ports.program(),
            "workload": f"{code.git} at {code.ref}" if code else hashlib.sha256(workload_archive()).hexdigest()[:16],
            "runtime": spec.runtime,
            "image": (spec.image.pull or spec.image.build) if spec.image else None,
            "settings": {
                **spec.workload.model_dump(mode="json", exclude={"dtypes", "source"}, exclude_none=True),
                "spark": spec.spark.model_dump(include={"driver_memory", "executor_memory"}),
            },
            "hosts": [self._topology(host) for host in deployment.host_names],
        }

    def _topology(self, host: str) -> dict[str, Any]:
        facts = self.deployment.facts(host)
        return {
            "cpu": facts.cpu_model,
            "kernel": facts.kernel,
            "bf16": sorted(catalog.bf16_of(facts.cpu_flags)),
            "bf16_missing": missing_flags(facts, self.deployment.rented_type(host)),
            "sockets": len({cpu.socket for cpu in facts.cpus}),
            "numa_nodes": len({cpu.node for cpu in facts.cpus}),
            "cores": topology.physical_cores(facts.cpus),
            "cpus": len(facts.cpus),
            "memory_gib": round(facts.memory_gib),
            "distribution": f"{facts.distribution} {facts.distribution_version}",
            "worker_cpus": [] if self.deployment.spec.workload.engine == "local" else self._worker_cpus(host),
        }

    def _worker_cpus(self, host: str) -> list[str]:
        return [chosen.numactl for chosen in Layout(self.deployment, host).worker_sets()]

    def check(self) -> Finding:
        """Present when this very run has been measured."""
        self.deployment.facts(self._host)
        if self.again:
            return ABSENT
        kept = {result["key"]: result for result in self.deployment.store.state.measured}
        if self._key() not in kept:
            return ABSENT
        found = kept[self._key()]
        return Finding(Presence.PRESENT, _speed(found["images_per_second"], found["model"]))

    def apply(self) -> None:
        """Run it, or find it running; follow its lines, keep the summary."""
        deployment = self.deployment
        run = self._begin()
        log = f"logs/{run}.log"
        deployment.store.write(log, "")  # told from its first line on, also when somebody followed it before
        source = deployment.spec.workload.source
        sample = SampleLog(deployment.spec.workload, self.dtype, self.workers, deployment.facts(self._host))
        read = sample.event if source else report.parse_line
        summary: dict[str, Any] = {}
        reason = ""
        tail: deque[str] = deque(maxlen=TAIL_LINES)

        def line(text: str) -> None:
            nonlocal summary, reason
            deployment.store.append(log, text)
            tail.append(text)
            event = read(text)
            if event is None:
                return
            if event["event"] == "interval":
                deployment.progress(f"{self.dtype}: {_interval_words(event, deployment.spec.workload)}")
            elif event["event"] == "evaluation":
                deployment.progress(f"{self.dtype}: {_evaluation_words(event)}")
            elif event["event"] == "start":
                deployment.progress(f"{self.dtype}: {_start_words(event)}")
                for warning in event.get("warnings") or []:
                    deployment.progress(warning)
            elif event["event"] == "error":
                reason = event.get("message") or ""
            elif event["event"] == "summary":
                summary = event

        status = self._follow(line)
        if status != 0:
            ended = "was killed" if status is None else f"ended with status {status}"
            raise HostError(
                f"{self.name} failed on {self._host}: {reason or f'it {ended}'}",
                f"the whole output is in {deployment.store.folder / log}; {self._start_again()}",
                host=self._host,
                tail=tuple(tail),
            )
        if source:
            summary = sample.summary()
        if not summary:
            raise HostError(
                f"{self.name} on {self._host} ended without a summary line",
                f"its output is in {deployment.store.folder / log}",
                host=self._host,
            )
        measurement = report.measurement(summary)
        self.again = False
        deployment.remember_result({"key": self._key(), "run": run, **summary, "environment": self._environment()})
        deployment.shell(self._host).run(background.forget(self._folder))
        deployment.progress(f"{self.dtype}: {_summary_words(measurement)}")

    @property
    def _folder(self) -> str:
        return training_folder(self.deployment)

    def _trace(self) -> background.Trace:
        output = self.deployment.shell(self._host).run(background.look(self._folder)).output
        return background.parse_look(output, self._host)

    def _begin(self) -> str:
        """The name of the run: of one that is there already, running or ended while nobody followed it, else a new one.

        Raises HostError when something else is being trained: beside it neither would be measured rightly.
        """
        deployment, trace = self.deployment, self._trace()
        if trace.key == self._key() and (trace.state == "running" or (trace.state == "ended" and trace.status == 0)):
            state = "goes on" if trace.state == "running" else "ended while nobody followed it"
            deployment.progress(f"{self.dtype}: {trace.run} {state} on {self._host}; nothing is started beside it")
            return trace.run
        if trace.state == "running":
            end = shlex.quote(f"kill -- -$(cat {shlex.quote(self._folder)}/pid)")
            raise HostError(
                f"{trace.run} is still running on {self._host}, with other settings: beside it nothing can be measured",
                f"wait for it, follow it with the settings it was started with, or end it: `provisioner exec "
                f"{deployment.spec.name}{' --container' if deployment.spec.runtime == 'docker' else ''} -- "
                f"{end}`",
                host=self._host,
            )
        if trace.state != "none":
            how = "was killed" if trace.status is None else f"ended with status {trace.status}"
            deployment.progress(f"{trace.run} {how} while nobody followed it; {self.name} is started anew")
        shell, script = deployment.shell(self._host), self.script()
        shell.put(script.content.encode(), script.path, mode=script.mode)
        run = deployment.next_run(self.name.replace("/", "-"))
        shell.run(background.start(self._folder, script.path, self._key(), run))
        return run

    def _follow(self, line: OnLine) -> int | None:
        """Hear every line until the program has ended; its exit status, None when it was killed.

        Raises HostError when a Spark process that it needs has ended meanwhile, and ConnectError when the line is cut:
        the runner's next try finds the program by its trace and hears it from the first line on.
        """
        with Watch(self.deployment, self.deployment.host_names, self._end) as watch:
            self.deployment.shell(self._host).run(background.follow(self._folder), timeout_s=None, on_line=line)
        trace = self._trace()
        if watch.ended and trace.status != 0:
            raise self._spark_ended(watch.ended)
        return trace.status

    def _end(self) -> None:
        self.deployment.shell(self._host).run(background.stop(self._folder), timeout_s=60)

    def _spark_ended(self, ended: EndedProcess) -> HostError:
        layout = Layout(self.deployment, ended.host)
        log = layout.master_log if ended.name == "master" else layout.worker_log
        output = self.deployment.shell(ended.host).run(f"tail -n 20 {shlex.quote(log)}", check=False).output
        noun = "Spark master" if ended.name == "master" else "Spark worker"
        return HostError(
            f"the {noun} on {ended.host} (process {ended.pid}) has ended, and {self.name} with it",
            f"{self._start_again()}; its log's last lines follow",
            host=ended.host,
            tail=output.splitlines(),
        )

    def _start_again(self) -> str:
        name, work = self.deployment.spec.name, self.deployment.spec.workload
        if work.model_dir and work.mode == "train":
            return f"`provisioner run {name} --resume` goes on from the last checkpoint"
        return f"`provisioner up` or `provisioner run {name}` starts it again"

    def undo(self) -> None:
        """Never called: measurements are what a deployment leaves."""


def training_folder(deployment: Deployment) -> str:
    """Where the traces of the training are, on the first host or in its container."""
    return f"{work_folder(deployment, deployment.host_names[0])}/training"


def _speed(per_second: float, model: str) -> str:
    return f"{per_second:.1f} {report.unit(model).replace('second', 's')}"


def _summary_words(measured: Measurement) -> str:
    """A run's figures for the person."""
    words = [_speed(measured.images_per_second, measured.model)]
    if measured.latency_ms:
        words.append("latency at batch size 1 " + ", ".join(f"{k} {v:.1f} ms" for k, v in measured.latency_ms.items()))
    if measured.memory_mib is not None:
        words.append(f"{measured.memory_mib:.0f} MiB of memory at most in a worker")
    return "; ".join(words)


def _start_words(event: dict[str, Any]) -> str:
    """What was derived from the inventory: the global batch, the learning rate, and which workers are where."""
    words = [f"global batch {event.get('global_batch_size')}"]
    if event.get("mode") == "train":
        words.append(f"peak learning rate {event.get('learning_rate') or 0:g}")
    numbers: dict[str, list[str]] = {}
    for number, host in enumerate(event.get("worker_hosts") or []):
        numbers.setdefault(host, []).append(str(number))
    words += [f"worker{'s' * (len(found) > 1)} {', '.join(found)} on {host}" for host, found in numbers.items()]
    return "; ".join(words)


def _evaluation_words(event: dict[str, Any]) -> str:
    """One evaluation line for the person."""
    epoch = "" if event.get("epoch") is None else f" after epoch {event['epoch']:g}"
    return (
        f"{event.get('images')} images evaluated{epoch}: top-1 {event.get('top_1') or 0:.2%}, "
        f"top-5 {event.get('top_5') or 0:.2%}"
    )


def _interval_words(event: dict[str, Any], work: WorkloadSpec) -> str:
    """One interval line for the person. A loss that is not a number is written as null; inference has none."""
    loss, speed = event.get("loss"), event.get("images_per_second")
    words = [f"step {event.get('step')}"]
    if work.mode == "train":
        words.append("loss is not a number" if loss is None else f"loss {loss:.3f}")
    return ", ".join(words if speed is None else [*words, _speed(speed, work.model)])
