"""Instance families and their sizes: what can do bfloat16, and what a guest of each is expected to look like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from provisioner.catalog.flags import bf16_of
from provisioner.catalog.processors import Processor, processor
from provisioner.catalog.reading import fields_of, read
from provisioner.errors import UsageError

_NAME = re.compile(r"ecs\.[a-z0-9-]+\.[a-z0-9-]+")


@dataclass(frozen=True)
class InstanceType:
    """One instance type, `FAMILY.SIZE`.

    `isa` names CPU flags as in /proc/cpuinfo, `architecture` is x86_64 or arm64, `disks` are disk categories. A guest
    of up to `vcpus_per_node` vCPUs is expected to show one NUMA node. `siblings` says how the threads of a core are
    numbered: adjacent (0 and 1) or split (i and i + half). `processor` is the generation that `cpu` speaks of, "" when
    it tells none; `nearest` is the bf16 family to take instead.
    """

    name: str
    family: str
    size: str
    vcpus: int
    memory_gib: float
    cpu: str
    processor: str
    architecture: str
    isa: tuple[str, ...]
    threads_per_core: int
    disks: tuple[str, ...]
    vcpus_per_node: int
    siblings: str = "adjacent"
    nearest: str = ""

    @property
    def bf16(self) -> bool:
        """Whether its processor is known to have bfloat16 instructions."""
        return bool(bf16_of(self.isa))

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


def bf16_types() -> list[InstanceType]:
    """The types that have bfloat16 instructions, hfc7 and hfg7 first, sizes from small to large."""
    return [one for one in _types().values() if one.bf16]


def described(
    name: str, *, vcpus: int, memory_gib: float, cpu: str, architecture: str, threads_per_core: int
) -> InstanceType:
    """A type that the catalog lacks, as the service describes it: its processor is judged by the processor's name.

    `threads_per_core` 0: the service does not say. NUMA nodes are not described: one is expected.
    """
    chip = processor(cpu)
    family, _, size = name.rpartition(".")
    return InstanceType(
        name=name,
        family=family,
        size=size,
        vcpus=vcpus,
        memory_gib=memory_gib,
        cpu=cpu,
        processor=chip.name if chip else "",
        architecture=architecture,
        isa=chip.isa if chip else (),
        threads_per_core=threads_per_core or (1 if architecture == "arm64" or vcpus == 1 else 2),
        disks=(),
        vcpus_per_node=max(vcpus, 1),
    )


def check_name(name: str) -> None:
    """Raises UsageError for what is no instance type's name, and for a family that is known to lack bfloat16.

    A well-formed name that the catalog lacks passes: the service sells more than any list knows.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name} is not an instance type, which is written ecs.FAMILY.SIZE", suggestion(name))
    family = _families().get(name.rpartition(".")[0])
    if family and not family["processor"].bf16:
        size = name.rpartition(".")[2]
        instance_type = lookup(name)
        instead = nearest_bf16(instance_type) if instance_type else lookup(f"{family['nearest']}.{size}")
        raise UsageError(
            f"{name} cannot do bfloat16, since {family['processor'].name} has no bfloat16 instructions",
            f"the nearest type that can is {_shape(instead)}" if instead else f"{family['nearest']} can",
        )


def check_described(described_type: InstanceType) -> None:
    """Raises UsageError for a type whose processor is known to lack bfloat16."""
    if described_type.processor and not described_type.bf16:
        raise UsageError(
            f"{described_type.name} cannot do bfloat16: its processor is {described_type.cpu}, says the service, and "
            f"{described_type.processor} has no bfloat16 instructions",
            f"the nearest type that can is {_shape(nearest_bf16(described_type))}",
        )


def nearest_bf16(instance_type: InstanceType) -> InstanceType:
    """What to take instead of a type without bf16: as many vCPUs in the nearest family, or its next size up.

    Where no family is named, the smallest type of its architecture with as many vCPUs and as much memory.
    """
    if instance_type.bf16:
        return instance_type
    alike = [other for other in bf16_types() if other.architecture == instance_type.architecture]
    if not instance_type.nearest:
        alike.sort(key=lambda other: (other.vcpus, other.memory_gib))  # stable: hfc7 comes before its equals
        enough = [
            other
            for other in alike
            if other.vcpus >= instance_type.vcpus and other.memory_gib >= instance_type.memory_gib
        ]
        return enough[0] if enough else alike[-1]
    family = [other for other in alike if other.family == instance_type.nearest]
    enough = [other for other in family if other.vcpus >= instance_type.vcpus]
    return enough[0] if enough else family[-1]


def suggestion(name: str) -> str:
    """What somebody may have meant by a name that the catalog lacks."""
    family = name.rpartition(".")[0]
    sizes = [one.size for one in _types().values() if one.family == family]
    if sizes:
        return f"{family} has {', '.join(sizes)}"
    from difflib import get_close_matches  # only a mistake needs it

    close = get_close_matches(name, [one.name for one in bf16_types()], n=3, cutoff=0.7)
    if close:
        return f"did you mean {' or '.join(close)}?"
    families = dict.fromkeys(one.family for one in bf16_types())
    return f"families that can do bfloat16 are {', '.join(families)}"


def _shape(instance_type: InstanceType) -> str:
    return f"{instance_type.name} ({instance_type.vcpus} vCPUs, {instance_type.memory_gib:g} GiB)"


@cache
def _families() -> Mapping[str, dict[str, Any]]:
    data = read("families.yaml")
    return {
        name: {**facts, "processor": _processor_of(name, facts["cpu"])}
        for section in ("bf16", "not_bf16")
        for name, facts in data[section].items()
    }


def _processor_of(family: str, cpu: str) -> Processor:
    chip = processor(cpu)
    if chip is None:
        raise ValueError(f"families.yaml: {family}: processors.yaml knows no {cpu}")
    return chip


@cache
def _types() -> Mapping[str, InstanceType]:
    types = {}
    for family, facts in _families().items():
        chip: Processor = facts["processor"]
        common = {**fields_of(InstanceType, facts), "family": family, "processor": chip.name, "isa": chip.isa}
        for size, shape in facts["sizes"].items():
            name = f"{family}.{size}"
            types[name] = InstanceType(name=name, size=size, **shape, **common)
    return types
