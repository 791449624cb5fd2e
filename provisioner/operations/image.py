"""The bundled container images on this machine's Docker engine, and into a registry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from provisioner import catalog
from provisioner.errors import UsageError
from provisioner.inventory.spec import ImageSpec, RegistryLoginSpec
from provisioner.ports import Engine, OnLine
from provisioner.secret import REGISTRY_PASSWORD
from provisioner.steps.image import checked_arguments, login_of, provide, tag_of


class BuiltImage(NamedTuple):
    """An image on this machine's engine: its tag, and its digest."""

    tag: str
    id: str


def build(name: str, arguments: Mapping[str, str], on_line: OnLine, *, tag: str | None = None) -> BuiltImage:
    """Build one of the bundled images, as `up` does on the hosts.

    Args:
        name: of the recipe, as in an inventory's `image.build`.
        arguments: the Dockerfile's ARGs.
        on_line: hears what the engine prints.
        tag: the image's; by default one of what is in it.

    Raises:
        UsageError: there is no such recipe, or no such ARG.
    """
    try:
        spec = ImageSpec.model_validate({"build": name, "build_arguments": arguments})
    except ValidationError:
        raise UsageError(
            f"there is no bundled image {name}", f"there are {', '.join(catalog.image_recipes())}"
        ) from None
    checked_arguments(spec)
    chosen_tag = tag or tag_of(spec)
    return BuiltImage(chosen_tag, provide(_engine(), spec, chosen_tag, on_line))


def push(tag: str, on_line: OnLine, *, username: str | None = None, password_env: str = REGISTRY_PASSWORD) -> str:
    """Push an image to the registry that its tag names; its digest there.

    The password is that of the environment variable `password_env`. Raises UsageError when it is missing, or the tag
    names no registry.
    """
    if "/" not in tag:
        raise UsageError(f"{tag} names no registry and no namespace", "write REGISTRY/NAMESPACE/NAME:TAG")
    try:
        login = login_of(RegistryLoginSpec(username=username, password_env=password_env) if username else None)
    except ValidationError:
        # What was given is not repeated: it may be the password itself.
        raise UsageError(
            "--password-env is not the name of an environment variable",
            f"put the password into one, and give that one's name; without the option it is {REGISTRY_PASSWORD}",
        ) from None
    return _engine().push(tag, on_progress=on_line, login=login)


def _engine() -> Engine:
    from provisioner.adapters.docker import engine_for
    from provisioner.adapters.local import LocalConnection

    return engine_for(LocalConnection("this machine", home=Path.home()))
