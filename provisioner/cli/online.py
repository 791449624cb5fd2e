"""What the cloud is asked before anything is created (`plan --online`, `up`), and `sweep`."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from provisioner import catalog
from provisioner.cli.console import somebody_there
from provisioner.deployment import Deployment
from provisioner.errors import CloudRefusedError, LeftoverError, NoCapacityError, TypeRefusedError, UsageError
from provisioner.render import counted

if TYPE_CHECKING:
    from provisioner.cli.console import Console
    from provisioner.inventory.spec import Spec
    from provisioner.ports import Cloud
    from provisioner.resources import InstanceRequest, Price, Resource, TypeOffer


def preflight(spec: Spec, console: Console) -> dict[str, Any]:
    """Identity, image, stock by zone, price; raises what `up` would raise for them. Creates nothing.

    With an existing VSwitch and security group RunInstances itself is asked, with DryRun.
    """
    if not spec.creates_instances:
        console.say("\nOnline: no cloud to ask")
        return {}
    from provisioner.operations import places, wiring
    from provisioner.steps.request import (
        Candidate,
        candidates,
        first_that_can_be_had,
        instance_request,
        no_zone,
        release_time,
    )

    place, cloud = places.of_inventory(spec, lambda text: None)
    asked = spec.cloud
    identity = cloud.caller_identity().arn
    stock = cloud.stock(asked.instance_types, spot=asked.spot is not None)
    pairs = candidates(spec, stock, cloud.zones())
    if not pairs:
        raise no_zone(spec)
    in_stock = [pair for pair in pairs if pair.zone in stock.get(pair.instance_type, [])]
    if not in_stock:
        raise NoCapacityError(
            f"none of {', '.join(asked.instance_types)} is in stock in {asked.region}"
            + ("" if asked.zones == "auto" else f" ({', '.join(asked.zones)})"),
            "add instance types or zones, or another region",
        )
    names = Deployment(spec).host_names
    offers = {offer.instance_type: offer for offer in cloud.type_offers(asked.instance_types)}
    now = datetime.now(timezone.utc)

    def request_for(candidate: Candidate) -> InstanceRequest:
        image_id = asked.image_id or _image_id(cloud, spec, candidate.instance_type)
        return instance_request(
            spec,
            names,
            candidate,
            image_id=image_id,
            auto_release_at=release_time(now, asked.auto_release_hours),
            vswitch_id=asked.vswitch_id or "",
            security_group_id=asked.security_group_id or "",
            key_pair=asked.key_pair or "",
        )

    def offered(candidate: Candidate) -> tuple[InstanceRequest, TypeOffer, Price]:
        offer = _offer(offers.get(candidate.instance_type), candidate.instance_type)
        request = request_for(candidate)
        return request, offer, cloud.price(request)

    request, offer, price = first_that_can_be_had(in_stock, offered)
    kind = request.instance_type
    vcpus = offer.vcpus * asked.count
    free = cloud.free_vcpus(spot=asked.spot is not None)
    if free is not None and free < vcpus:
        raise CloudRefusedError(
            f"{asked.count} x {kind} need {vcpus} vCPUs, the account's quota has {free} left in {asked.region}",
            "ask for more in the Quota Center (ECS, vCPUs), or take a smaller type",
        )
    dry_run = bool(asked.vswitch_id and asked.security_group_id)
    if dry_run:
        cloud.check_run_instances(request, {})
    per_hour = price.per_hour * asked.count
    ssh_from = () if asked.security_group_id else wiring.caller_cidrs(spec, place)
    found = {
        "identity": identity,
        "image": request.image_id,
        "stock": stock,
        "free_vcpus": free,
        "first_choice": {"instance_type": kind, "zone": request.zone},
        "price": {"per_hour": per_hour, "currency": price.currency, "hours": asked.auto_release_hours},
        "ssh_from": list(ssh_from),
        "dry_run": "passed" if dry_run else "not asked: it needs vswitch_id and security_group_id",
    }
    console.say(f"\nOnline, as {identity}")
    for each, zones in stock.items():
        console.say(f"  {each}: {'in stock in ' + ', '.join(zones) if zones else 'no stock'}")
    console.say(f"  quota: {vcpus} vCPUs needed, {'unknown' if free is None else free} free")
    console.say(f"  image {request.image_id}")
    if ssh_from:
        whose = " (this machine's address as the internet sees it)" if asked.ssh_from == "auto" else ""
        console.say(f"  SSH is let in from {', '.join(ssh_from)}{whose}")
    console.say(f"  price {per_hour:.4g} {price.currency} an hour for {asked.count} x {kind}")
    if request.auto_release_at:
        local = request.auto_release_at.astimezone().strftime("%Y-%m-%d %H:%M %Z")
        most = per_hour * (request.auto_release_at - now).total_seconds() / 3600
        console.say(
            f"  at most {most:.4g} {price.currency}: released by itself after {asked.auto_release_hours:g} h "
            f"({local} if started now)"
        )
    console.say(f"  RunInstances dry run: {found['dry_run']}")
    return found


def existing(spec: Spec, console: Console) -> list[dict[str, str | None]]:
    """What of the plan is there already: each step checked, nothing changed. Empty for a deployment never started.

    Raises DriftError when the deployment lives elsewhere than the inventory leads to, or left on its hosts what this
    inventory would not look for.
    """
    from provisioner import steps
    from provisioner.adapters.store import FolderStore, list_deployments
    from provisioner.cli.inside import hasty
    from provisioner.operations import places, wiring
    from provisioner.runner import Runner

    if spec.name not in list_deployments():
        return []
    state = FolderStore.open(spec.name, create=False).state
    if state.removed_at:
        return []
    if spec.creates_instances:
        wiring.check_place(spec.name, state.place, places.of_inventory(spec, lambda text: None)[0])
    wiring.check_hosts(state, spec)
    with wiring.looking(hasty(spec)) as session:
        findings = Runner(session, steps.plan(session), lambda event: None).preview()
    console.say("\nWhat is there already")
    for _, step, finding in findings:
        detail = f" ({finding.detail})" if finding.detail else ""
        console.say(f"  {finding.presence.value:8} {step.name}{detail}")
    return [{"step": s.name, "presence": f.presence.value, "detail": f.detail or None} for _, s, f in findings]


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
    known = catalog.lookup(name)
    if known is not None and known.vcpus != offer.vcpus:
        raise TypeRefusedError(
            f"{name} has {offer.vcpus} vCPUs, the catalog says {known.vcpus}",
            "provisioner/data/families.yaml is out of date: please report it",
        )
    return offer


def sweep(region: str, yes: bool, console: Console) -> None:
    """Find everything in a region that carries our tag, show it, and remove it after a yes.

    Raises LeftoverError when something is still there at the end.
    """
    from provisioner.operations import places
    from provisioner.resources import TAG_NAME
    from provisioner.runner import KINDS

    cloud = places.of_region(region, lambda text: console.say(f"    . {text}"))

    def look() -> list[Resource]:
        # Every deployment's name is another value of the tag, and a filter asks for one: so all are listed.
        return [resource for kind in KINDS for resource in cloud.find(kind, {}) if TAG_NAME in resource.tags]

    found = look()
    rows = [(r.tags.get(TAG_NAME, "?"), r.kind, r.id, r.name, r.state) for r in found]
    if found and not console.as_json:
        console.table(("DEPLOYMENT", "KIND", "ID", "NAME", "STATE"), rows)
    if found and not yes:
        if not somebody_there():
            raise UsageError(
                f"{counted(len(found), 'resource')} found and nobody is there to say yes", "add --yes to remove them"
            )
        if not console.ask(f"Remove {counted(len(found), 'resource')} in {region}?"):
            raise UsageError("not confirmed, nothing was removed")
    for kind in KINDS:
        ids = [resource.id for resource in found if resource.kind == kind]
        if ids:
            cloud.delete(kind, ids)
    left = look() if found else []
    if left:
        listing = "\n".join(f"  {resource.kind} {resource.id} {resource.name}" for resource in left)
        raise LeftoverError(
            f"the sweep left {counted(len(left), 'resource')} behind:\n{listing}\n", "run the sweep again"
        )
    where = f"region {region}, account {cloud.account_id}, at {cloud.endpoint}"
    if console.as_json:
        console.result({"removed": [{"kind": r.kind, "id": r.id, "name": r.name} for r in found], "left": []})
    else:
        console.say(f"{len(found)} removed; looked up {', '.join(KINDS)} by tag {TAG_NAME} in {where}: 0 left.")
