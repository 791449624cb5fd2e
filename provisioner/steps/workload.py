"""The training code, on the first host or on each: the bundled one, or a git repository (the paper's 3.6)."""

from __future__ import annotations

import hashlib
import io
import shlex
import zipfile

from provisioner.deployment.host import Host
from provisioner.inventory.mirrors import check_reach, host_of
from provisioner.render import workload_files
from provisioner.step import ABSENT, PRESENT, Description, Finding
from provisioner.steps import background
from provisioner.steps.base import HostStep
from provisioner.steps.host import remove_work_folder
from provisioner.steps.sample import sample_root

LAUNCHER = "import sys\n\nfrom workload import cli\n\nif __name__ == '__main__':\n    sys.exit(cli.main())\n"


def workload_archive() -> bytes:
    """The folder workload/ as a zip, the same bytes for the same files, so that uploads can be compared."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in workload_files().items():
            entry = zipfile.ZipInfo(path)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return buffer.getvalue()


WORKLOAD_MISSING = 3
"""What `workload_command` ends with where this very workload is not."""


def workload_command(host: Host, arguments: str) -> str:
    """The command that runs the bundled workload on a host that has it, with arguments as a shell takes them."""
    archive = shlex.quote(f"{host.work_folder}/workload.zip")
    digest = hashlib.sha256(workload_archive()).hexdigest()
    environment = shlex.quote(f"{host.work_folder}/venv/bin")
    path = f'PATH={environment}:"$PATH" ' if host.spec.runtime == "host" else ""
    return (
        f"[ \"$(sha256sum 2>/dev/null < {archive})\" = '{digest}  -' ] || exit {WORKLOAD_MISSING}; "
        f"{path}PYTHONPATH={archive} exec python3 -m workload {arguments}"
    )


def training_folder(first: Host) -> str:
    """Where the traces of the training are, on the first host or in its container."""
    return f"{first.work_folder}/training"


class WorkloadStep(HostStep):
    """The training code, and the end of the training that it may be in."""

    part = "workload"

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.undone = not host.is_ours and host.spec.runtime == "host"

    def describe(self) -> Description:
        source = self._spec.workload.source
        if source:
            clone = source.mirror or source.git
            remedy = "name a repository with the same commits in workload.source.mirror"
            warnings = check_reach(self._spec, "workload.source", clone, host_of(clone), remedy)
            title = f"git clone {shlex.quote(clone)} && git checkout {shlex.quote(source.ref)}"
            return Description(title, warnings=warnings)
        return Description("Upload the bundled workload")

    def check(self) -> Finding:
        """Present when the same archive is there, or the clone stands at its ref."""
        self._host.facts()  # it goes below the login's home
        shell, source = self._host.shell(), self._spec.workload.source
        if source:
            commit = shlex.quote(f"{source.ref}^{{commit}}")
            look = f"git -C {shlex.quote(sample_root(self._host))} rev-parse HEAD {commit} 2>/dev/null"
            return PRESENT if is_one_commit(shell.run(look, check=False).output) else ABSENT
        files = self._files()
        output = shell.run(f"sha256sum {shlex.join(files)}", check=False).output
        digests = [f"{hashlib.sha256(content).hexdigest()}  {path}" for path, content in files.items()]
        return PRESENT if output.splitlines() == digests else ABSENT

    def _files(self) -> dict[str, bytes]:
        folder = self._host.work_folder
        return {f"{folder}/launch.py": LAUNCHER.encode(), f"{folder}/workload.zip": workload_archive()}

    def apply(self) -> None:
        """Upload, or clone and check out."""
        shell, source = self._host.shell(), self._spec.workload.source
        if source:
            target, clone = shlex.quote(sample_root(self._host)), shlex.quote(source.mirror or source.git)
            shell.run(
                # Beside the work folder are other things of the host's, which may have the repository's name.
                f"if [ -e {target} ] && ! [ -e {target}/.git ]; then echo {target} is there and no clone; exit 1; fi; "
                f"rm -rf {target} && git clone -q -- {clone} {target} && cd {target} && "
                f"git checkout -q {shlex.quote(source.ref)} --",
                timeout_s=1800,
            )
            return
        for path, content in self._files().items():
            shell.put(content, path)

    def undo(self) -> None:
        """End the training that may go on; without Spark remove the deployment's folder, else Spark's step does."""
        self._host.facts()
        self._host.shell().run(background.stop(training_folder(self._host)), timeout_s=60)
        if self._spec.workload.engine == "local":
            remove_work_folder(self._host)


def is_one_commit(output: str) -> bool:
    """Whether `git rev-parse` printed the same commit for HEAD and for the ref."""
    lines = output.split()
    return len(lines) == 2 and lines[0] == lines[1]
