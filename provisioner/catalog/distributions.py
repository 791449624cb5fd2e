"""Linux distributions: how each gets the programs that the hosts need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from provisioner.catalog.reading import fields_of, read


@dataclass(frozen=True)
class HostPrograms:
    """What `runtime: host` installs on a distribution: `packages` by `manager` (apt or dnf), of them `python` makes the
    virtual environment; or why its own packages are not enough (`cannot`)."""

    manager: str = ""
    packages: tuple[str, ...] = ()
    python: str = ""
    cannot: str = ""


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


@cache
def _host_programs() -> Mapping[tuple[str, str], HostPrograms]:
    return {
        (name, release): HostPrograms(**fields_of(HostPrograms, facts))
        for facts in read("programs.yaml")
        for name, release in map(str.split, facts["systems"])
    }
