"""DockerStep: the rendered script runs for real, on recorded machines whose programs are stand-ins keeping a record."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner import catalog
from provisioner.deployment import Ports, Session
from provisioner.errors import CommandError, HostError
from provisioner.hosts.facts import FACTS_SCRIPT
from provisioner.inventory.spec import DockerSpec, HostSpec, ImageSpec, Spec
from provisioner.ports import Completed
from provisioner.render import render
from provisioner.step import ABSENT, Presence
from provisioner.steps.docker import DockerStep
from tests.support.deployments import began

DATA = Path(__file__).parents[1] / "data" / "docker"
MACHINES = yaml.safe_load((DATA / "machines.yaml").read_text())
PROGRAMS = "apt-get chmod cloud-init curl dnf grep install sed sleep sudo systemctl tee timeout yum"

# Written in bash's own words alone: on the machine's PATH there is nothing but stand-ins.
STAND_IN = r"""#!{bash}
line="${{0##*/}}${{*:+ $*}}"
record={folder}
earlier=0
[ ! -e "$record/calls" ] || while IFS= read -r call; do
  [ "$call" != "$line" ] || earlier=$((earlier + 1))
done <"$record/calls"
if [ "${{0##*/}}" = tee ]; then read -r content; line="$line <<< $content"; fi
printf '%s\n' "$line" >>"$record/calls"
echo "what ${{0##*/}} prints"
while IFS=$'\t' read -r statuses pattern; do
  # shellcheck disable=SC2053
  if [[ $line == $pattern ]]; then
    read -ra each <<<"$statuses"
    exit "${{each[$((earlier < ${{#each[@]}} ? earlier : ${{#each[@]}} - 1))]}}"
  fi
done <"$record/answers"
if [ "${{0##*/}}" = sudo ]; then shift; [ "$1" = true ] || exec "$@"; fi
exit 0
"""


class Machine:
    """A host as DockerStep's connection sees it."""

    name = "web-001"

    def __init__(self, case: dict[str, Any], folder: Path) -> None:
        self.case = case
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        bash = shutil.which("bash")
        (self.bin / "bash").symlink_to(str(bash))
        for name in PROGRAMS.split():
            if name not in case.get("without", ()):
                program = self.bin / name
                program.write_text(STAND_IN.format(bash=bash, folder=folder))
                program.chmod(0o755)
        (folder / "answers").write_text(
            "".join(
                f"{' '.join(map(str, statuses))}\t{pattern}\n" for pattern, statuses in case.get("answers", {}).items()
            )
        )

    def run(self, command: str, *, on_line: Any = None, check: bool = True, **_: Any) -> Completed:
        if command == FACTS_SCRIPT:
            return Completed(0, self._facts())
        ended = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.folder,
            env={"PATH": str(self.bin)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for line in ended.stdout.splitlines():
            if on_line:
                on_line(line)
        if check and ended.returncode:
            tail = ended.stdout.splitlines()[-20:]
            raise CommandError(f"{command} ended with {ended.returncode}", status=ended.returncode, tail=tail)
        return Completed(ended.returncode, ended.stdout)

    def put(self, content: bytes, path: str, *, mode: int = 0o644) -> None:
        target = self.folder / path
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)

    def calls(self) -> list[str]:
        record = self.folder / "calls"
        return record.read_text().splitlines() if record.exists() else []

    def _facts(self) -> str:
        manager = {"apt": "apt-get"}.get(self.case["package_manager"], self.case["package_manager"])
        return (
            f"hostname=web-001\nhome=/root\nuser={self.case['user']}\nprogram={manager}\n"
            f'[os-release]\nID="{self.case["distribution"]}"\nVERSION_ID="{self.case["version"]}"\n'
            "[cpuinfo]\n[allowed]\nCpus_allowed_list: 0-1\n[topology]\n[memory]\nMemTotal: 8000000 kB\n"
            "[disk]\n/dev/vda1 41022688 1 39000000 1% /\n"
        )


class Connector:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def connect(self, *_: Any, **__: Any) -> Machine:
        return self.machine

    def close(self) -> None:
        """Nothing to end."""


class Engine:
    def __init__(self, version: str | None) -> None:
        self.version = version

    def ping(self) -> str | None:
        return self.version


def session(machine: Machine, told: list[str] | None = None, engine: str | None = None) -> Session:
    case = machine.case
    docker = {"package": case.get("package", "auto")}
    if "mirror" in case:
        docker["repository_mirror"] = case["mirror"]
    spec = Spec(
        name="paper",
        provider="static",
        hosts=(HostSpec(name="web-001", address="192.0.2.1"),),
        image=ImageSpec(pull="team/image:1"),
        docker=DockerSpec(**docker),
    )
    ports = Ports(
        store=began(spec),
        clock=None,  # type: ignore[arg-type]
        connector=Connector(machine),  # type: ignore[arg-type]
        engine=lambda _: Engine(engine),  # type: ignore[arg-type, return-value]
        progress=(told if told is not None else []).append,
    )
    return Session(spec, ports)


@pytest.mark.parametrize("case", MACHINES, ids=lambda case: case["name"])
def test_the_script_installs_docker_on(case: dict[str, Any], tmp_path: Path) -> None:
    """The exact commands, in order, and nothing beside them."""
    machine = Machine(case, tmp_path)
    step = DockerStep(session(machine).hosts[0])
    if "fails" in case:
        with pytest.raises(CommandError) as caught:
            step.apply()
        assert caught.value.status == case["fails"]
    else:
        step.apply()
    expected: list[str] = []
    for call in case["calls"]:
        expected += [call] if isinstance(call, str) else call["lines"] * call["times"]
    assert machine.calls() == expected


def every_system() -> list[tuple[str, str, str, str]]:
    """(distribution, version, package manager, package) of each recorded machine, and of those that are like them."""
    recorded = {(m["distribution"], m["version"], m["package_manager"], m.get("package", "auto")) for m in MACHINES}
    apt = [("ubuntu", "20.04"), ("ubuntu", "22.04"), ("ubuntu", "24.04"), ("debian", "12"), ("debian", "13")]
    like = {(*system, "apt", package) for system in apt for package in ("auto", "docker-ce")}
    like |= {("almalinux", "9.6", "dnf", "auto"), ("centos", "9", "dnf", "docker-ce")}
    return sorted(recorded | like)


@pytest.mark.parametrize("system", every_system(), ids=" ".join)
def test_every_script_passes_shellcheck(system: tuple[str, str, str, str], tmp_path: Path) -> None:
    distribution, version, manager, package = system
    case = {
        "distribution": distribution,
        "version": version,
        "package_manager": manager,
        "package": package,
        "user": "root",
    }
    known = session(Machine(case, tmp_path))
    known.hosts[0].facts()
    (script,) = DockerStep(known.hosts[0]).describe().files
    assert "{{" not in script.content
    checked = subprocess.run(
        [shutil.which("shellcheck") or _beside_python("shellcheck"), "-S", "style", "-s", "bash", "-"],
        input=script.content,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("template", "before", "after"),
    [
        (
            "repository.sh",
            "[docker-ce-stable]\n"
            "baseurl=https://download.docker.com/linux/centos/$releasever/$basearch/stable\n"
            "gpgkey=https://download.docker.com/linux/centos/gpg\n",
            "[docker-ce-stable]\n"
            "baseurl=https://mirror.example.com/ce/linux/centos/$releasever/$basearch/stable\n"
            "gpgkey=https://mirror.example.com/ce/linux/centos/gpg\n",
        ),
        (
            "repository.sh",
            "baseurl=http://mirrors.cloud.aliyuncs.com/docker-ce/linux/centos/$releasever/source/stable\n",
            "baseurl=https://mirror.example.com/ce/linux/centos/$releasever/source/stable\n",
        ),
        (
            "centos-7-vault.sh",
            "[base]\n"
            "mirrorlist=http://mirrorlist.centos.org/?release=$releasever&arch=$basearch&repo=os&infra=$infra\n"
            "#baseurl=http://mirror.centos.org/centos/$releasever/os/$basearch/\n",
            "[base]\n"
            "#mirrorlist=http://mirrorlist.centos.org/?release=$releasever&arch=$basearch&repo=os&infra=$infra\n"
            "baseurl=http://vault.centos.org/7.9.2009/os/$basearch/\n",
        ),
        (
            "centos-7-vault.sh",
            "baseurl=http://mirrors.cloud.aliyuncs.com/centos/$releasever/os/$basearch/\n",
            "baseurl=http://mirrors.cloud.aliyuncs.com/centos/$releasever/os/$basearch/\n",
        ),
    ],
)
def test_repository_files_are_pointed_at_their_mirror(template: str, before: str, after: str, tmp_path: Path) -> None:
    """With the real sed and grep, on files as distributions and Docker ship them."""
    target = tmp_path / "file.repo"
    target.write_text(before)
    script = render(f"docker/{template}", mirror="https://mirror.example.com/ce", release="")
    lines = [line for line in script.splitlines() if not line.startswith("curl ")]
    script = re.sub(r"/etc/yum\.repos\.d/[\w-]+\.repo", str(target), "\n".join(lines))
    subprocess.run(["/bin/sh", "-e", "-c", script], check=True)
    assert target.read_text() == after


def _beside_python(program: str) -> str:
    import sys

    return os.path.join(os.path.dirname(sys.executable), program)


def test_the_plan_shows_the_script_that_is_run(tmp_path: Path) -> None:
    """For an instance that does not exist yet the catalog's facts stand in."""
    spec = Spec(name="paper", provider="alibaba", image=ImageSpec(pull="team/image:1"))
    described = DockerStep(Session(spec).host("paper-001")).describe()
    assert described.title == "Install and start Docker: docker-ce"
    machine = Machine(MACHINES[0], tmp_path)
    DockerStep(session(machine).hosts[0]).apply()
    (file,) = described.files
    assert (file.path, file.mode) == ("provisioner/install-docker.sh", 0o755)
    assert (tmp_path / file.path).read_text() == file.content


def test_the_papers_commands_are_in_the_title() -> None:
    spec = Spec(
        name="paper",
        provider="alibaba",
        cloud={"image_family": "acs:centos_7_9_x64"},  # type: ignore[arg-type]
        image=ImageSpec(pull="team/image:1"),
        docker=DockerSpec(package="docker-io"),
    )
    title = DockerStep(Session(spec).host("paper-001")).describe().title
    assert "yum install docker-io -y; systemctl start docker" in title


def test_a_host_that_is_not_known_yet_is_planned_without_a_script() -> None:
    spec = Spec(
        name="paper",
        provider="static",
        hosts=(HostSpec(name="web-001", address="192.0.2.1"),),
        image=ImageSpec(pull="team/image:1"),
    )
    described = DockerStep(Session(spec).host("web-001")).describe()
    assert described.files == ()
    assert described.title == "Install and start Docker, unless it runs already"


def test_an_engine_that_answers_is_left_alone(tmp_path: Path) -> None:
    machine = Machine(MACHINES[0], tmp_path)
    finding = DockerStep(session(machine, engine="26.1.5").hosts[0]).check()
    assert (finding.presence, finding.detail) == (Presence.PRESENT, "Docker 26.1.5")
    assert DockerStep(session(machine).hosts[0]).check() == ABSENT
    assert machine.calls() == []


def test_the_person_hears_what_is_waited_for_and_no_more(tmp_path: Path) -> None:
    told: list[str] = []
    DockerStep(session(Machine(MACHINES[0], tmp_path), told).hosts[0]).apply()
    assert told == [
        "web-001: Waiting until the first boot's own work is done",
        "web-001: Installing docker-ce",
        "web-001: Starting Docker",
    ]


def test_podman_in_dockers_clothes_is_named_before_anything_is_done(tmp_path: Path) -> None:
    """Not after the package manager's own words."""
    case = {**MACHINES[0], "distribution": "rocky", "version": "8.7"}
    machine = Machine(case, tmp_path)
    (machine.bin / "docker").write_text("#!/bin/sh\necho podman version 4.2.0\n")
    (machine.bin / "docker").chmod(0o755)
    with pytest.raises(HostError, match=r"is podman in Docker's clothes.*`sudo dnf remove podman-docker`"):
        DockerStep(session(machine).hosts[0]).apply()
    assert machine.calls() == []


def test_what_the_package_manager_cannot_install_beside_is_named(tmp_path: Path) -> None:
    """Where it was not seen before: dnf's own words say it, and no command."""
    machine = Machine({**MACHINES[0], "distribution": "rocky", "version": "8.7"}, tmp_path)
    said = shlex.quote((DATA / "dnf-conflict.txt").read_text())
    (machine.bin / "dnf").write_text(f"#!/bin/sh\nprintf %s {said}\nexit 1\n")
    with pytest.raises(HostError) as caught:
        DockerStep(session(machine).hosts[0]).apply()
    assert str(caught.value) == (
        "Docker cannot be installed on web-001 beside podman, runc: make room for it there, "
        "`sudo dnf remove podman runc`, then run the command again"
    )


def test_a_login_without_sudo_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    case = {**MACHINES[0], "user": "ecs-user", "answers": {"sudo -n true": [1]}}
    machine = Machine(case, tmp_path)
    with pytest.raises(HostError, match=r"ecs-user on web-001 may not use sudo without a password.*ssh\.user"):
        DockerStep(session(machine).hosts[0]).apply()
    assert machine.calls() == ["sudo -n true"]


@pytest.mark.parametrize(
    ("distribution", "version", "manager", "package"),
    [
        ("fedora", "43", "dnf", "auto"),
        ("alinux", "3", "dnf", "docker-io"),
        ("alinux", "4", "dnf", "docker-ce"),
        ("linuxmint", "22", "apt", "docker-ce"),
        ("opensuse-leap", "15.6", "", "auto"),
    ],
)
def test_where_we_do_not_know_how_we_say_so(
    distribution: str, version: str, manager: str, package: str, tmp_path: Path
) -> None:
    case = {
        "distribution": distribution,
        "version": version,
        "package_manager": manager,
        "package": package,
        "user": "root",
    }
    known = session(Machine(case, tmp_path))
    known.hosts[0].facts()
    step = DockerStep(known.hosts[0])
    with pytest.raises(HostError, match=f"is not known for {distribution} {version}: install and start Docker there"):
        step.apply()
    assert step.describe().files == ()
    assert f"{distribution} {version}" in step.describe().warnings[0]


def test_any_other_system_with_apt_gets_its_own_package() -> None:
    """docker.io is in all of Debian's children; docker-ce's repository is for named releases."""
    chosen = catalog.docker_recipe("linuxmint", "22", "apt", "auto")
    assert chosen is not None
    assert chosen.script == "install-apt.sh"


def test_what_it_installs_dies_with_instances_and_stays_on_other_peoples_hosts(tmp_path: Path) -> None:
    theirs = DockerStep(session(Machine(MACHINES[0], tmp_path)).hosts[0])
    ours = DockerStep(Session(Spec(name="paper", provider="alibaba", image=ImageSpec(pull="team/image:1"))).hosts[0])
    assert (ours.undone, theirs.undone) == (False, False)
