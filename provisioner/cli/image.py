"""`provisioner image …`: the bundled container images on the engine of this machine, and into a registry."""

from __future__ import annotations

from typing import Annotated

import typer

from provisioner.cli.console import line
from provisioner.errors import UsageError
from provisioner.secret import REGISTRY_PASSWORD

HELP = "The bundled container images, on this machine's Docker engine (DOCKER_HOST is heeded)."


def build(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A bundled image, as in an inventory's `image.build`.")],
    build_arg: Annotated[
        list[str] | None, typer.Option("--build-arg", metavar="NAME=VALUE", help="One of the Dockerfile's ARGs.")
    ] = None,
    tag: Annotated[str | None, typer.Option("--tag", help="The image's name; by default one of what is in it.")] = None,
) -> None:
    """Build one of the bundled images, as `up` does on the hosts."""
    from provisioner.operations import image

    built = image.build(name, dict(_pair(word) for word in build_arg or ()), line, tag=tag)
    line(f"{built.tag} is {built.id}")


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
    ] = REGISTRY_PASSWORD,
) -> None:
    """Push an image to a registry, for example Alibaba's: registry.cn-hangzhou.aliyuncs.com/NAMESPACE/spark:1."""
    from provisioner.operations import image

    digest = image.push(tag, line, username=username, password_env=password_env)
    line(f"{tag} is {digest}")
