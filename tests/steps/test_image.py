"""ImageStep and ContainerStep: what they ask of an engine, and what they show before."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner import catalog
from provisioner.deployment import Ports, Session
from provisioner.deployment.state import GivenImage
from provisioner.errors import HostError, UsageError
from provisioner.inventory.spec import HostSpec, ImageSpec, RegistryLoginSpec, Spec
from provisioner.ports import ContainerRequest, ContainerState
from provisioner.render import data_folder
from provisioner.secret import Secret
from provisioner.step import ABSENT, Presence
from provisioner.steps.image import ContainerStep, ImageStep, build_arguments
from tests.support.deployments import began

PAPERS_TAG = "intelanalytics/analytics-zoo:0.8.1-bigdl_0.10.0-spark_2.4.3-bf16"
HOST = "web-001"


class Engine:
    """Implements ports.Engine: remembers what it was asked."""

    def __init__(self) -> None:
        self.images: dict[str, str] = {}
        self.running: dict[str, ContainerState] = {}
        self.free = 500.0
        self.asked: list[tuple[Any, ...]] = []

    def free_gib(self) -> float:
        return self.free

    def image_id(self, tag: str) -> str | None:
        return self.images.get(tag)

    def pull(self, tag: str, *, mirror: str | None, on_progress: Any, login: tuple[str, Secret] | None = None) -> str:
        self.asked.append(("pull", tag, mirror, login and (login[0], login[1].reveal())))
        on_progress("layer 1: pull complete; 1 of 1 layers, 3 MiB")
        self.images[tag] = f"sha256:id-of-{tag}"
        return f"sha256:digest-of-{tag}"

    def build(self, tag: str, files: Mapping[str, bytes], *, arguments: Mapping[str, str], on_progress: Any) -> str:
        self.asked.append(("build", tag, sorted(files), dict(arguments)))
        self.images[tag] = f"sha256:id-of-{tag}"
        return self.images[tag]

    def container(self, name: str) -> ContainerState | None:
        return self.running.get(name)

    def start(self, request: ContainerRequest) -> None:
        self.asked.append(("start", request))
        self.running[request.name] = ContainerState(
            request.name,
            request.image,
            self.images[request.image],
            "running",
            request.privileged,
            health_check=request.health,
            volumes=request.volumes,
        )

    def remove(self, name: str) -> None:
        self.asked.append(("remove", name))


class Connector:
    def connect(self, *_: Any, **__: Any) -> None:
        return None

    def close(self) -> None:
        """Nothing to end."""


class Stage:
    """A deployment on one host, with a fake engine."""

    def __init__(self, **image: Any) -> None:
        self.engine = Engine()
        self.told: list[str] = []
        spec = Spec(
            name="paper",
            provider="static",
            hosts=(HostSpec(name=HOST, address="192.0.2.1"),),
            image=ImageSpec(**image),
        )
        self.store = began(spec)
        self.session = Session(
            spec,
            Ports(
                store=self.store,
                clock=None,  # type: ignore[arg-type]
                connector=Connector(),  # type: ignore[arg-type]
                engine=lambda _: self.engine,  # type: ignore[arg-type, return-value]
                progress=self.told.append,
            ),
        )
        self.image = ImageStep(self.session.host(HOST))
        self.container = ContainerStep(self.session.host(HOST))


# ---------------------------------------------------------------------------------------------- pulled


def test_the_papers_commands_are_in_the_plan() -> None:
    stage = Stage(pull=PAPERS_TAG, container="az1", privileged=True)
    assert stage.image.describe().title == f"docker pull {PAPERS_TAG}"
    assert stage.container.describe().title == f"docker run -itd --name az1 --net=host --privileged {PAPERS_TAG}"


def test_one_capability_instead_of_privileged_and_volumes_are_in_the_plan() -> None:
    stage = Stage(pull="team/image:1", volumes={"/data/ILSVRC2012": "/opt/ILSVRC2012"})
    assert stage.container.describe().title == (
        "docker run -itd --name provisioner --net=host --cap-add SYS_NICE "
        "-v /data/ILSVRC2012:/opt/ILSVRC2012 team/image:1"
    )


def test_describing_needs_no_outside() -> None:
    spec = Spec(name="paper", provider="simulator", image=ImageSpec(build="spark"))
    for step in (ImageStep, ContainerStep):
        assert "provisioner/spark:" in step(Session(spec).hosts[0]).describe().title


def test_a_missing_image_is_pulled_and_its_digest_kept() -> None:
    stage = Stage(pull=PAPERS_TAG, registry_mirror="registry.example.com")
    assert "(from registry.example.com)" in stage.image.describe().title
    assert stage.image.check() == ABSENT
    stage.image.apply()
    assert stage.engine.asked == [("pull", PAPERS_TAG, "registry.example.com", None)]
    assert stage.store.state.images == {HOST: GivenImage(tag=PAPERS_TAG, digest=f"sha256:digest-of-{PAPERS_TAG}")}
    assert stage.told[0] == f"{HOST}: layer 1: pull complete; 1 of 1 layers, 3 MiB"
    assert stage.image.check().presence is Presence.PRESENT


def test_pulling_begins_only_with_room_for_it() -> None:
    stage = Stage(pull=PAPERS_TAG)
    stage.engine.free = 9.9
    with pytest.raises(HostError, match=r"web-001 has 9\.9 GiB left for images, .* needs 10: .*image\.needs_gib"):
        stage.image.apply()
    assert stage.engine.asked == []
    small = Stage(pull=PAPERS_TAG, needs_gib=0.5)
    small.engine.free = 9.9
    small.image.apply()


def test_the_registrys_password_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(
        pull="r.example.com/team/image:1",
        registry_login=RegistryLoginSpec(username="someone", password_env="REGISTRY_PASSWORD"),
    )
    monkeypatch.setenv("REGISTRY_PASSWORD", "s3cr3t!")
    stage.image.apply()
    assert stage.engine.asked == [("pull", "r.example.com/team/image:1", None, ("someone", "s3cr3t!"))]
    assert "s3cr3t!" not in repr((stage.told, stage.store.state, stage.image.describe()))


def test_a_password_that_is_not_there_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REGISTRY_PASSWORD", raising=False)
    stage = Stage(
        pull="r.example.com/team/image:1",
        registry_login=RegistryLoginSpec(username="someone", password_env="REGISTRY_PASSWORD"),
    )
    with pytest.raises(UsageError, match="set the environment variable REGISTRY_PASSWORD"):
        stage.image.apply()


# ---------------------------------------------------------------------------------------------- built


def test_a_build_gets_dockerfile_workload_and_arguments_after_its_base_images() -> None:
    given = {"BASE_IMAGE": "registry.example.com/python:3.13", "PACKAGE_INDEX": "https://pypi.example.com/simple"}
    stage = Stage(build="spark", build_arguments=given)
    title = stage.image.describe().title
    assert "--build-arg BASE_IMAGE=registry.example.com/python:3.13" in title
    assert stage.image.check() == ABSENT
    stage.image.apply()
    pull, build = stage.engine.asked
    assert pull == ("pull", "registry.example.com/python:3.13", None, None)
    assert build[1] == stage.image.tag
    assert {"Dockerfile", "workload/__main__.py"} <= set(build[2])
    assert not [name for name in build[2] if name.endswith(".pyc")]
    assert build[3] == given
    assert stage.image.check().presence is Presence.PRESENT


def test_base_images_that_are_there_are_not_pulled() -> None:
    stage = Stage(build="zoo-release", registry_mirror="registry.example.com")
    stage.engine.images["eclipse-temurin:8-jre"] = "sha256:1"
    stage.image.apply()
    assert [asked[:3] for asked in stage.engine.asked if asked[0] == "pull"] == [
        ("pull", "python:3.7-slim-bookworm", "registry.example.com")
    ]


def test_a_login_for_one_registry_is_not_shown_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Base images come from Docker Hub; the login is the mirror's, or image.pull's own registry's."""
    monkeypatch.setenv("REGISTRY_PASSWORD", "s3cr3t!")
    login = RegistryLoginSpec(username="someone", password_env="REGISTRY_PASSWORD")
    bare = Stage(build="spark", registry_login=login)
    bare.image.apply()
    assert bare.engine.asked[0][3] is None
    mirrored = Stage(build="spark", registry_login=login, registry_mirror="registry.example.com")
    mirrored.image.apply()
    assert mirrored.engine.asked[0][3] == ("someone", "s3cr3t!")


def test_another_recipe_is_another_image() -> None:
    """The tag follows what goes into the build, so a changed argument is not taken for done."""
    tags = {
        Stage(build="spark").image.tag,
        Stage(build="spark", build_arguments={"PYSPARK_VERSION": "4.0.0"}).image.tag,
        Stage(build="zoo-release").image.tag,
    }
    assert len(tags) == 3
    assert Stage(build="spark").image.tag == Stage(build="spark").image.tag
    assert all(re.fullmatch(r"provisioner/(spark|zoo-release):[0-9a-f]{12}", tag) for tag in tags)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ({"build": "spark", "build_arguments": {"PYTHON": "3"}}, r"spark takes no PYTHON: it takes BASE_IMAGE, "),
        ({"build": "zoo-nightly"}, r"zoo-nightly needs ZOO_ARCHIVE"),
    ],
)
def test_wrong_build_arguments_are_told_before_anything_exists(image: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Stage(**image).image.describe()


def test_the_long_build_is_announced() -> None:
    stage = Stage(build="zoo-nightly", build_arguments={"ZOO_ARCHIVE": "https://example.com/zoo.zip"})
    assert "for hours" in stage.image.describe().warnings[0]


# ---------------------------------------------------------------------------------------------- the Dockerfiles


def dockerfile(build: str) -> str:
    return (data_folder("templates") / "docker" / build / "Dockerfile").read_text()


@pytest.mark.parametrize("build", catalog.image_recipes())
def test_every_image_runs_as_an_ordinary_user_and_pins_what_it_installs(build: str) -> None:
    text = dockerfile(build)
    assert text.index("\nUSER work") > text.index("COPY workload")
    arguments = build_arguments(text.encode())
    assert all(":" in str(value) for name, value in arguments.items() if name.endswith("_IMAGE"))
    assert all(re.fullmatch(r"\d+(\.\d+)+", str(value)) for name, value in arguments.items() if "_VERSION" in name)
    assert "pip install --no-cache-dir" in text
    assert len(re.findall(r"apt-get update", text)) == len(re.findall(r"rm -rf /var/lib/apt/lists", text))


def test_the_nightly_build_is_the_papers_with_its_slips_mended() -> None:
    """The bazel command word for word, out of the paper; the mended words in place of the slips."""
    text = " ".join(dockerfile("zoo-nightly").replace("\\\n", " ").split())
    assert (
        "bazel build --cxxopt=-D_GLIBCXX_USE_CXX11_ABI=0 --copt=-O3 --copt=-Wformat --copt=-Wformat-security "
        "--copt=-fstack-protector --copt=-fPIC --copt=-fpic --linkopt=-znoexecstack --linkopt=-zrelro --linkopt=-znow "
        "--linkopt=-fstack-protector --config=mkl --define build_with_mkl_dnn_v1_only=true "
        "--copt=-DENABLE_INTEL_MKL_BFLOAT16 --copt=-march=native "
        "//tensorflow/tools/lib_package:libtensorflow_jni.tar.gz //tensorflow/java:libtensorflow.jar "
        "//tensorflow/java:libtensorflow-src.jar //tensorflow/tools/lib_package:libtensorflow_proto.zip"
    ) in text
    assert "cd tensorflow && git checkout" in text
    assert "ARG TENSORFLOW_TAG=v1.15.0up1" in text
    assert "tar -xzvf libtensorflow_jni.tar.gz -C linux-x86_64 && cd linux-x86_64" in text
    assert "mv libtensorflow_framework.so.1.15.0 libtensorflow_framework-zoo.so" in text
    assert "jar -uf analytics-zoo-" in text


def test_build_arguments_of_a_dockerfile() -> None:
    text = b'ARG A=1\nFROM x\nARG B="two words"\nARG C=\n# required: what it is\nARG D\nARG A\n'
    assert build_arguments(text) == {"A": "1", "B": "two words", "C": "", "D": None}


# ---------------------------------------------------------------------------------------------- the container


def test_container_is_started_once_and_kept() -> None:
    stage = Stage(pull="team/image:1", volumes={"/data": "/data"})
    stage.image.apply()
    assert stage.container.check() == ABSENT
    stage.container.apply()
    asked, request = stage.engine.asked[-1]
    wanted = ContainerRequest("provisioner", "team/image:1", capabilities=("SYS_NICE",), volumes={"/data": "/data"})
    assert (asked, replace(request, health="")) == ("start", wanted)
    assert stage.container.check().presence is Presence.PRESENT


def test_a_container_is_healthy_while_what_spark_noted_runs(tmp_path: Path) -> None:
    command = Stage(pull="team/image:1").container.request().health
    assert "/opt/work/provisioner/*.pid" in command
    here = command.replace("/opt/work/provisioner", shlex.quote(str(tmp_path)))

    def status() -> int:
        return subprocess.run(["/bin/sh", "-c", here], check=False).returncode

    assert status() == 0, "nothing was started yet"
    (tmp_path / "master.pid").write_text(f"{os.getpid()}\n")
    assert status() == 0
    gone = subprocess.Popen(["true"])
    gone.wait()
    (tmp_path / "workers.pid").write_text(f"{os.getpid()}\n{gone.pid}\n")
    assert status() == 1


@pytest.mark.parametrize(
    ("state", "detail"),
    [
        (ContainerState("az1", "old:1", "sha256:old", "running", True), "is of another image, old:1: it is replaced"),
        (ContainerState("az1", "new:1", "sha256:new", "exited", True), "is exited: it is started anew"),
        (ContainerState("az1", "new:1", "sha256:new", "running", False), "is not privileged: it is replaced"),
        (
            ContainerState("az1", "new:1", "sha256:new", "running", True, volumes={"/old": "/data"}),
            "has other volumes (/old at /data): it is replaced",
        ),
        (ContainerState("az1", "new:1", "sha256:new", "running", True), "has other volumes (none): it is replaced"),
        (
            ContainerState(
                "az1", "new:1", "sha256:new", "running", True, health_check="true", volumes={"/new": "/data"}
            ),
            "has another health check: it is replaced",
        ),
    ],
)
def test_a_container_that_differs_makes_way(state: ContainerState, detail: str) -> None:
    stage = Stage(pull="new:1", container="az1", privileged=True, volumes={"/new": "/data"})
    stage.engine.images["new:1"] = "sha256:new"
    stage.engine.running["az1"] = state
    finding = stage.container.check()
    assert (finding.presence, finding.detail) == (Presence.ABSENT, f"az1 {detail}")
    stage.container.apply()
    assert stage.container.check().presence is Presence.PRESENT


def test_down_removes_the_container_on_other_peoples_hosts_and_leaves_the_image() -> None:
    stage = Stage(pull="team/image:1")
    assert (stage.image.undone, stage.container.undone) == (False, True)
    stage.container.undo()
    assert stage.engine.asked == [("remove", "provisioner")]


def test_on_instances_both_die_with_them() -> None:
    (host,) = Session(Spec(name="paper", provider="alibaba", image=ImageSpec(pull="team/image:1"))).hosts
    assert not ImageStep(host).undone
    assert not ContainerStep(host).undone


def test_every_file_of_the_build_folders_is_a_dockerfile() -> None:
    """The context is the Dockerfile and the workload; another file beside it would not be sent."""
    folder: Path = data_folder("templates") / "docker"
    assert {path.name for path in folder.glob("*/*")} == {"Dockerfile"}
