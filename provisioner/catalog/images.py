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
    """A container image whose inside is known, by tag or bundled recipe. None for a folder: a Python package has it."""

    name: str
    spark_home: str | None
    zoo_home: str | None
    work_dir: str
    bf16: bool
    engine: str
    architectures: tuple[str, ...]


@dataclass(frozen=True)
class ImageRecipe(ContainerImage):
    """A container image that is built here, of the folder `name` in `templates/docker/`.

    `needs_gib` is the free disk space that building takes; `warning` is what a plan says about it.
    """

    needs_gib: float
    warning: str = ""


def image_family(name: str) -> ImageFamily | None:
    """A system image family by name (`acs:…`), or None."""
    return _image_families().get(name)


def image_families() -> list[str]:
    """The names of the known image families."""
    return list(_image_families())


def container_image(tag_or_recipe: str) -> ContainerImage | None:
    """The container image of a tag, whatever registry it comes from, or of a bundled recipe; None when not known."""
    if tag_or_recipe in _image_recipes():
        return _image_recipes()[tag_or_recipe]
    return next((image for tag, image in _tagged().items() if f"/{tag_or_recipe}".endswith(f"/{tag}")), None)


def bf16_tags(engine: str) -> list[str]:
    """The tags of images for one of the workload's engines whose TensorFlow has bfloat16 kernels."""
    return [tag for tag, image in _tagged().items() if image.bf16 and image.engine == engine]


def image_recipes() -> Mapping[str, ImageRecipe]:
    """The bundled recipes by name; the first is the one that most people should take."""
    return _image_recipes()


def usual_recipe() -> ImageRecipe:
    """The recipe to take where nothing else is said; an unknown image is taken to be like what it makes."""
    return next(iter(_image_recipes().values()))


@cache
def _images() -> Any:
    return read("images.yaml")


@cache
def _image_families() -> Mapping[str, ImageFamily]:
    return {
        name: ImageFamily(name=name, **fields_of(ImageFamily, facts)) for name, facts in _images()["families"].items()
    }


@cache
def _image_recipes() -> Mapping[str, ImageRecipe]:
    return {
        name: ImageRecipe(name=name, **fields_of(ImageRecipe, facts)) for name, facts in _images()["recipes"].items()
    }


@cache
def _tagged() -> Mapping[str, ContainerImage]:
    return {
        tag: ContainerImage(name=tag, **fields_of(ContainerImage, facts))
        for tag, facts in _images()["containers"].items()
    }
