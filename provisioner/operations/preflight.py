"""What the cloud is asked before anything is created: identity, image, stock, quota, price. Creates nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from provisioner import catalog
from provisioner.deployment import Deployment
from provisioner.errors import CloudRefusedError, NoCapacityError, TypeRefusedError, UsageError
from provisioner.inventory.spec import Spec
from provisioner.operations import places, wiring
from provisioner.ports import Cloud
from provisioner.resources import InstanceRequest, Price, TypeOffer
from provisioner.steps.request import (
    Candidate,
    candidates,
    first_that_can_be_had,
    instance_request,
    no_zone,
    release_time,
)

if TYPE_CHECKING:
    from provisioner.adapters.ecs import EcsCloud


@dataclass(frozen=True)
class Preflight:
    """What `up` of an inventory would meet now.

    Attributes:
        at: when the cloud was asked.
        identity: whose credentials these are.
        stock: the zones in stock, for each of the inventory's types.
        free_vcpus: what the account's quota has left; None where the service does not say.
        vcpus: what is needed of it.
        request: what would be asked for first: the type, the zone, the image, the release time.
        price: of one instance an hour.
        count: how many instances.
        release_hours: after how many hours they release themselves; None for never.
        ssh_from: where SSH is let in from; nothing for a security group that exists already.
        ssh_from_is_found: whether that is this machine's address as the internet sees it.
        dry_run: whether RunInstances itself was asked, with DryRun, which needs a VSwitch and a security group.
    """

    at: datetime
    identity: str
    stock: Mapping[str, Sequence[str]]
    free_vcpus: int | None
    vcpus: int
    request: InstanceRequest
    price: Price
    count: int
    release_hours: float | None
    ssh_from: tuple[str, ...]
    ssh_from_is_found: bool
    dry_run: bool

    @property
    def per_hour(self) -> float:
        """What all instances cost an hour, in `price.currency`."""
        return self.price.per_hour * self.count

    @property
    def most(self) -> float | None:
        """What they cost at most, until they release themselves; None when they never do."""
        release_at = self.request.auto_release_at
        return self.per_hour * (release_at - self.at).total_seconds() / 3600 if release_at else None

    @property
    def dry_run_words(self) -> str:
        """How the dry run went."""
        return "passed" if self.dry_run else "not asked: it needs vswitch_id and security_group_id"

    def as_json(self) -> dict[str, Any]:
        """It as `plan --online --json` shows it."""
        return {
            "identity": self.identity,
            "image": self.request.image_id,
            "stock": self.stock,
            "free_vcpus": self.free_vcpus,
            "first_choice": {"instance_type": self.request.instance_type, "zone": self.request.zone},
            "price": {"per_hour": self.per_hour, "currency": self.price.currency, "hours": self.release_hours},
            "ssh_from": list(self.ssh_from),
            "dry_run": self.dry_run_words,
        }


def preflight(spec: Spec) -> Preflight | None:
    """Ask the cloud what `up` would meet; None for an inventory of hosts that exist already.

    Raises what `up` would raise for it: NoCapacityError, TypeRefusedError, CloudRefusedError, CredentialsError,
    UsageError. With an existing VSwitch and security group RunInstances itself is asked, with DryRun.
    """
    if not spec.creates_instances:
        return None
    place, cloud = places.of_inventory(spec, lambda text: None)
    identity = cloud.caller_identity().arn
    stock = cloud.stock(spec.cloud.instance_types, spot=spec.cloud.spot is not None)
    choices = _in_stock(spec, stock, cloud.zones())
    now = datetime.now(timezone.utc)
    request, offer, price = _first_choice(spec, cloud, choices, now)
    vcpus = offer.vcpus * spec.cloud.count
    free_vcpus = _free_vcpus(spec, cloud, request.instance_type, vcpus)
    dry_run = bool(spec.cloud.vswitch_id and spec.cloud.security_group_id)
    if dry_run:
        cloud.check_run_instances(request, {})
    return Preflight(
        at=now,
        identity=identity,
        stock=stock,
        free_vcpus=free_vcpus,
        vcpus=vcpus,
        request=request,
        price=price,
        count=spec.cloud.count,
        release_hours=spec.cloud.auto_release_hours,
        ssh_from=() if spec.cloud.security_group_id else wiring.caller_cidrs(spec, place),
        ssh_from_is_found=spec.cloud.ssh_from == "auto",
        dry_run=dry_run,
    )


def _in_stock(spec: Spec, stock: Mapping[str, Sequence[str]], open_zones: Sequence[str]) -> list[Candidate]:
    """The candidates that are in stock, in order. Raises CloudRefusedError or NoCapacityError when there is none."""
    pairs = candidates(spec, stock, open_zones)
    if not pairs:
        raise no_zone(spec)
    in_stock = [pair for pair in pairs if pair.zone in stock.get(pair.instance_type, [])]
    if not in_stock:
        cloud = spec.cloud
        zones = "" if cloud.zones == "auto" else f" ({', '.join(cloud.zones)})"
        raise NoCapacityError(
            f"none of {', '.join(cloud.instance_types)} is in stock in {cloud.region}{zones}",
            "add instance types or zones, or another region",
        )
    return in_stock


def _first_choice(
    spec: Spec, cloud: Cloud, choices: Sequence[Candidate], now: datetime
) -> tuple[InstanceRequest, TypeOffer, Price]:
    """The request for the first candidate that has a price, with what the service says of its type."""
    names = Deployment(spec).host_names
    offers = {offer.instance_type: offer for offer in cloud.type_offers(spec.cloud.instance_types)}

    def priced(candidate: Candidate) -> tuple[InstanceRequest, TypeOffer, Price]:
        offer = _offer(offers.get(candidate.instance_type), candidate.instance_type)
        request = instance_request(
            spec,
            names,
            candidate,
            image_id=spec.cloud.image_id or _image_id(cloud, spec, candidate.instance_type),
            auto_release_at=release_time(now, spec.cloud.auto_release_hours),
            vswitch_id=spec.cloud.vswitch_id or "",
            security_group_id=spec.cloud.security_group_id or "",
            key_pair=spec.cloud.key_pair or "",
        )
        return request, offer, cloud.price(request)

    return first_that_can_be_had(choices, priced)


def _free_vcpus(spec: Spec, cloud: EcsCloud, instance_type: str, vcpus: int) -> int | None:
    """What the account's quota has left. Raises CloudRefusedError when that is too little."""
    free = cloud.free_vcpus(spot=spec.cloud.spot is not None)
    if free is not None and free < vcpus:
        raise CloudRefusedError(
            f"{spec.cloud.count} x {instance_type} need {vcpus} vCPUs, the account's quota has {free} left in "
            f"{spec.cloud.region}",
            "ask for more in the Quota Center (ECS, vCPUs), or take a smaller type",
        )
    return free


def _image_id(cloud: Cloud, spec: Spec, instance_type: str) -> str:
    """The newest image of the inventory's family. Raises UsageError when the system disk is too small for it."""
    image = cloud.newest_image(spec.cloud.image_family, instance_type)
    if spec.cloud.system_disk.size_gib < image.size_gib:
        raise UsageError(
            f"image {image.id} needs a system disk of {image.size_gib} GiB, the inventory asks for "
            f"{spec.cloud.system_disk.size_gib}",
            "raise cloud.system_disk.size_gib",
        )
    return image.id


def _offer(offer: TypeOffer | None, name: str) -> TypeOffer:
    """What the service has under a type's name. Raises TypeRefusedError when it knows none, or another than we do."""
    if offer is None:
        raise TypeRefusedError(
            f"the service does not know {name}", "`provisioner types --region REGION` lists what it has"
        )
    listed = catalog.lookup(name)
    if listed is not None and listed.vcpus != offer.vcpus:
        raise TypeRefusedError(
            f"{name} has {offer.vcpus} vCPUs, the catalog says {listed.vcpus}",
            "provisioner/data/families.yaml is out of date: please report it",
        )
    return offer
