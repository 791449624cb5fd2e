"""System image families and container images, with what is known of their inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from provisioner.catalog.reading import fields_of, read


@dataclass(frozen=True)
class ImageFamily:
    """A system image family. `size_gib` is the least system disk; `images` are known ids, newest last.

    `kernel` is the release of its Linux, `hides` the CPU flags that this shows on no processor.
    """

    name: str
    login: str
    architecture: str
    size_gib: int
    distribution: str
    version: str
    package_manager: str
    kernel: str
    images: tuple[str, ...]
    hides: tuple[str, ...] = ()


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


@cache
def _images() -> Any:
    return read("images.yaml")


@cache
def _image_families() -> Mapping[str, ImageFamily]:
    return {
        name: ImageFamily(name=name, **fields_of(ImageFamily, facts)) for name, facts in _images()["families"].items()
    }


@cache
def _container_images() -> Mapping[str, ContainerImage]:
    return {
        name: ContainerImage(name=name, **fields_of(ContainerImage, facts))
        for name, facts in _images()["containers"].items()
    }
