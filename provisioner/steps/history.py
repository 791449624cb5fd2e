"""Spark's history server: the pages of applications that have ended, for `provisioner tunnel`."""

from __future__ import annotations

import shlex

from provisioner.render import render
from provisioner.step import ABSENT, PRESENT, Description, Finding, RenderedFile
from provisioner.steps.layout import Layout
from provisioner.steps.spark import SparkStep


class HistoryStep(SparkStep):
    """The history server on the first host. Nothing waits for its page: training has no need of it."""

    part = "history"

    def _script(self, layout: Layout) -> RenderedFile:
        text = render(
            "spark/start-history.sh",
            **layout.surroundings(),
            event_folder=shlex.quote(layout.events),
            pid_file=shlex.quote(layout.history_pids),
            log_file=shlex.quote(f"{layout.work}/logs/history.log"),
        )
        return RenderedFile(self._host.name, f"{layout.bin}/start-history.sh", text, 0o755)

    def describe(self) -> Description:
        return Description("Start Spark's history server", files=(self._script(self.planned),))

    def check(self) -> Finding:
        """Present when the process that we started lives."""
        return PRESENT if self.lives("deploy.history", self.layout.history_pids) else ABSENT

    def apply(self) -> None:
        """Start it. Raises HostError when its port is taken."""
        layout = self.layout
        self.stop(layout.history_pids)
        self.check_ports(self._spec.spark.history_page_port)
        shell, script = self._host.shell(), self._script(layout)
        shell.put(script.content.encode(), script.path, mode=script.mode)
        shell.run(f"bash {shlex.quote(script.path)}", timeout_s=60)

    def undo(self) -> None:
        self.stop(self.layout.history_pids)
