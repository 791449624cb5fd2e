"""`provisioner image …`: the bundled container images on the engine of this machine, and into a registry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli.console import line
from provisioner.errors import UsageError

if TYPE_CHECKING:
    from provisioner.ports import Engine

HELP = "The bundled container images, on this machine's Docker engine (DOCKER_HOST is heeded)."

PASSWORD = "PROVISIONER_REGISTRY_PASSWORD"  # noqa: S105 - a variable's name


def build(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A bundled image, as in an inventory's `image.build`.")],
    build_arg: Annotated[
        list[str] | None, typer.Option("--build-arg", metavar="NAME=VALUE", help="One of the Dockerfile's ARGs.")
    ] = None,
    tag: Annotated[str | None, typer.Option("--tag", help="The image's name; by default one of what is in it.")] = None,
) -> None:
    """Build one of the bundled images, as `up` does on the hosts."""
    from pydantic import ValidationError

    from provisioner import catalog
    from provisioner.inventory.spec import ImageSpec
    from provisioner.steps.image import checked_arguments, provide, tag_of

    arguments = dict(_pair(word) for word in build_arg or ())
    try:
        spec = ImageSpec.model_validate({"build": name, "build_arguments": arguments})
    except ValidationError:
        raise UsageError(
            f"there is no bundled image {name}", f"there are {', '.join(catalog.image_recipes())}"
        ) from None
    checked_arguments(spec)
    wanted = tag or tag_of(spec)
    made = provide(_engine(), spec, wanted, line)
    line(f"{wanted} is {made}")


def _pair(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise UsageError(f"--build-arg {word} is no NAME=VALUE", "write --build-arg NAME=VALUE")
    return name, value


def push(
    tag: Annotated[str, typer.Argument(metavar="TAG", help="REGISTRY/NAMESPACE/NAME:TAG, as it was built.")],
    username: Annotated[str | None, typer.Option("--username", help="The login at the registry.")] = None,
    password_env: Annotated[
        str, typer.Option("--password-env", help="The environment variable that has the password.")
    ] = PASSWORD,
) -> None:
    """Push an image to a registry, for example Alibaba's: registry.cn-hangzhou.aliyuncs.com/NAMESPACE/spark:1."""
    from pydantic import ValidationError

    from provisioner.inventory.spec import RegistryLoginSpec
    from provisioner.steps.image import login_of

    if "/" not in tag:
        raise UsageError(f"{tag} names no registry and no namespace", "write REGISTRY/NAMESPACE/NAME:TAG")
    try:
        login = login_of(RegistryLoginSpec(username=username, password_env=password_env) if username else None)
    except ValidationError:
        # What was given is not repeated: it may be the password itself.
        raise UsageError(
            "--password-env is not the name of an environment variable",
            f"put the password into one, and give that one's name; without the option it is {PASSWORD}",
        ) from None
    digest = _engine().push(tag, on_progress=line, login=login)
    line(f"{tag} is {digest}")


def _engine() -> Engine:
    from provisioner.adapters.docker import engine_for
    from provisioner.adapters.local import LocalConnection

    return engine_for(LocalConnection("this machine", home=Path.home()))
