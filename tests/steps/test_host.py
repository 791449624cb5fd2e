"""Logging in, and the programs that a host without Docker needs."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner import catalog
from provisioner.deployment import Session
from provisioner.errors import HostError
from provisioner.hosts.address import HostAddress
from provisioner.hosts.expected import expected_facts
from provisioner.ports import Completed
from provisioner.step import Presence
from provisioner.steps.host import LoginStep, ProgramsStep, programs_script
from tests.support.catalog import known_type
from tests.support.deployments import Bench, place_hosts, spec, static_spec
from tests.support.hosts import FakeHost, cpus

HFC7 = known_type("ecs.hfc7.xlarge")


@pytest.fixture(name="host")
def _host(tmp_path: Path) -> FakeHost:
    return FakeHost("a", tmp_path / "a")


def bench(host: FakeHost) -> Bench:
    return Bench(static_spec("a"), host)


# ------------------------------------------------------------------------------------------------ login


@pytest.mark.parametrize(
    ("flags", "bf16"),
    [
        ("flags\t\t: fpu avx512_bf16 amx_tile amx_bf16", "avx512_bf16, amx_bf16"),
        ("Features\t: fp asimd svebf16 bf16", "bf16, svebf16"),
    ],
    ids=["AMX", "arm64"],
)
def test_a_login_says_what_the_host_is(tmp_path: Path, flags: str, bf16: str) -> None:
    made = bench(FakeHost("a", tmp_path, cpus=cpus(nodes=2, cores=4, threads=2), flags=flags))
    finding = LoginStep(made.session.host("a"), None).check()
    assert finding.presence is Presence.PRESENT
    assert finding.detail == f"A processor, 8 cores, 24 GiB, {bf16}"
    assert made.told == []


def test_flags_that_the_kernel_does_not_show_are_said_aloud_with_the_remedy(tmp_path: Path) -> None:
    """A g8i with a kernel before 5.16: avx512_bf16 alone would pass for all there is."""
    made = Bench(
        spec(cloud={"instance_types": ["ecs.g8i.large"]}),
        FakeHost("demo-001", tmp_path, flags="flags : fpu avx512_bf16"),
    )
    place_hosts(made.store, [HostAddress("demo-001", "192.0.2.1", "192.0.2.1", instance_type="ecs.g8i.large")])
    finding = LoginStep(made.session.host("demo-001"), None).check()
    assert finding.detail.endswith("avx512_bf16; amx_bf16 not shown")
    assert made.told == [
        "demo-001: debian 12 with kernel 6.1.0-1 does not show amx_bf16, which ecs.g8i.large has: bfloat16 is measured "
        "without it; a newer kernel shows it (AMX: 5.16 or later), as that of cloud.image_family: "
        "acs:alibaba_cloud_linux_3_2104_lts_x64"
    ]


def test_a_processor_without_bfloat16_is_said_aloud(tmp_path: Path) -> None:
    made = bench(FakeHost("a", tmp_path, flags="flags\t\t: fpu sse2"))
    assert LoginStep(made.session.host("a"), None).check().detail.endswith("no bf16")
    assert made.told == ["a: A processor has no bfloat16 instructions; bfloat16 runs, but slower than it could"]


def test_a_plan_says_when_its_cpus_are_a_stand_in() -> None:
    """Of static hosts nothing is known before the first login; of rented ones the catalog knows."""
    (warning,) = LoginStep(Session(static_spec("a")).hosts[0], None).describe().warnings
    assert "stand-in" in warning
    rented = Session(spec(cloud={"instance_types": ["ecs.hfc7.xlarge"]}))
    assert LoginStep(rented.hosts[0], None).describe().warnings == ()


# ------------------------------------------------------------------------------------------------ programs


def test_a_host_that_has_all_is_left_alone(host: FakeHost) -> None:
    host.answers = [("programs look", "")]
    assert ProgramsStep(bench(host).session.host("a")).check().presence is Presence.PRESENT
    assert host.written == []


def test_without_numactl_taskset_binds_and_that_is_said(host: FakeHost) -> None:
    host.answers = [("programs look", "missing numactl\n")]
    made = bench(host)
    assert ProgramsStep(made.session.host("a")).check().presence is Presence.PRESENT
    assert made.told == ["a: numactl is missing; taskset binds the workers instead"]


def test_what_is_missing_is_named(host: FakeHost) -> None:
    host.answers = [("programs look", "missing Java 17 or later\nmissing numactl\n")]
    finding = ProgramsStep(bench(host).session.host("a")).check()
    assert finding.presence is Presence.ABSENT
    assert finding.detail == "missing: Java 17 or later, numactl"


def test_installing_shows_its_lines_and_looks_at_the_host_anew(host: FakeHost) -> None:
    made = bench(host)
    assert "numactl" in made.session.host("a").facts().programs
    host.facts = host.facts.replace("program=numactl\n", "")
    host.answers = [("install$", "Setting up default-jre\n")]
    ProgramsStep(made.session.host("a")).apply()
    assert made.told == ["a: Setting up default-jre"]
    ((path, mode),) = host.written
    assert path == f"{host.home}/provisioner/demo/bin/programs.sh"
    assert mode == 0o755
    assert "numactl" not in made.session.host("a").facts().programs


def test_a_host_where_nothing_can_be_installed_says_why(host: FakeHost) -> None:
    said = "no root and no passwordless sudo: install Java 17 or later by hand"
    host.answers = [("install$", Completed(1, f"checking\n{said}\n"))]
    with pytest.raises(HostError, match=said) as caught:
        ProgramsStep(bench(host).session.host("a")).apply()
    assert caught.value.tail == ("checking", said)
    assert caught.value.remedy


# ------------------------------------------------------------------------------------------------ the script itself


class Script:
    """programs.sh on a machine that has just the programs that a test gives it."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name in ("sed", "head", "paste", "id", "grep", "env"):
            self.real(name)
        self.file = folder / "programs.sh"
        self.venv = folder / "venv"
        self.of("debian", "12")

    def of(self, distribution: str, version: str) -> None:
        """Take the script for a host of this distribution."""
        facts = replace(expected_facts(HFC7, "a"), distribution=distribution, distribution_version=version)
        self.file.write_text(programs_script(facts, str(self.venv)))

    def real(self, name: str) -> None:
        (self.bin / name).symlink_to(subprocess.check_output(["which", name], text=True).strip())

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def package(self, folder: Path, name: str, text: str) -> None:
        """A program in a folder of its own."""
        folder.mkdir(parents=True)
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)

    def run(self, what: str, **environment: str) -> Any:
        return subprocess.run(
            ["/bin/bash", self.file, what],
            env={"PATH": str(self.bin), **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(name="script")
def _script(tmp_path: Path) -> Script:
    (tmp_path / "machine").mkdir()
    script = Script(tmp_path / "machine")
    script.program("java", """echo 'openjdk version "17.0.9" 2023-10-17' >&2""")
    script.program("numactl", "")
    script.program("python3", "exit 0")
    return script


def test_nothing_is_missing(script: Script) -> None:
    assert script.run("look").stdout == ""


@pytest.mark.parametrize(
    ("program", "text", "missing"),
    [
        ("java", None, "Java 17 or later"),
        ("java", """echo 'openjdk version "11.0.2"' >&2""", "Java 17 or later"),
        ("java", """echo 'java version "1.8.0_402"' >&2""", "Java 17 or later"),
        ("numactl", None, "numactl"),
        ("python3", "exit 1", "the Python packages tensorflow and pyspark"),
        ("python3", None, "the Python packages tensorflow and pyspark"),
    ],
    ids=["no java", "java 11", "java 8", "no numactl", "no packages", "no python"],
)
def test_each_program_is_looked_for(script: Script, program: str, text: str | None, missing: str) -> None:
    if text is None:
        (script.bin / program).unlink()
    else:
        script.program(program, text)
    assert script.run("look").stdout == f"missing {missing}\n"


@pytest.mark.parametrize("version", ["17", "17.0.9", "21.0.1", "25-ea"])
def test_any_java_from_17_will_do(script: Script, version: str) -> None:
    script.program("java", f"""echo 'openjdk version "{version}" 2026' >&2""")
    assert script.run("look").stdout == ""


def test_a_simulated_machine_installs_nothing(script: Script) -> None:
    (script.bin / "numactl").unlink()
    (script.bin / "java").unlink()
    done = script.run("install", MACHINE_ROOT="/somewhere")
    assert done.returncode == 1
    wanted = "a simulated machine installs nothing: Java 17 or later, numactl must be on this computer\n"
    assert done.stdout == wanted


def test_without_root_and_sudo_nothing_is_tried(script: Script) -> None:
    script.program("id", "echo 1000")
    script.program("sudo", "exit 1")
    (script.bin / "numactl").unlink()
    done = script.run("install")
    assert done.returncode == 1
    assert done.stdout == "no root and no passwordless sudo: install numactl by hand\n"


def test_debian_gets_its_packages_and_a_folder_for_python(script: Script, tmp_path: Path) -> None:
    """As root, with apt's lock waited for; nothing of the system's Python is replaced."""
    script.program("id", "echo 0")
    log = tmp_path / "log"
    script.program("apt-get", f"echo apt-get $* >>{log}")
    script.program("python3", f"echo python3 $* >>{log}; [ $1 = -m ] && exit 7; exit 1")
    done = script.run("install")
    assert done.returncode == 1  # the folder could not be made
    lines = log.read_text().splitlines()
    assert any(line.startswith("apt-get") and "update" in line for line in lines)
    assert any("install -q -y openjdk-17-jre-headless python3 python3-venv numactl" in line for line in lines)
    assert any(line == f"python3 -m venv {tmp_path}/machine/venv" for line in lines)
    assert all("Lock::Timeout" in line for line in lines if line.startswith("apt-get"))


def test_what_was_installed_is_found_at_once(script: Script) -> None:
    """Bash remembers where it found python3 before."""
    script.program("id", "echo 0")
    script.program("apt-get", "true")
    pip = "mkdir -p $3/bin; printf '#!/bin/sh\\n' >$3/bin/pip; cp $3/bin/pip $3/bin/python3; chmod 755 $3/bin/*"
    script.program("python3", f"[ $1 = -m ] || exit 1; {pip}")
    for name in ("mkdir", "cp", "chmod"):
        script.real(name)
    done = script.run("install")
    assert (done.returncode, done.stdout) == (0, "")
    assert script.run("look").stdout == ""


@pytest.mark.parametrize(
    ("distribution", "version", "said"),
    [
        ("gentoo", "2.17", "which packages of gentoo 2.17 to install is not known: install numactl by hand"),
        ("debian", "1", "which packages of debian 1 to install is not known: install numactl by hand"),
        (
            "ubuntu",
            "20.04",
            "ubuntu 20.04 cannot do it by itself, since its Python is 3.8, and TensorFlow is made for 3.10 to 3.13: "
            "install numactl by hand",
        ),
    ],
)
def test_a_distribution_that_cannot_says_what_to_do(script: Script, distribution: str, version: str, said: str) -> None:
    script.program("id", "echo 0")
    (script.bin / "numactl").unlink()
    script.of(distribution, version)
    done = script.run("install")
    assert (done.returncode, done.stdout) == (1, f"{said}\n")


# ------------------------------------------------------------------------------------------------ each distribution

DATA = Path(__file__).parents[1] / "data/hosts"
SYSTEMS = yaml.safe_load((DATA / "distributions.yaml").read_text())
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
"""Those that TensorFlow 2.21 is made for."""


def test_every_image_family_is_of_a_distribution_whose_packages_are_recorded() -> None:
    families = [catalog.image_family(name) for name in catalog.image_families()]
    recorded = {(system["id"], system["release"]) for system in SYSTEMS}
    for family in families:
        assert family is not None
        releases = {family.version, family.version.partition(".")[0]}
        assert any((family.distribution, release) in recorded for release in releases), family.name
        assert catalog.host_programs(family.distribution, family.version), family.name


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: f"{system['id']} {system['version']}")
def test_each_distribution_ends_with_all_programs_or_is_refused(script: Script, tmp_path: Path, system: Any) -> None:
    """The script, with a package manager that has what each distribution's has, and nothing else."""
    programs = catalog.host_programs(system["id"], system["version"])
    assert programs
    if system["java"] < 17 or not set(system["python"].values()) & set(PYTHONS):
        assert programs.cannot
        return
    for name in ("java", "numactl", "python3"):
        (script.bin / name).unlink()
    for name in ("mkdir", "cp", "chmod", "touch", "cat"):
        script.real(name)
    script.program("id", "echo 0")
    shelf = tmp_path / "packages"
    for package, version in system["java_packages"].items():
        script.package(shelf / package, "java", f"""echo 'openjdk version "{version}.0.1"' >&2""")
    python = (DATA / "python.sh").read_text().replace("MADE_FOR", "|".join(PYTHONS))
    for package, version in system["python"].items():
        script.package(shelf / package, package, python.replace("VERSION", version))
    for package in ("numactl", *system["also"]):
        script.package(shelf / package, package, "")
    manager = (DATA / "package-manager.sh").read_text().replace("SHELF", str(shelf)).replace("BIN", str(script.bin))
    script.program("apt-get" if system["manager"] == "apt" else "dnf", manager)
    script.of(system["id"], system["version"])
    done = script.run("install")
    assert (done.returncode, done.stderr) == (0, "")
    assert script.run("look").stdout == ""


# ------------------------------------------------------------------------------------------------ folders


def test_who_is_connected_never_takes_the_home_to_expect(host: FakeHost) -> None:
    """The one to expect is another's, or nobody's."""
    made = bench(host)
    assert made.session.host("a").work_folder == "/root/provisioner/demo"
    made.session.host("a").connection()
    assert made.session.host("a").work_folder == f"{host.home}/provisioner/demo"


def test_everything_of_a_deployment_is_below_one_folder(host: FakeHost) -> None:
    made = bench(host)
    made.session.host("a").facts()
    assert made.session.host("a").work_folder == f"{host.home}/provisioner/demo"
    docker = Session(static_spec("a", runtime="docker", image={"build": "spark"}))
    assert docker.hosts[0].work_folder == "/opt/work/provisioner"
