"""The training data: every host must see the same before the workers start (the paper keeps ImageNet on each)."""

from __future__ import annotations

import json
import re
import shlex
from typing import NamedTuple

from provisioner.deployment.host import Host
from provisioner.errors import HostError
from provisioner.ports import Completed
from provisioner.step import ABSENT, Description, Finding, Presence
from provisioner.steps.base import HostStep
from provisioner.steps.workload import WORKLOAD_MISSING, workload_command

SYNTHETIC = "synthetic"
_OPTION = re.compile(r"--(classes|model) ")  # of the workload; people here have an inventory


class _Verdict(NamedTuple):
    """What the workload's own look at the data says: `found` and `notes` are for people, problems forbid a training."""

    found: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    digest: str = ""


class DataStep(HostStep):
    """Looks at the data on one host, and on the first; nothing is changed, so it is present or an error."""

    part = "data"

    def __init__(self, host: Host, first: Host) -> None:
        super().__init__(host)
        self._first = first
        self._path = host.spec.workload.data

    def describe(self) -> Description:
        """Where it has to be."""
        return Description(f"Look at the training data in {self._path}: fit for the model, the same on every host")

    def check(self) -> Finding:
        """Present when it is what the model expects and, by names and sizes, what the first host has."""
        verdict = self._verdict(self._host)
        if verdict is None:
            return ABSENT
        if verdict.problems:
            return Finding(Presence.ABSENT, "; ".join(verdict.problems))
        first = verdict if self._first is self._host else self._verdict(self._first)
        if first and first.digest != verdict.digest:
            other = f"other data than {self._first.name}: {verdict.found}, where it has {first.found}"
            return Finding(Presence.ABSENT, other)
        return Finding(Presence.PRESENT, "; ".join((verdict.found, *verdict.notes)))

    def _verdict(self, host: Host) -> _Verdict | None:
        """What the workload's `check` says there; None where the workload is not there yet."""
        host.facts()  # the workload is below the login's home
        work = host.spec.workload
        words = ["check", "--quick", "--model", work.model]
        words += ["--classes", str(work.classes)] if work.classes else []
        words += ["--evaluate"] if work.evaluate and work.mode == "train" else []
        command = workload_command(host, shlex.join([*words, "--", self._path]))
        return _parsed(host.shell().run(command, timeout_s=600, check=False), host.name)

    def apply(self) -> None:
        """Nobody but its owner can bring the data.

        Raises:
            HostError: always; with what is missing, unfit or different.
        """
        finding = self.check()
        inside = " and name it in image.volumes" if self._spec.runtime == "docker" else ""
        raise HostError(
            f"{self._host.name} has no fit training data in {self._path}: "
            f"{finding.detail or 'the workload that looks at it is not there'}",
            f"copy the data there or mount the shared folder (NFS, OSS) at that path{inside}",
            host=self._host.name,
        )


def _texts(value: object) -> list[str]:
    """A list of texts as a host wrote it: whatever it is, no more is taken from it."""
    return [str(each) for each in value] if isinstance(value, list) else []


def _parsed(done: Completed, host: str) -> _Verdict | None:
    """What `python -m workload check` printed.

    Raises:
        HostError: nothing that one could read.
    """
    if done.status == WORKLOAD_MISSING:
        return None
    for line in done.output.splitlines():
        try:
            event = json.loads(line)
        except ValueError:  # what Python or a shell says beside it
            continue
        if isinstance(event, dict) and event.get("event") == "verdict":
            problems = tuple(_OPTION.sub(r"workload.\1: ", problem) for problem in _texts(event.get("problems")))
            notes = tuple(_texts(event.get("notes")))
            return _Verdict(str(event.get("found", "")), problems, notes, str(event.get("digest", "")))
        if isinstance(event, dict) and event.get("event") == "error":
            return _Verdict("no training data", (str(event.get("message", "")),))
    raise HostError(
        f"the look at the training data failed on {host}",
        "its Python 3 may be too old, or the folder may not be readable",
        host=host,
        tail=done.output.splitlines()[-20:],
    )
