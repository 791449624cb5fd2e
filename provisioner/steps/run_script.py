"""The script of one training run, rendered for the first host (the paper's steps 3.6 and 3.7). Pure."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from typing import Any

from provisioner.deployment.host import Host
from provisioner.errors import UsageError
from provisioner.hosts import topology
from provisioner.inventory.spec import Dtype
from provisioner.render import render
from provisioner.reporting import report
from provisioner.step import RenderedFile
from provisioner.steps.layout import MEMORY, Layout
from provisioner.steps.sample import sample_root

_OPTIONS = (
    "augment", "classes", "image_size", "sequence_length", "optimizer", "learning_rate", "label_smoothing", "seed"
)  # fmt: skip


class RunScript:
    """How the workload is run in one dtype, on these hosts as far as they are known."""

    def __init__(self, hosts: Sequence[Host], dtype: Dtype) -> None:
        self._hosts = hosts
        self._first = hosts[0]
        self._spec = hosts[0].spec
        self._work = hosts[0].spec.workload
        self._dtype = dtype

    @property
    def workers(self) -> int:
        """Over all hosts. Raises UsageError when more are asked for than there are."""
        work = self._work
        if work.engine == "local":
            return 1
        there = sum(len(Layout(host, self._first).worker_sets()) for host in self._hosts)
        if work.workers and work.workers > there:
            raise UsageError(
                f"workload.workers: {work.workers} workers asked for, and the cluster has {there}",
                "lower it, or raise spark.workers or the number of hosts",
            )
        return work.workers or there

    @property
    def key(self) -> str:
        """Tells runs with the same script from others."""
        return hashlib.sha256(self.file().content.encode()).hexdigest()[:16]

    def file(self) -> RenderedFile:
        """run-DTYPE.sh."""
        work, layout = self._work, Layout(self._first, self._first)
        common: dict[str, Any] = {
            "title": f"{report.name_of(work.model)}, {work.mode}, {self._dtype}",
            "threads": max(chosen.physical_cores for chosen in layout.worker_sets()),
            "cleared": layout.cleared,
            "environment": layout.environment(),
        }
        if work.engine == "local":
            cores = topology.physical_cores(self._first.facts_or_expected.cpus)
            threads = min(cores, layout.room.cores or cores)
            common |= {"threads": threads, "work_folder": shlex.quote(layout.work)}
            text = render("spark/run-local.sh", **common, arguments=self._arguments())
        elif work.source:
            text = self._sample(layout, {**common, **self._submit(layout)})
        else:
            common |= {"work_folder": shlex.quote(layout.work), **self._submit(layout)}
            text = render("spark/run.sh", **common, arguments=self._arguments())
        return RenderedFile(self._first.name, f"{layout.work}/run-{self._dtype}.sh", text, 0o755)

    def _submit(self, layout: Layout) -> dict[str, Any]:
        """What spark-submit is told."""
        spark, engine = self._spec.spark, self._work.engine
        # Executors have the environment of the Spark workers, which may have been started before it changed.
        given = {f"spark.executorEnv.{name}": value for name, value in self._work.environment.items()}
        settings = (
            f"--conf {shlex.quote(f'{key}={value}')}" for key, value in {**given, **spark.submit_settings}.items()
        )
        return {
            "workers": self.workers,
            "master": layout.master_url_in_script,
            "spark_home": layout.spark_home,
            "driver_memory": spark.driver_memory or MEMORY[engine],
            "executor_memory": spark.executor_memory or MEMORY[engine],
            "settings": " ".join(settings),
        }

    def _sample(self, layout: Layout, common: dict[str, Any]) -> str:
        """The run of somebody else's training code."""
        work = self._work
        return render(
            "spark/run-sample.sh",
            **common,
            sample_folder=shlex.quote(f"{sample_root(self._first)}/{work.source.path if work.source else ''}"),
            # Analytics Zoo's script has Spark read its own settings: without ours nobody gets past our secret.
            properties=shlex.quote(f"{layout.conf}/spark-defaults.conf") if self._spec.spark.authenticate else "",
            zoo_home=self._first.deployment.container_image.zoo_home,
            batch_size=work.batch_size,
            epochs=work.epochs or 1,
            data=shlex.quote(work.data),
            dtype_option=" --use_bfloat16" if self._dtype == "bfloat16" else "",
        )

    def _arguments(self) -> str:
        work = self._work
        words = ["--engine", work.engine, "--model", work.model, "--mode", work.mode, "--dtype", self._dtype]
        words += ["--data", work.data, "--batch-size", str(work.batch_size)]
        words += ["--epochs", str(work.epochs)] if work.epochs else ["--steps", str(work.steps)]
        words += ["--warmup-steps", str(work.warmup_steps), "--workers", str(self.workers)]
        for name in _OPTIONS:
            if (value := getattr(work, name)) is not None:
                words += [f"--{name.replace('_', '-')}", str(value)]
        for name in ("model_dir", "export_dir"):
            if folder := getattr(work, name):
                words += [f"--{name.replace('_', '-')}", f"{folder.rstrip('/')}/{work.model}-{self._dtype}"]
        words += ["--evaluate"] if work.evaluate else []
        words += ["--resume"] if work.resume else []
        return shlex.join(words)
