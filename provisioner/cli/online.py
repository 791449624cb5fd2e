"""What the cloud is asked before anything is created (`plan --online`, `up`), and `sweep`."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from provisioner import catalog
from provisioner.errors import CloudRefusedError, LeftoverError, NoCapacityError, UsageError

if TYPE_CHECKING:
    from provisioner.adapters.ecs import EcsCloud
    from provisioner.cli.console import Console
    from provisioner.inventory.spec import Spec
    from provisioner.resources import Resource


def preflight(spec: Spec, console: Console) -> dict[str, Any]:
    """Identity, image, stock by zone, price; raises what `up` would raise for them. Creates nothing.

    With an existing VSwitch and security group RunInstances itself is asked, with DryRun.
    """
    if not spec.creates_instances:
        console.say("\nOnline: no cloud to ask")
        return {}
    from provisioner.cli import wiring
    from provisioner.resources import InstanceRequest

    cloud = wiring.cloud(spec, None, lambda text: None)
    asked = spec.cloud
    identity = cloud.caller_identity()
    stock = cloud.stock(asked.instance_types, spot=asked.spot is not None)
    wanted_zones = None if asked.zones == "auto" else set(asked.zones)
    candidates = [
        (kind, zone)
        for kind in asked.instance_types
        for zone in stock.get(kind, [])
        if wanted_zones is None or zone in wanted_zones
    ]
    if not candidates:
        raise NoCapacityError(
            f"none of {', '.join(asked.instance_types)} is in stock in {asked.region}"
            + (f" ({', '.join(asked.zones)})" if wanted_zones else ""),
            "add instance types or zones, or another region",
        )
    kind, zone = candidates[0]
    vcpus = _vcpus(cloud, spec)
    free = cloud.free_vcpus(spot=asked.spot is not None)
    if free is not None and free < vcpus:
        raise CloudRefusedError(
            f"{asked.count} x {kind} need {vcpus} vCPUs, the account's quota has {free} left in {asked.region}",
            "ask for more in the Quota Center (ECS, vCPUs), or take a smaller type",
        )
    image_id = asked.image_id or ""
    if not image_id:
        image = cloud.newest_image(asked.image_family, kind)
        image_id = image.id
        if asked.system_disk.size_gib < image.size_gib:
            raise UsageError(
                f"image {image.id} needs a system disk of {image.size_gib} GiB, the inventory asks for "
                f"{asked.system_disk.size_gib}",
                "raise cloud.system_disk.size_gib",
            )
    release_at = None
    if asked.auto_release_hours:
        release_at = datetime.now(timezone.utc) + timedelta(hours=asked.auto_release_hours)
    request = InstanceRequest(
        names=[f"{spec.name}-{number:03d}" for number in range(1, asked.count + 1)],
        instance_type=kind,
        zone=zone,
        image_id=image_id,
        vswitch_id=asked.vswitch_id or "",
        security_group_id=asked.security_group_id or "",
        key_pair=asked.key_pair or "",
        system_disk=asked.system_disk,
        internet_bandwidth_mbps=asked.internet_bandwidth_mbps,
        spot=asked.spot,
        auto_release_at=release_at,
        deletion_protection=asked.deletion_protection,
        ram_role=asked.ram_role,
        user_data=asked.user_data,
    )
    price = cloud.price(request)
    dry_run = bool(asked.vswitch_id and asked.security_group_id)
    if dry_run:
        cloud.check_run_instances(request, {})
    per_hour = price.per_hour * asked.count
    found = {
        "identity": identity,
        "image": image_id,
        "stock": stock,
        "free_vcpus": free,
        "first_choice": {"instance_type": kind, "zone": zone},
        "price": {"per_hour": per_hour, "currency": price.currency, "hours": asked.auto_release_hours},
        "dry_run": "passed" if dry_run else "not asked: it needs vswitch_id and security_group_id",
    }
    console.say(f"\nOnline, as {identity}")
    for each, zones in stock.items():
        console.say(f"  {each}: {'in stock in ' + ', '.join(zones) if zones else 'no stock'}")
    console.say(f"  quota: {vcpus} vCPUs needed, {'unknown' if free is None else free} free")
    console.say(f"  image {image_id}")
    console.say(f"  price {per_hour:.4g} {price.currency} an hour for {asked.count} x {kind}")
    if asked.auto_release_hours:
        local = (release_at or datetime.now(timezone.utc)).astimezone().strftime("%Y-%m-%d %H:%M %Z")
        console.say(
            f"  at most {per_hour * asked.auto_release_hours:.4g} {price.currency}: released by itself after "
            f"{asked.auto_release_hours:g} h ({local} if started now)"
        )
    console.say(f"  RunInstances dry run: {found['dry_run']}")
    return found


def existing(spec: Spec, console: Console) -> list[dict[str, str | None]]:
    """What of the plan is there already: each step checked, nothing changed. Empty for a deployment never started."""
    from provisioner import steps
    from provisioner.adapters.store import FolderStore, list_deployments
    from provisioner.cli import wiring
    from provisioner.runner import Runner

    if spec.name not in list_deployments() or FolderStore.open(spec.name, create=False).state.removed_at:
        return []
    with wiring.opened(spec, lambda event: None, create=False) as (deployment, emit):
        findings = Runner(deployment, steps.plan(deployment), emit).preview()
    console.say("\nWhat is there already")
    for _, step, finding in findings:
        detail = f" ({finding.detail})" if finding.detail else ""
        console.say(f"  {finding.presence.value:8} {step.name}{detail}")
    return [{"step": s.name, "presence": f.presence.value, "detail": f.detail or None} for _, s, f in findings]


def _vcpus(cloud: EcsCloud, spec: Spec) -> int:
    """The vCPUs that the first choice needs. Raises CloudRefusedError when service and catalog disagree."""
    kind = spec.cloud.instance_types[0]
    offers = {offer.instance_type: offer for offer in cloud.type_offers(spec.cloud.instance_types)}
    unknown = [name for name in spec.cloud.instance_types if name not in offers]
    if unknown:
        raise CloudRefusedError(
            f"the service does not know {', '.join(unknown)}", "`provisioner types --region REGION` lists what it has"
        )
    known = catalog.lookup(kind)
    if known is not None and known.vcpus != offers[kind].vcpus:
        raise CloudRefusedError(
            f"{kind} has {offers[kind].vcpus} vCPUs, the catalog says {known.vcpus}",
            "provisioner/data/families.yaml is out of date: please report it",
        )
    return offers[kind].vcpus * spec.cloud.count


def sweep(region: str, yes: bool, console: Console) -> None:
    """Find everything in a region that carries our tag, show it, and remove it after a yes.

    Raises LeftoverError when something is still there at the end.
    """
    from provisioner.cli import wiring
    from provisioner.resources import TAG_NAME
    from provisioner.runner import KINDS

    cloud = wiring.cloud_of_region(region, lambda text: console.say(f"    . {text}"))

    def look() -> list[Resource]:
        # Every deployment's name is another value of the tag, and a filter asks for one: so all are listed.
        return [resource for kind in KINDS for resource in cloud.find(kind, {}) if TAG_NAME in resource.tags]

    found = look()
    rows = [(r.tags.get(TAG_NAME, "?"), r.kind, r.id, r.name, r.state) for r in found]
    if found and not console.as_json:
        console.table(("DEPLOYMENT", "KIND", "ID", "NAME", "STATE"), rows)
    if found and not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"{len(found)} resources found and nobody is there to say yes", "add --yes to remove them")
        if not console.ask(f"Remove these {len(found)} resources in {region}?"):
            raise UsageError("not confirmed, nothing was removed")
    for kind in KINDS:
        ids = [resource.id for resource in found if resource.kind == kind]
        if ids:
            cloud.delete(kind, ids)
    left = look() if found else []
    if left:
        listing = "\n".join(f"  {resource.kind} {resource.id} {resource.name}" for resource in left)
        raise LeftoverError(f"{len(left)} resources are still there:\n{listing}\n", "run the sweep again")
    if console.as_json:
        console.result({"removed": [{"kind": r.kind, "id": r.id, "name": r.name} for r in found], "left": []})
    else:
        console.say(f"{len(found)} removed; looked up {', '.join(KINDS)} by tag {TAG_NAME} in {region}: 0 left.")
