"""The container image, pulled or built, and the container that runs it (the paper's steps 2.3 and 2.4)."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import PurePosixPath

from provisioner import catalog
from provisioner.deployment.host import Host
from provisioner.errors import HostError, UsageError
from provisioner.inventory.mirrors import check_reach, host_of, registry_of
from provisioner.inventory.spec import ImageSpec, RegistryLoginSpec, Spec
from provisioner.ports import ContainerRequest, ContainerState, Engine, OnLine
from provisioner.render import data_folder, workload_files
from provisioner.secret import Secret
from provisioner.step import ABSENT, Description, Finding, Presence
from provisioner.steps.base import HostStep

PULL_NEEDS_GIB = 10.0
"""The paper's image is about 3 GiB packed; pulling holds it packed and unpacked."""


class _ImageUser(HostStep):
    """What the image's and the container's step have in common."""

    @property
    def image(self) -> ImageSpec:
        """The inventory's image. Raises UsageError when there is none, which the inventory's own checks rule out."""
        if self._spec.image is None:
            raise UsageError("runtime: docker needs an image")
        return self._spec.image

    @property
    def tag(self) -> str:
        """The image's name."""
        return tag_of(self.image)

    def files(self) -> dict[str, bytes]:
        """The build's context."""
        return context_of(str(self.image.build))


class ImageStep(_ImageUser):
    """The image on one host, under its tag. It outlives `down` on hosts that are not ours, as a cache."""

    part = "image"

    @property
    def needs_gib(self) -> float:
        """Free disk space that pulling or building takes."""
        build = self.image.build
        return self.image.needs_gib or (catalog.image_recipes()[build].needs_gib if build else PULL_NEEDS_GIB)

    def describe(self) -> Description:
        """The paper's step 2.3 (its method 1), or the build (its method 2).

        Raises UsageError for build arguments that the Dockerfile does not take, or needs and was not given, and for
        images that are out of reach in the region.
        """
        image = self.image
        warnings = [f"{self._host.name}: {warning}" for warning in reach_warnings(self._spec, image)]
        if image.registry_login and not os.environ.get(image.registry_login.password_env):
            warnings.append(
                f"{self._host.name}: the registry's password is missing: set {image.registry_login.password_env}"
            )
        if image.pull:
            mirror = f" (from {image.registry_mirror})" if image.registry_mirror else ""
            return Description(f"docker pull {image.pull}{mirror}", warnings=tuple(warnings))
        arguments = "".join(
            f" --build-arg {name}={shlex.quote(value)}" for name, value in sorted(image.build_arguments.items())
        )
        if warning := catalog.image_recipes()[str(image.build)].warning:
            warnings.append(f"{self._host.name}: {image.build} {warning}")
        return Description(f"docker build -t {self.tag}{arguments} {image.build}", warnings=tuple(warnings))

    def check(self) -> Finding:
        """Present when the engine has the tag."""
        image_id = self._host.engine().image_id(self.tag)
        return Finding(Presence.PRESENT, image_id) if image_id else ABSENT

    def apply(self) -> None:
        """Pull, or build after pulling the base images; the digest goes into the deployment's folder."""
        engine = self._host.engine()
        image = self.image
        free = engine.free_gib()
        if free < self.needs_gib:
            raise HostError(
                f"{self._host.name} has {free:.1f} GiB left for images, {self.tag} needs {self.needs_gib:g}",
                "make room there (docker system prune), give it a larger disk (cloud.system_disk.size_gib), or set "
                "image.needs_gib if that is too much",
                host=self._host.name,
            )
        tell = self._host.recorder(self.describe().title, self._host.tell)
        digest = provide(engine, image, self.tag, tell)
        self._host.note_image(self.tag, digest)
        self._host.tell(f"{self.tag} is {digest}")


class ContainerStep(_ImageUser):
    """The running container on one host: one of another image makes way, one of this image stays."""

    part = "container"

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.undone = not host.is_ours

    def request(self) -> ContainerRequest:
        """How it is started: with numactl's one capability, or as the paper does."""
        image = self.image
        return ContainerRequest(
            name=image.container,
            image=self.tag,
            privileged=image.privileged,
            capabilities=() if image.privileged else ("SYS_NICE",),
            volumes=image.volumes,
            # Spark's processes note their ids in these files; one that is noted and gone has crashed.
            health=f"for p in $(cat {shlex.quote(self._host.work_folder)}/*.pid 2>/dev/null); do "
            "[ -d /proc/$p ] || exit 1; done",
        )

    def describe(self) -> Description:
        """The paper's step 2.4; the engine also gets a restart policy and a health check."""
        request = self.request()
        words = ["docker", "run", "-itd", "--name", request.name, "--net=host"]
        words += ["--privileged"] if request.privileged else ["--cap-add", *request.capabilities]
        for outside, inside in request.volumes.items():
            words += ["-v", shlex.quote(f"{outside}:{inside}")]
        return Description(" ".join([*words, request.image]))

    def check(self) -> Finding:
        """Present when a container of this image runs under the name, with these rights, volumes and health check."""
        engine = self._host.engine()
        container = engine.container(self.image.container)
        if container is None:
            return ABSENT
        difference = self._difference(container, engine.image_id(self.tag))
        return Finding(Presence.ABSENT, difference) if difference else Finding(Presence.PRESENT, container.image_id)

    def _difference(self, container: ContainerState, wanted_id: str | None) -> str:
        if container.image_id != wanted_id:
            return f"{container.name} is of another image, {container.image}: it is replaced"
        if container.status != "running":
            return f"{container.name} is {container.status}: it is started anew"
        if container.privileged != self.image.privileged:
            return f"{container.name} is {'' if container.privileged else 'not '}privileged: it is replaced"
        if _plain(container.volumes) != _plain(self.image.volumes):
            there = ", ".join(f"{outside} at {inside}" for outside, inside in container.volumes.items()) or "none"
            return f"{container.name} has other volumes ({there}): it is replaced"
        if container.health_check != self.request().health:
            return f"{container.name} has another health check: it is replaced"
        return ""

    def apply(self) -> None:
        """Start it, in place of an older one of ours."""
        self._host.engine().start(self.request())

    def undo(self) -> None:
        """Remove it; one that was there before us stays."""
        self._host.engine().remove(self.image.container)


def _plain(volumes: Mapping[str, str]) -> set[tuple[PurePosixPath, PurePosixPath]]:
    """Volumes whatever slashes their paths end in."""
    return {(PurePosixPath(outside), PurePosixPath(inside)) for outside, inside in volumes.items()}


def reach_warnings(spec: Spec, image: ImageSpec) -> list[str]:
    """The plan's warnings of what the image is pulled from, or built of.

    Raises UsageError for what does not answer in the region, and for build arguments that the Dockerfile does not take,
    or needs and was not given.
    """
    sources = {"image.pull": image.pull} if image.pull else {}
    if image.build:
        sources |= {f"image.build_arguments.{name}": value for name, value in checked_arguments(image).items()}
    warnings: list[str] = []
    for field, what in sources.items():
        if field == "image.pull" or field.endswith("_IMAGE"):
            registry = image.registry_mirror.partition("/")[0] if image.registry_mirror else registry_of(what)
            remedy = "name a registry that holds it under the same path in image.registry_mirror"
            warnings += check_reach(spec, field, what, registry, remedy)
        elif "://" in what:
            warnings += check_reach(spec, field, what, host_of(what), "give one that is reached")
    return warnings


def provide(engine: Engine, image: ImageSpec, tag: str, tell: OnLine) -> str:
    """Pull the image, or build it after pulling its base images; the digest or id.

    Raises HostError, and UsageError for build arguments or a password that are missing.
    """
    if image.pull:
        return _pull(engine, image, image.pull, tell)
    # Pulled beforehand, since the engine's own pull in a build knows neither mirror nor login, and shows nothing.
    for name, base in checked_arguments(image).items():
        if name.endswith("_IMAGE") and engine.image_id(base) is None:
            _pull(engine, image, base, tell)
    return engine.build(tag, context_of(str(image.build)), arguments=image.build_arguments, on_progress=tell)


def _pull(engine: Engine, image: ImageSpec, tag: str, tell: OnLine) -> str:
    # The login is for the registry of image.pull, or the mirror's: no other registry gets to see it.
    used = image.registry_login if image.registry_mirror or tag == image.pull else None
    return engine.pull(tag, mirror=image.registry_mirror, on_progress=tell, login=login_of(used))


def login_of(login: RegistryLoginSpec | None) -> tuple[str, Secret] | None:
    """User name and password. Raises UsageError when the environment does not have the password."""
    if login is None:
        return None
    password = os.environ.get(login.password_env)
    if not password:
        raise UsageError(
            f"the password for {login.username} at the registry is missing",
            f"set the environment variable {login.password_env}",
        )
    return login.username, Secret(password)


def tag_of(image: ImageSpec) -> str:
    """The image's name: as given, or after what it is built of, so that a changed recipe is another image."""
    if image.pull:
        return image.pull
    digest = sha256()
    for name, content in sorted(context_of(str(image.build)).items()):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    for name, value in sorted(image.build_arguments.items()):
        digest.update(f"{name}={value}\0".encode())
    return f"provisioner/{image.build}:{digest.hexdigest()[:12]}"


def checked_arguments(image: ImageSpec) -> dict[str, str]:
    """The build's arguments, defaults included. Raises UsageError for one too many or one too few."""
    defaults = build_arguments(context_of(str(image.build))["Dockerfile"])
    given = image.build_arguments
    unknown, missing = given.keys() - defaults.keys(), {name for name, value in defaults.items() if value is None}
    if unknown:
        raise UsageError(
            f"image.build_arguments: {image.build} takes no {', '.join(sorted(unknown))}",
            f"it takes {', '.join(defaults)}",
        )
    if missing - given.keys():
        raise UsageError(
            f"image.build_arguments: {image.build} needs {', '.join(sorted(missing - given.keys()))}",
            f"what it is says templates/docker/{image.build}/Dockerfile",
        )
    return {**{name: value for name, value in defaults.items() if value is not None}, **given}


@cache
def context_of(name: str) -> dict[str, bytes]:
    """The context of a bundled build: its Dockerfile, and the workload, which goes into the image.

    Read once: the image is named after it, and somebody may be working on the files while the build goes on.
    """
    dockerfile = data_folder("templates") / "docker" / name / "Dockerfile"
    return {"Dockerfile": dockerfile.read_bytes(), **workload_files()}


def build_arguments(dockerfile: bytes) -> dict[str, str | None]:
    """A Dockerfile's ARGs with their defaults; None for one that says `# required` in the line before."""
    found: dict[str, str | None] = {}
    for required, name, value in re.findall(
        r"^(?:(# required)[^\n]*\n)?ARG (\w+)(?:=(.*))?$", dockerfile.decode(), re.MULTILINE
    ):
        found.setdefault(name, None if required else value.strip('"'))
    return found
