"""Instance families and their sizes: what can do bfloat16, and what a guest of each is expected to look like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from provisioner.catalog.reading import fields_of, read
from provisioner.errors import UsageError


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


@cache
def _types() -> Mapping[str, InstanceType]:
    types = {}
    data = read("families.yaml")
    for section in ("bf16", "not_bf16"):
        for family, facts in data[section].items():
            common = {**fields_of(InstanceType, facts), "family": family, "bf16": section == "bf16"}
            for size, shape in facts["sizes"].items():
                name = f"{family}.{size}"
                types[name] = InstanceType(name=name, size=size, **shape, **common)
    return types
