"""Mirrors by region, and what a plan takes from where."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner import inventory, steps
from provisioner.deployment import Session
from provisioner.errors import UsageError
from provisioner.inventory.mirrors import host_of, registry_of, trusted_host
from provisioner.operations import plan as planning
from provisioner.render import data_folder, render
from provisioner.steps.image import build_arguments

ROOT = Path(__file__).parents[2]
DATA = yaml.safe_load((ROOT / "tests/data/inventory/mirrors.yaml").read_text())
TEXTS = {path.stem: path.read_text() for path in sorted((ROOT / "inventories").glob("*.yaml"))}
TEXTS["init"] = render("inventory.yaml", name="bf16")
CLOUD = [name for name, text in TEXTS.items() if "provider: alibaba" in text]
OF_OTHERS = {"paper", "zoo-release"}
"""Made of what the mainland does not reach, and nobody else has."""
BUILDS = sorted(path.parent.name for path in (ROOT / "templates/docker").glob("*/Dockerfile"))


def plan(text: str) -> dict[str, Any]:
    return planning.document(steps.plan(Session(inventory.parse(text)))).as_json()


def hosts(document: dict[str, Any]) -> set[str]:
    """Every host outside that a plan names: in titles and files, and in what is pulled and built."""
    texts = [file["content"] for file in document["files"]] + [step["title"] for step in document["steps"]]
    return {host for text in texts for host in [*urls(text), *images(text)]}


def urls(text: str) -> Iterator[str]:
    for host in re.findall(r"https?://([\w.-]+)", text):
        if "." in host:  # not a host of the cluster's own
            yield host


def images(title: str) -> Iterator[str]:
    """The registries of `docker pull` and `docker build`, and where the Dockerfile's own arguments point to."""
    words = shlex.split(title) if title.startswith(("docker pull", "docker build")) else []
    if words[1:2] == ["pull"]:
        yield words[-1].strip("()") if "(from" in words else registry_of(words[2])
    if words[1:2] == ["build"]:
        dockerfile = (data_folder("templates") / "docker" / words[-1] / "Dockerfile").read_bytes()
        given = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
        arguments = {**build_arguments(dockerfile), **given}
        yield from (registry_of(str(value)) for name, value in arguments.items() if name.endswith("_IMAGE"))
        yield from (host for value in arguments.values() for host in urls(str(value)))
        yield "deb.debian.org" if not arguments["APT_MIRROR"] else host_of(str(arguments["APT_MIRROR"]))
        yield "pypi.org" if not arguments["PACKAGE_INDEX"] else host_of(str(arguments["PACKAGE_INDEX"]))


def in_region(name: str, region: str) -> str:
    return re.sub(r"region: [\w-]+", f"region: {region}", TEXTS[name])


# ------------------------------------------------------------------------------------------------ the shipped ones


def test_what_is_shipped_is_planned_in_a_region_that_reaches_all_of_it() -> None:
    """Those of the mainland take nothing that is not reached there."""
    assert len(CLOUD) > 5
    for name in CLOUD:
        region = inventory.parse(TEXTS[name]).cloud.region
        if region in DATA["mainland"]:
            assert hosts(plan(TEXTS[name])) <= set(DATA["reached"]), name
        else:
            assert region in DATA["outside"], name
        assert not [warning for warning in plan(TEXTS[name])["warnings"] if "slow or silent" in warning], name


@pytest.mark.parametrize("region", DATA["mainland"])
@pytest.mark.parametrize("name", CLOUD)
def test_in_the_mainland_mirrors_are_taken_or_the_plan_is_refused(name: str, region: str) -> None:
    text = in_region(name, region)
    if name in OF_OTHERS:
        with pytest.raises(
            UsageError, match=rf"comes from docker\.io, which does not answer in {region}: name a regis"
        ):
            plan(text)
    else:
        found = hosts(plan(text))
        assert found <= set(DATA["reached"])
        assert "mirrors.cloud.aliyuncs.com" in found


@pytest.mark.parametrize("region", DATA["outside"])
@pytest.mark.parametrize("name", CLOUD)
def test_elsewhere_everything_comes_from_its_own_home(name: str, region: str) -> None:
    found = hosts(plan(in_region(name, region)))
    assert "docker.io" in found
    assert found & {"mirrors.cloud.aliyuncs.com", "ac2-registry.cn-hangzhou.cr.aliyuncs.com"} == set()


@pytest.mark.parametrize(("region", "index"), [("cn-hangzhou", True), ("cn-hongkong", False)])
def test_pip_on_the_host_itself_takes_them_too(region: str, index: bool) -> None:
    text = f"name: ab\nprovider: alibaba\nruntime: host\ncloud: {{region: {region}}}\n"
    document = plan(text)
    (script,) = (file["content"] for file in document["files"] if file["path"].endswith("programs.sh"))
    line = next(line for line in script.splitlines() if 'pip" install' in line)
    option = "--index-url http://mirrors.cloud.aliyuncs.com/pypi/simple/ --trusted-host mirrors.cloud.aliyuncs.com "
    assert (option in line) is index
    assert ("pypi" in str(document["steps"])) is index


# ------------------------------------------------------------------------------------------------ settings

SPARK = "name: ab\nprovider: {provider}\nimage: {{build: spark{image}}}\n{more}\n"


def arguments(provider: str = "alibaba", image: str = "", more: str = "") -> dict[str, str]:
    """The build arguments that an inventory comes to."""
    spec = inventory.parse(SPARK.format(provider=provider, image=image, more=more))
    assert spec.image
    return spec.image.build_arguments


def test_what_the_inventory_says_goes_first() -> None:
    given = "{BASE_IMAGE: r.example.com/python:3.13, APT_MIRROR: '', PYSPARK_VERSION: 4.2.0}"
    assert arguments(image=f", build_arguments: {given}") == {
        "BASE_IMAGE": "r.example.com/python:3.13",
        "APT_MIRROR": "",
        "PYSPARK_VERSION": "4.2.0",
        "PACKAGE_INDEX": "http://mirrors.cloud.aliyuncs.com/pypi/simple/",
        "PIP_TRUSTED_HOST": "mirrors.cloud.aliyuncs.com",
    }
    mine = "mirrors: {package_index: 'https://pypi.example.com/simple', apt: 'http://apt.example.com/'}"
    made = arguments(more=mine)
    assert made.pop("BASE_IMAGE").startswith("ac2-registry.")
    assert made == {"APT_MIRROR": "http://apt.example.com", "PACKAGE_INDEX": "https://pypi.example.com/simple"}


def test_a_registry_of_ones_own_or_a_hub_that_is_reached_keeps_the_usual_base_image() -> None:
    assert "BASE_IMAGE" not in arguments(image=", registry_mirror: r.example.com/hub")
    assert "BASE_IMAGE" not in arguments(more="mirrors: {reachable: [docker.io]}")
    assert "BASE_IMAGE" in arguments()
    for more in ("mirrors: {reachable: [docker.io]}", "docker: {package: auto}"):
        image = "" if "docker.io" in more else ", registry_mirror: r.example.com/hub"
        plan(SPARK.format(provider="alibaba", image=image, more=more))


def test_hosts_that_are_not_rented_take_what_they_are_told() -> None:
    """Simulated machines are on this computer, and where others' hosts are is not known."""
    hosts_of_ones_own = "hosts: [{name: a, address: 192.0.2.1}]"
    assert arguments("simulator", more="cloud: {region: cn-hangzhou}") == {}
    assert arguments("static", more=hosts_of_ones_own) == {}
    told = f"{hosts_of_ones_own}\nmirrors: {{package_index: 'http://pypi.example.com/simple'}}"
    assert arguments("static", more=told) == {
        "PACKAGE_INDEX": "http://pypi.example.com/simple",
        "PIP_TRUSTED_HOST": "pypi.example.com",
    }


def test_the_papers_image_and_sample_with_mirrors_of_ones_own() -> None:
    """Docker Hub's image is refused; GitHub, which answers now and then, is a warning."""
    text = in_region("paper", "cn-hangzhou")
    image = text.replace("  container: az1\n", "  container: az1\n  registry_mirror: registry.example.com/hub\n")
    (warning,) = (warning for warning in plan(image)["warnings"] if "workload.source" in warning)
    assert "https://github.com/yangw1234/models-1.git comes from github.com, slow or silent in cn-hangzhou" in warning
    both = image.replace("    ref: branch", "    mirror: https://git.example.com/models-1.git\n    ref: branch")
    document = plan(both)
    assert not [warning for warning in document["warnings"] if "workload.source" in warning]
    assert "git clone https://git.example.com/models-1.git && git checkout branch-1.6.1-zoo" in [
        step["title"] for step in document["steps"]
    ]
    assert {"github.com", "docker.io"} & hosts(document) == set()
    reached = f"{text}\nmirrors: {{reachable: [docker.io, github.com]}}\n"
    assert not [warning for warning in plan(reached)["warnings"] if "slow or silent" in warning]


def test_dockers_own_repository_does_not_answer_there() -> None:
    more = "docker: {repository_mirror: 'https://download.docker.com'}"
    with pytest.raises(
        UsageError, match=r"docker\.repository_mirror: docker-ce comes from download\.docker\.com, which"
    ):
        plan(SPARK.format(provider="alibaba", image="", more=more))
    plan(SPARK.format(provider="alibaba", image="", more=f"{more}\ncloud: {{region: eu-central-1}}"))


def test_a_build_argument_may_point_out_of_reach() -> None:
    nightly = "name: ab\nprovider: alibaba\nimage:\n  build: zoo-nightly\n  registry_mirror: r.example.com\n"
    nightly += "  build_arguments: {ZOO_ARCHIVE: 'https://oss.example.com/zoo.zip'}\nworkload: {engine: tfpark}\n"
    warnings = [warning for warning in plan(nightly)["warnings"] if "slow or silent" in warning]
    assert [re.sub(r".*arguments\.(\w+): .*", r"\1", warning) for warning in warnings] == [
        "BAZEL_RELEASES",
        "TENSORFLOW_SOURCE",
        "SPARK_ARCHIVE",
    ]


# ------------------------------------------------------------------------------------------------ the Dockerfiles


@pytest.mark.parametrize("build", BUILDS)
def test_every_bundled_build_takes_what_a_region_has_for_it(build: str) -> None:
    taken = build_arguments((ROOT / "templates/docker" / build / "Dockerfile").read_bytes())
    given = "build_arguments: {ZOO_ARCHIVE: x}" if build == "zoo-nightly" else "build_arguments: {}"
    text = f"name: ab\nprovider: alibaba\nimage: {{build: {build}, {given}}}\nworkload: {{dtypes: [float32]}}\n"
    spec = inventory.parse(text)
    assert spec.image
    assert {"APT_MIRROR", "PACKAGE_INDEX", "PIP_TRUSTED_HOST"} <= spec.image.build_arguments.keys() <= taken.keys()


@pytest.mark.parametrize("build", BUILDS)
def test_apts_sources_are_turned_to_the_mirror(build: str, tmp_path: Path) -> None:
    """Debian's and Ubuntu's, in either form; other people's stay."""
    dockerfile = (ROOT / "templates/docker" / build / "Dockerfile").read_text()
    commands = re.findall(r"^RUN (if \[ -n .*?^    fi) \\$", dockerfile, re.MULTILINE | re.DOTALL)
    (command,) = set(commands)
    assert len(commands) == len(re.findall("apt-get update", dockerfile)), "each stage that installs turns its own"
    before = {
        "sources.list": "deb http://archive.ubuntu.com/ubuntu/ noble main\n"
        "deb [signed-by=/k] https://deb.debian.org/debian trixie main\ndeb https://example.com/ubuntu/tools x y\n",
        "sources.list.d/ubuntu.sources": "URIs: http://ports.ubuntu.com/ubuntu-ports/\nSuites: noble\n",
        "sources.list.d/debian.sources": "URIs: http://security.debian.org/debian-security\nURIs: http://d.o/debian\n",
    }
    (tmp_path / "sources.list.d").mkdir()
    for name, text in before.items():
        (tmp_path / name).write_text(text)
    environment = {**os.environ, "APT_MIRROR": "http://mirrors.example.com"}
    subprocess.run(["sh", "-ec", command.replace("/etc/apt", str(tmp_path))], env=environment, check=True)
    assert {name: (tmp_path / name).read_text() for name in before} == {
        "sources.list": "deb http://mirrors.example.com/ubuntu/ noble main\n"
        "deb [signed-by=/k] http://mirrors.example.com/debian/ trixie main\ndeb https://example.com/ubuntu/tools x y\n",
        "sources.list.d/ubuntu.sources": "URIs: http://mirrors.example.com/ubuntu-ports/\nSuites: noble\n",
        "sources.list.d/debian.sources": "URIs: http://mirrors.example.com/debian-security/\n"
        "URIs: http://mirrors.example.com/debian/\n",
    }


# ------------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("ubuntu:18.04", "docker.io"),
        ("intelanalytics/analytics-zoo:1", "docker.io"),
        ("docker.io/library/python:3.13", "docker.io"),
        ("ac2-registry.cn-hangzhou.cr.aliyuncs.com/ac2/base:ubuntu24.04", "ac2-registry.cn-hangzhou.cr.aliyuncs.com"),
        ("localhost/mine:1", "localhost"),
        ("127.0.0.1:5000/base:1", "127.0.0.1:5000"),
    ],
)
def test_registry_of_an_image(image: str, registry: str) -> None:
    assert registry_of(image) == registry


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://github.com/a/b.git", "github.com"),
        ("ssh://git@github.com:22/a/b.git", "github.com"),
        ("git@github.com:a/b.git", "github.com"),
        ("github.com:a/b.git", "github.com"),
        ("/srv/git/b.git", ""),
        ("./b.git", ""),
    ],
)
def test_host_of_a_url(url: str, host: str) -> None:
    assert host_of(url) == host


def test_pip_trusts_only_what_it_cannot_verify() -> None:
    assert trusted_host("http://mirrors.cloud.aliyuncs.com/pypi/simple/") == "mirrors.cloud.aliyuncs.com"
    assert trusted_host("https://mirrors.aliyun.com/pypi/simple/") == ""
