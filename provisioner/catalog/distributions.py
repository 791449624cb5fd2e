"""Linux distributions: how each gets Docker, and the programs of `runtime: host`."""

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


@dataclass(frozen=True)
class DockerRecipe:
    """The `script` of templates/docker/ that installs Docker on `systems`, or on all that have a package `manager`.

    `package` lists the values of docker.package that it serves, `title` says what it installs; `codename` is the
    system's name in docker-ce's apt repository, `release` the one whose packages a system takes from docker-ce's dnf
    repository when it has none of its own there; `own` is the distribution's own package. Beside `conflicts` they
    cannot be installed.
    """

    script: str
    title: str
    package: tuple[str, ...]
    systems: tuple[str, ...] = ()
    manager: str = ""
    codename: str = ""
    release: str = ""
    own: str = ""
    conflicts: tuple[str, ...] = ()


def host_programs(distribution: str, version: str) -> HostPrograms | None:
    """What `runtime: host` installs, by ID and VERSION_ID of /etc/os-release; None for a system that is not known."""
    return next((programs for system, programs in _host_programs().items() if _is(system, distribution, version)), None)


def docker_recipe(distribution: str, version: str, manager: str, package: str) -> DockerRecipe | None:
    """How a system gets Docker: ID and VERSION_ID of /etc/os-release, its package manager; None when not known."""
    return next(
        (
            recipe
            for recipe in _docker_recipes()
            if package in recipe.package
            and (
                (recipe.manager and recipe.manager == manager)
                or any(_is(system, distribution, version) for system in recipe.systems)
            )
        ),
        None,
    )


def _is(system: str, distribution: str, version: str) -> bool:
    name, release = system.split()
    return name == distribution and (version == release or version.startswith(f"{release}."))


@cache
def _host_programs() -> Mapping[str, HostPrograms]:
    return {
        system: HostPrograms(**fields_of(HostPrograms, facts))
        for facts in read("programs.yaml")
        for system in facts["systems"]
    }


@cache
def _docker_recipes() -> list[DockerRecipe]:
    return [DockerRecipe(**fields_of(DockerRecipe, facts)) for facts in read("docker.yaml")]
