"""What can be bought: regions, zones, instance types, images, prices. Facts come from the program's data files.

Beside these `unlisted.yaml` is sold: the real service, too, has what the program's lists do not know.

Which zone sells what, and every price, is fiction: each region's first zone has only the families without bfloat16,
the others have all of them; some zones are closed to what is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

DATA = Path(__file__).parents[1] / "data"
UNLISTED = Path(__file__).with_name("unlisted.yaml")

REGIONS = {
    "cn-hangzhou": "bghijk",
    "cn-shanghai": "befglmn",
    "cn-beijing": "acfghijkl",
    "cn-shenzhen": "cdefg",
    "cn-heyuan": "ab",
    "cn-hongkong": "bcd",
    "ap-southeast-1": "abc",
    "eu-central-1": "abc",
    "us-east-1": "ab",
}

CLOSED = frozenset({"cn-hangzhou-g", "cn-shanghai-e", "cn-beijing-c"})
"""Zones that take no new instances and VSwitches, whatever else runs there."""

VCPU_PRICE = 0.152  # per hour; what hfc7.large cost in 2021 is twice that


@dataclass(frozen=True)
class InstanceType:
    """An instance type; `bf16` tells where it is sold."""

    id: str
    family: str
    vcpus: int
    memory_gib: float
    cpu: str
    arm: bool
    bf16: bool
    clock_ghz: float
    threads_per_core: int
    split_siblings: bool
    disks: tuple[str, ...]

    @property
    def price(self) -> float:
        """What one costs an hour."""
        return round(self.vcpus * VCPU_PRICE, 3)


@dataclass(frozen=True)
class Image:
    """A system image."""

    id: str
    family: str
    arm: bool
    size_gib: int
    os_name: str
    platform: str
    serial: int
    created: str


@dataclass(frozen=True)
class Catalog:
    """Everything that is for sale."""

    types: Mapping[str, InstanceType]
    images: Mapping[str, Image]
    regions: Mapping[str, str] = field(default_factory=lambda: REGIONS)

    def zones(self, region: str) -> list[str]:
        """The zones of a region."""
        joint = "" if region[-1].isdigit() else "-"
        return [f"{region}{joint}{letter}" for letter in self.regions[region]]

    def creates(self, zone: str) -> list[str]:
        """The kinds of resources that a zone lets be created."""
        return ["Disk"] if zone in CLOSED else ["VSwitch", "IoOptimized", "Instance", "DedicatedHost", "Disk"]

    def sells(self, zone: str, instance_type: InstanceType) -> bool:
        """Whether a zone has a type at all (stock aside)."""
        if zone in CLOSED:
            return False
        region = next(name for name in self.regions if zone in self.zones(name))
        return not instance_type.bf16 or zone != self.zones(region)[0]


@lru_cache(maxsize=4)
def load(folder: Path = DATA) -> Catalog:
    """The catalogue that the data files make."""
    types: dict[str, InstanceType] = {}
    families, unlisted = _read(folder / "families.yaml"), _read(UNLISTED)
    for section in ("bf16", "not_bf16"):
        for family, facts in {**families[section], **unlisted[section]}.items():
            for size, row in facts["sizes"].items():
                name = f"{family}.{size}"
                types[name] = InstanceType(
                    id=name,
                    family=family,
                    vcpus=row["vcpus"],
                    memory_gib=row["memory_gib"],
                    cpu=facts["cpu"],
                    arm=facts["architecture"] == "arm64",
                    bf16=section == "bf16",
                    clock_ghz=facts.get("clock_ghz", 2.7),
                    threads_per_core=facts.get("threads_per_core", 2),
                    split_siblings=facts.get("siblings") == "split",
                    disks=tuple(facts["disks"]),
                )
    return Catalog(types, _images(folder))


def _read(path: Path) -> Any:
    with path.open(encoding="utf-8") as file:
        return yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 (both are safe)


def _images(folder: Path) -> dict[str, Image]:
    images: dict[str, Image] = {}
    for family, facts in {**_read(folder / "images.yaml")["families"], **_read(UNLISTED)["families"]}.items():
        for number, name in enumerate(facts["images"]):
            date = name.rpartition("_")[2].removesuffix(".vhd")
            arm = facts["architecture"] == "arm64"
            created = f"{date[:4]}-{date[4:6]}-{date[6:8]}T02:00:00Z" if len(date) == 8 and date.isdigit() else ""
            os_name = f"{facts['distribution'].capitalize()}  {facts['version']} 64 bit{' for ARM' if arm else ''}"
            images[name] = Image(
                id=name,
                family=family,
                arm=arm,
                size_gib=facts["size_gib"],
                os_name=os_name,
                platform=facts["distribution"].capitalize(),
                serial=len(images),
                created=created or f"2026-01-{number + 1:02d}T02:00:00Z",
            )
    return images
