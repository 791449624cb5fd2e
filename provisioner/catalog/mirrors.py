"""What a region has in place of Docker Hub, PyPI, Debian's archive and GitHub (data/mirrors.yaml)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache

from provisioner.catalog.reading import fields_of, read


@dataclass(frozen=True)
class RegionMirrors:
    """What hosts in a region take packages and base images from, and what does not answer there.

    `package_index` is PyPI's mirror, `apt` holds debian/ and ubuntu/; `base_images` are build arguments by bundled
    build. All is empty where everything comes from its own home.
    """

    package_index: str = ""
    apt: str = ""
    base_images: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    unreachable: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()


@cache
def region_mirrors(region: str) -> RegionMirrors:
    """The mirrors of a region."""
    for entry in read("mirrors.yaml"):
        if any(fnmatchcase(region, pattern) for pattern in entry["regions"]):
            return RegionMirrors(**fields_of(RegionMirrors, entry))
    return RegionMirrors()
