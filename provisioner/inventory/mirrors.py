"""Where hosts take packages, images and code from, by the region they are in; `data/mirrors.yaml` has the facts.

`with_mirrors` fills in what an inventory leaves open, so that everything after it reads the spec alone.
"""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

from provisioner import catalog
from provisioner.errors import UsageError
from provisioner.inventory.spec import Spec

DOCKER_HUB = "docker.io"


def with_mirrors(spec: Spec) -> Spec:
    """The spec with the mirrors of its region wherever it names none, and with those of `mirrors` in its build."""
    region = _region(spec)
    mirrors = spec.mirrors.model_copy(
        update={
            "package_index": spec.mirrors.package_index or region.package_index or None,
            "apt": spec.mirrors.apt or region.apt or None,
        }
    )
    spec = spec.model_copy(update={"mirrors": mirrors})
    if spec.image is None or spec.image.build is None:
        return spec
    arguments: dict[str, str] = {}
    if reach(spec, DOCKER_HUB) == "no" and not spec.image.registry_mirror:
        arguments |= region.base_images.get(spec.image.build, {})
    if mirrors.apt:
        arguments["APT_MIRROR"] = mirrors.apt.rstrip("/")
    if mirrors.package_index:
        arguments["PACKAGE_INDEX"] = mirrors.package_index
        if trusted := trusted_host(mirrors.package_index):
            arguments["PIP_TRUSTED_HOST"] = trusted
    image = spec.image.model_copy(update={"build_arguments": {**arguments, **spec.image.build_arguments}})
    return spec.model_copy(update={"image": image})


def trusted_host(package_index: str) -> str:
    """The host that pip has to be told to trust, since the index speaks plain http; "" for one that is verified."""
    parts = urlsplit(package_index)
    return parts.hostname or "" if parts.scheme == "http" else ""


def reach(spec: Spec, host: str) -> Literal["yes", "doubtful", "no"]:
    """Whether a host is reached from where the instances are; what `mirrors.reachable` says goes first.

    Of hosts that are not ours to create nothing is known: yes.
    """
    region = _region(spec)
    if host in spec.mirrors.reachable:
        return "yes"
    return "no" if host in region.unreachable else "doubtful" if host in region.doubtful else "yes"


def check_reach(spec: Spec, field: str, what: str, host: str, remedy: str) -> tuple[str, ...]:
    """The plan's warning, if there is reason for one, of something that a field takes from a host.

    Raises UsageError for a host that does not answer in the region: before anything costs.
    """
    answer = reach(spec, host)
    if answer == "no":
        raise UsageError(
            f"{field}: {what} comes from {host}, which does not answer in {spec.cloud.region}",
            f"{remedy}, take another region, or say mirrors: {{reachable: [{host}]}} if it does answer there",
        )
    region = spec.cloud.region
    return (f"{field}: {what} comes from {host}, slow or silent in {region}: {remedy}",) if answer == "doubtful" else ()


def registry_of(image: str) -> str:
    """The registry that an image's name stands for: `docker.io` unless its first part is a host."""
    first, slash, _ = image.partition("/")
    return first if slash and re.search(r"[.:]|^localhost$", first) else DOCKER_HUB


def host_of(url: str) -> str:
    """The host of a URL, or of git's `user@host:path`; "" for a local path."""
    parts = urlsplit(url)
    if parts.hostname:
        return parts.hostname
    short = re.match(r"(?:[^@/:]+@)?([^/:]+):", url)
    return short[1] if short else ""


def _region(spec: Spec) -> catalog.RegionMirrors:
    """Simulated instances are on this machine, wherever that is; hosts of others are not known."""
    return catalog.region_mirrors(spec.cloud.region) if spec.provider == "alibaba" else catalog.RegionMirrors()
