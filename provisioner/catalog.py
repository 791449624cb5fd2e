"""What the program knows without asking anybody: instance families and sizes, image families, container images.

The facts are data (`data/families.yaml`, `data/images.yaml`), read at the first question and kept. They decide what can
do bfloat16 and what a plan expects of hosts that do not exist yet; stock, price and the newest image are always asked
of the service, and CPU topology of the running host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from provisioner.errors import UsageError

_DATA = Path(__file__).with_name("data")


@dataclass(frozen=True)
class InstanceType:
    """One instance type, `FAMILY.SIZE`.

    `isa` names CPU flags as in /proc/cpuinfo, `architecture` is x86_64 or arm64, `disks` are disk categories. A guest
    of up to `vcpus_per_node` vCPUs is expected to show one NUMA node. `siblings` says how the threads of a core are
    numbered: adjacent (0 and 1) or split (i and i + half). `nearest` is the bf16 family to take instead, `reason` why.
    """

    name: str
    family: str
    size: str
    vcpus: int
    memory_gib: float
    cpu: str
    architecture: str
    isa: tuple[str, ...]
    threads_per_core: int
    disks: tuple[str, ...]
    bf16: bool
    vcpus_per_node: int
    siblings: str = "adjacent"
    reason: str = ""
    nearest: str = ""

    @property
    def cores(self) -> int:
        """Physical cores."""
        return self.vcpus // self.threads_per_core

    @property
    def nodes(self) -> int:
        """NUMA nodes to expect."""
        return -(-self.vcpus // self.vcpus_per_node)


@dataclass(frozen=True)
class ImageFamily:
    """A system image family. `size_gib` is the least system disk; `images` are known ids, newest last."""

    name: str
    login: str
    architecture: str
    size_gib: int
    distribution: str
    version: str
    package_manager: str
    images: tuple[str, ...]


@dataclass(frozen=True)
class ContainerImage:
    """A container image whose inside is known, by tag or bundled build. None for a folder: a Python package has it."""

    name: str
    spark_home: str | None
    zoo_home: str | None
    work_dir: str
    bf16: bool
    engine: str
    python: str
    architectures: tuple[str, ...]


@dataclass(frozen=True)
class HostPrograms:
    """What `runtime: host` installs on a distribution: `packages` by `manager` (apt or dnf), of them `python` makes the
    virtual environment; or why its own packages are not enough (`cannot`)."""

    manager: str = ""
    packages: tuple[str, ...] = ()
    python: str = ""
    cannot: str = ""


# ---------------------------------------------------------------------------------------------- instance types


def lookup(name: str) -> InstanceType | None:
    """An instance type by its full name, with or without bf16; None when the catalog lacks it."""
    return _types().get(name)


def all_types() -> list[InstanceType]:
    """Every type of the catalog, families in the catalog's order, sizes from small to large."""
    return list(_types().values())


def bf16_types() -> list[InstanceType]:
    """The types that have bfloat16 instructions, hfc7 and hfg7 first."""
    return [known for known in _types().values() if known.bf16]


def require_bf16(name: str) -> InstanceType:
    """The type, if it can do bf16.

    Raises UsageError: a known type that cannot, with the reason and the nearest one that can; an unknown name, with
    the names that come closest.
    """
    known = lookup(name)
    if known is None:
        raise UsageError(f"{name} is not an instance type in the catalog", _suggestion(name))
    if not known.bf16:
        instead = nearest_bf16(known)
        raise UsageError(
            f"{name} cannot do bfloat16, since {known.reason}",
            f"the nearest type that can is {instead.name} ({instead.vcpus} vCPUs, {instead.memory_gib:g} GiB)",
        )
    return known


def nearest_bf16(known: InstanceType) -> InstanceType:
    """What to take instead of a type without bf16: as many vCPUs in the nearest family, or its next size up."""
    if known.bf16:
        return known
    family = [other for other in _types().values() if other.family == known.nearest]
    enough = [other for other in family if other.vcpus >= known.vcpus]
    return enough[0] if enough else family[-1]


def _suggestion(name: str) -> str:
    family = name.rpartition(".")[0]
    sizes = [known.size for known in _types().values() if known.family == family]
    if sizes:
        return f"{family} has {', '.join(sizes)}"
    from difflib import get_close_matches  # only a mistake needs it

    close = get_close_matches(name, [known.name for known in bf16_types()], n=3, cutoff=0.7)
    if close:
        return f"did you mean {' or '.join(close)}?"
    families = dict.fromkeys(known.family for known in bf16_types())
    return f"families that can do bfloat16 are {', '.join(families)}"


# ---------------------------------------------------------------------------------------------- images


def image_family(name: str) -> ImageFamily | None:
    """A system image family by name (`acs:…`), or None."""
    return _image_families().get(name)


def image_families() -> list[str]:
    """The names of the known image families."""
    return list(_image_families())


def container_image(tag_or_build: str) -> ContainerImage | None:
    """The container image of a tag, whatever registry it comes from, or of a bundled build; None when not known."""
    known = _container_images()
    if tag_or_build in known:
        return known[tag_or_build]
    return next((image for name, image in known.items() if tag_or_build.endswith(f"/{name}")), None)


def host_programs(distribution: str, version: str) -> HostPrograms | None:
    """What `runtime: host` installs, by ID and VERSION_ID of /etc/os-release; None for a system that is not known."""
    return next(
        (
            programs
            for (name, release), programs in _host_programs().items()
            if name == distribution and (version == release or version.startswith(f"{release}."))
        ),
        None,
    )


# ---------------------------------------------------------------------------------------------- reading


def _read(file: str) -> Any:
    import yaml  # here, so that importing the catalog costs nothing

    # The C loader reads the catalog in 8 ms, the Python one in 100.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load((_DATA / file).read_text(encoding="utf-8"), Loader=loader)  # noqa: S506, both loaders are safe


@cache
def _types() -> Mapping[str, InstanceType]:
    types = {}
    data = _read("families.yaml")
    for section in ("bf16", "not_bf16"):
        for family, facts in data[section].items():
            common = {**_known(InstanceType, facts), "family": family, "bf16": section == "bf16"}
            for size, shape in facts["sizes"].items():
                name = f"{family}.{size}"
                types[name] = InstanceType(name=name, size=size, **shape, **common)
    return types


@cache
def _images() -> Any:
    return _read("images.yaml")


@cache
def _image_families() -> Mapping[str, ImageFamily]:
    return {name: ImageFamily(name=name, **_known(ImageFamily, facts)) for name, facts in _images()["families"].items()}


@cache
def _host_programs() -> Mapping[tuple[str, str], HostPrograms]:
    return {
        (name, release): HostPrograms(**_known(HostPrograms, facts))
        for facts in _read("programs.yaml")
        for name, release in map(str.split, facts["systems"])
    }


@cache
def _container_images() -> Mapping[str, ContainerImage]:
    return {
        name: ContainerImage(name=name, **_known(ContainerImage, facts))
        for name, facts in _images()["containers"].items()
    }


def _known(kind: type, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that `kind` has fields for, lists as tuples."""
    names = {field.name for field in fields(kind)}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items() if key in names}
