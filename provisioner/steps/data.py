"""The training data: every host must see the same before the workers start (the paper keeps ImageNet on each)."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from provisioner.deployment.host import Host
from provisioner.errors import HostError
from provisioner.step import ABSENT, Description, Finding, Presence
from provisioner.steps.base import HostStep

SYNTHETIC = "synthetic"

# Names and sizes two levels deep: all of the TFRecord files, or the class folders without the million pictures in them.
_LOOK = """cd -- {path} 2>/dev/null || exit 0
count() {{ find -L . -mindepth "$1" -maxdepth "$1" "${{@:2}}" | wc -l; }}
count 1 -type f -name 'train-*-of-*'
count 1 -type f -name 'validation-*-of-*'
count 2 -type d -path './train/*'
count 1 -type f -name 'train*.json'
find -L . -mindepth 1 -maxdepth 2 \\( -type f -printf '%p %s\\n' -o -type d -printf '%p\\n' \\) \\
  | LC_ALL=C sort | sha256sum
"""


class _Seen(NamedTuple):
    files: int
    validation_files: int
    classes: int
    texts: int
    digest: str

    @property
    def words(self) -> str:
        """For people; "" where there is nothing to train with."""
        if self.files:
            return f"{self.files} + {self.validation_files} TFRecord files"
        if self.classes:
            return f"{self.classes} classes of pictures"
        if self.texts:
            return "SQuAD's JSON"
        return ""


class DataStep(HostStep):
    """Looks at the data on one host, and on the first; nothing is changed, so it is present or an error."""

    part = "data"

    def __init__(self, host: Host, first: Host) -> None:
        super().__init__(host)
        self._first = first
        self._path = host.spec.workload.data

    def describe(self) -> Description:
        """Where it has to be."""
        return Description(f"Look for the training data in {self._path}, the same on every host")

    def check(self) -> Finding:
        """Present when it is there and, as far as names and sizes tell, as on the first host."""
        seen = self._seen(self._host)
        if not seen or not seen.words:
            return ABSENT
        first = self._seen(self._first)
        if first and first.digest != seen.digest:
            return Finding(Presence.ABSENT, f"{seen.words}, where {self._first.name} has {first.words}")
        return Finding(Presence.PRESENT, seen.words)

    def _seen(self, host: Host) -> _Seen | None:
        script = _LOOK.format(path=shlex.quote(self._path))
        return _parse_look(host.shell().run(f"bash -c {shlex.quote(script)}", timeout_s=600).output)

    def apply(self) -> None:
        """Nobody but its owner can bring the data.

        Raises:
            HostError: always; with what is missing or different.
        """
        finding = self.check()
        inside = " and name it in image.volumes" if self._spec.runtime == "docker" else ""
        remedy = f"copy the data there or mount the shared folder (NFS, OSS) at that path{inside}"
        if finding.detail:
            raise HostError(
                f"{self._host.name} has other training data in {self._path}: {finding.detail}",
                remedy,
                host=self._host.name,
            )
        raise HostError(
            f"{self._host.name} has no training data in {self._path}: "
            "neither train-00000-of-N files nor train/CLASS folders nor a train*.json",
            remedy,
            host=self._host.name,
        )


def _parse_look(output: str) -> _Seen | None:
    """What the look printed; None where there is no such folder."""
    words = output.split()
    if len(words) < 5:
        return None
    files, validation_files, classes, texts = map(int, words[:4])
    return _Seen(files, validation_files, classes, texts, digest=words[4])
