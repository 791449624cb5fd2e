"""A host that can be worked on: logged into, its facts read, and with `runtime: host` the programs that Spark needs."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from provisioner import catalog
from provisioner.deployment.host import Host
from provisioner.errors import HostError, HostKeyError
from provisioner.hosts import topology
from provisioner.hosts.address import check_cluster_address, check_cluster_name
from provisioner.hosts.expected import missing_flags, missing_words
from provisioner.hosts.facts import HostFacts
from provisioner.inventory.mirrors import trusted_host
from provisioner.render import render
from provisioner.step import Description, Finding, Presence, RenderedFile
from provisioner.steps.base import HostStep


class LoginStep(HostStep):
    """Log in and read the facts: nothing is changed on the host, so it is present or an error.

    But for a host of ours that shows another key than the one that was read (too early in its first start, or it was
    given a new system disk since): the account can be asked again, once, which key is right. `read_keys` does that; it
    is None where nobody knows better than the host itself.
    """

    part = "login"

    def __init__(self, host: Host, read_keys: Callable[[Sequence[Host]], None] | None) -> None:
        super().__init__(host)
        self._read_keys = read_keys

    def describe(self) -> Description:
        """One connection, one round trip."""
        local = self._spec.provider == "local"
        warnings = []
        if not self._host.facts_are_known:
            warnings.append(
                f"{self._host.name}: its CPUs are read at `up`; until then the worker scripts show a stand-in"
            )
        return Description(
            "Read CPU, memory and topology" if local else "Log in over SSH and read CPU, memory and topology",
            warnings=tuple(warnings),
        )

    def check(self) -> Finding:
        """What the host is."""
        try:
            facts = self._host.facts()
        except HostKeyError:
            if self._read_keys is None:
                raise
            return Finding(Presence.ABSENT, "it shows another host key than the known one")
        if self._spec.workload.engine != "local":
            self._check_cluster(facts)
        bf16 = catalog.bf16_of(facts.cpu_flags)
        rented = self._host.rented_type
        missing = missing_flags(facts, rented)
        if missing:
            self._host.tell(missing_words(facts, missing, rented))
        elif not bf16:
            self._host.tell(f"{facts.cpu_model} has no bfloat16 instructions; bfloat16 runs, but slower than it could")
        cores = topology.physical_cores(facts.cpus)
        return Finding(
            Presence.PRESENT,
            f"{facts.cpu_model}, {cores} cores, {facts.memory_gib:.0f} GiB, {', '.join(bf16) or 'no bf16'}"
            + (f"; {', '.join(missing)} not shown" if missing else ""),
        )

    def _check_cluster(self, facts: HostFacts) -> None:
        """Raises HostError when Spark's processes could not find each other by what the inventory has them go by."""
        if self._spec.spark.master == "hostname":
            check_cluster_name(self._host.name, facts)
        elif self._spec.provider == "static":
            check_cluster_address(self._host.name, self._host.cluster_address, facts)

    def apply(self) -> None:
        """Read the host's key once more through Cloud Assistant; raises HostKeyError if it still shows another."""
        if self._read_keys is not None:
            self._host.tell("its host key is not the known one, which is read again through Cloud Assistant")
            self._read_keys([self._host])
            self._host.facts()


class ProgramsStep(HostStep):
    """`runtime: host`: Java 17 or later, numactl, and a Python that has TensorFlow and Spark.

    What is missing is installed where we may: on hosts that are not simulated, with root or passwordless sudo. Where
    numactl cannot be had, taskset binds the workers instead.
    """

    part = "programs"

    def describe(self) -> Description:
        """The script that looks, and installs when told to; of an unknown host it depends on the system."""
        files = (
            (RenderedFile(self._host.name, self._path(), self._script(), 0o755),) if self._facts().distribution else ()
        )
        index = self._spec.mirrors.package_index
        source = f" from {index}" if index else ""
        return Description(f"Provide Java 17+, numactl, TensorFlow and Spark{source}", files=files)

    def _facts(self) -> HostFacts:
        return self._host.facts_or_expected

    def _path(self) -> str:
        return f"{self._host.work_folder}/bin/programs.sh"

    def _script(self) -> str:
        folder = self._host.work_folder
        return programs_script(self._facts(), f"{folder}/venv", self._spec.mirrors.package_index)

    def check(self) -> Finding:
        """Ask the host; the first line that says `missing` is the answer."""
        connection = self._host.connection()
        self._host.facts()
        answer = connection.run(f"bash -c {shlex.quote(self._script())} programs look", timeout_s=120)
        missing = parse_missing(answer.output)
        needed = [what for what in missing if what != "numactl"]
        if needed:
            return Finding(Presence.ABSENT, "missing: " + ", ".join(missing))
        if missing:
            self._host.tell("numactl is missing; taskset binds the workers instead")
        return Finding(Presence.PRESENT)

    def apply(self) -> None:
        connection = self._host.connection()
        connection.put(self._script().encode(), self._path(), mode=0o755)
        result = connection.run(
            f"bash {shlex.quote(self._path())} install",
            timeout_s=1800,
            check=False,
            on_line=self._host.tell,
        )
        if result.status != 0:
            tail = result.output.splitlines()[-20:]
            raise HostError(
                f"{self._host.name} lacks what Spark and TensorFlow need: {tail[-1] if tail else 'no output'}",
                "install it there, or use an image with runtime: docker",
                host=self._host.name,
                tail=tail,
            )
        self._host.forget_facts()


def parse_missing(output: str) -> list[str]:
    """What the script's `look` misses: the rest of each line that says `missing`."""
    return [line.split(" ", 1)[1] for line in output.splitlines() if line.startswith("missing ")]


def programs_script(facts: HostFacts, venv: str, package_index: str | None = None) -> str:
    """The script that looks for the programs, and installs them as the host's distribution does, and into `venv`."""
    index = ["--index-url", package_index] if package_index else []
    if package_index and (trusted := trusted_host(package_index)):
        index += ["--trusted-host", trusted]
    system = f"{facts.distribution} {facts.distribution_version}".strip() or "this system"
    programs = catalog.host_programs(facts.distribution, facts.distribution_version)
    if programs is None:
        cannot = f"which packages of {system} to install is not known"
    else:
        cannot = f"{system} cannot do it by itself, since {programs.cannot}" if programs.cannot else ""
    programs = programs or catalog.HostPrograms()
    return render(
        "host/programs.sh",
        cleared=catalog.cleared_variables(),
        venv=shlex.quote(venv),
        manager=shlex.quote(programs.manager),
        packages=shlex.quote(" ".join(programs.packages)),
        python=shlex.quote(programs.python),
        cannot=shlex.quote(cannot),
        index=shlex.join(index),
    )


def remove_work_folder(host: Host) -> None:
    """Remove the deployment's folder from a host, and the one around it when nothing else is in it."""
    host.facts()  # it is below the login's home
    folder = host.work_folder
    around = folder.rpartition("/")[0]
    host.connection().run(
        f"rm -rf {shlex.quote(folder)} && rmdir {shlex.quote(around)} 2>/dev/null || true", timeout_s=600
    )
