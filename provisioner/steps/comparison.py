"""Instances beside the inventory: what the service can change in place, and what only new instances would mend. Pure.

What the service shows of an instance is compared as it is; the rest is compared with what was asked for when it was
made, which the state keeps. So `auto_release_hours` does not change by time going on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Literal

from provisioner.deployment.state import InstanceChoice
from provisioner.hosts.address import HostAddress
from provisioner.inventory.spec import Spec
from provisioner.resources import Instance
from provisioner.steps.request import NON_ROOT

HOURS = "cloud.auto_release_hours"
TAGS = "cloud.tags"


def asked_for(spec: Spec) -> dict[str, Any]:
    """What instances are made of and the service does not show with them, by inventory field, as JSON."""
    cloud = spec.cloud
    return {
        "cloud.image": cloud.image_id or cloud.image_family,
        "cloud.system_disk": cloud.system_disk.model_dump(mode="json"),
        "cloud.spot": cloud.spot.model_dump(mode="json") if cloud.spot else None,
        "cloud.ram_role": cloud.ram_role,
        "cloud.user_data": sha256(cloud.user_data.encode()).hexdigest()[:12] if cloud.user_data else None,
        HOURS: cloud.auto_release_hours,
        TAGS: dict(cloud.tags),
        "cloud.vpc_cidr": None if cloud.vpc_id else cloud.vpc_cidr,
        "cloud.vpc_id": cloud.vpc_id,
        "cloud.vswitch_id": cloud.vswitch_id,
        "cloud.security_group_id": cloud.security_group_id,
        "cloud.key_pair": cloud.key_pair,
        "ssh.user": NON_ROOT if spec.ssh.user == NON_ROOT else "root",
    }


def named_as_made(instances: Sequence[Instance], hosts: Sequence[HostAddress]) -> list[Instance]:
    """The instances, those that somebody renamed under the names of the hosts that they are known to be."""
    names = {host.instance_id: host.name for host in hosts}
    return [replace(instance, name=names.get(instance.id, instance.name)) for instance in instances]


def lasting_differences(
    spec: Spec, names: Sequence[str], instances: Sequence[Instance], choice: InstanceChoice | None
) -> list[str]:
    """What differs from the inventory and cannot be changed in place, in words."""
    return [*_number(names, instances), *_kind(spec, instances), *_making(spec, choice)]


def _number(names: Sequence[str], instances: Sequence[Instance]) -> Iterator[str]:
    missing = sorted(set(names) - {instance.name for instance in instances})
    if missing:
        yield f"{len(missing)} of the instances are missing: {', '.join(missing)}"
    surplus = sorted(f"{instance.name} ({instance.id})" for instance in instances if instance.name not in names)
    if surplus:
        yield f"{len(surplus)} more than the {len(names)} that the inventory asks for: {', '.join(surplus)}"


def _kind(spec: Spec, instances: Sequence[Instance]) -> Iterator[str]:
    cloud = spec.cloud
    for instance in instances:
        who = f"instance {instance.id} is"
        if instance.instance_type not in cloud.instance_types:
            yield f"{who} a {instance.instance_type}, the inventory asks for {' or '.join(cloud.instance_types)}"
        if cloud.zones != "auto" and instance.zone not in cloud.zones:
            yield f"{who} in {instance.zone}, the inventory asks for {' or '.join(cloud.zones)}"
        if instance.spot != (cloud.spot is not None):
            is_now, asked = ("a", "none") if instance.spot else ("no", "one")
            yield f"{who} {is_now} spot instance, the inventory asks for {asked}"


def _making(spec: Spec, choice: InstanceChoice | None) -> Iterator[str]:
    """What was asked for when the instances were made and is no longer. An older state does not know all of it."""
    if choice is None:
        return
    for field, new in asked_for(spec).items():
        if field in (HOURS, TAGS) or field not in choice.asked:
            continue
        if field == "cloud.image" and new == choice.image_id:  # the family's image, now given by its id
            continue
        yield from _changed(field, choice.asked[field], new)


def _changed(field: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in new:
            yield from _changed(f"{field}.{key}", old.get(key), new[key])
    elif old != new and field == "cloud.user_data":
        yield f"{field} is another than it was"
    elif old != new:
        yield f"{field} was {_told(old)}, the inventory asks for {_told(new)}"


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_told(part)}" for key, part in value.items())
    return "nothing" if value is None else str(value)


def left_behind(before: Spec, spec: Spec) -> list[str]:
    """Why what an earlier `up` put on the hosts would stay there: neither `up` nor `down` of the new inventory looks
    where it is. In words."""
    differences = []
    if before.runtime != spec.runtime:
        differences.append(f"runtime was {before.runtime}, the inventory asks for {spec.runtime}")
    elif before.image and spec.image and before.image.container != spec.image.container:
        was, now = before.image.container, spec.image.container
        differences.append(f"image.container was {was}, the inventory asks for {now}")
    gone = sorted({host.name for host in before.hosts} - {host.name for host in spec.hosts})
    if gone:
        differences.append(f"hosts had {', '.join(gone)} as well")
    return differences


@dataclass(frozen=True)
class Change:
    """Something that the service can change in place, on these instances: to `value`, an instance's name or so.

    Of tags the instances are those that show that it is needed; the deployment's other resources get them as well.
    """

    what: Literal["deletion_protection", "internet_bandwidth_mbps", "auto_release_hours", "name", "tags"]
    words: str
    ids: tuple[str, ...]
    value: Any


def changes(
    spec: Spec, instances: Sequence[Instance], hosts: Sequence[HostAddress], choice: InstanceChoice | None
) -> list[Change]:
    """What is to be changed in place for the instances to be as the inventory says.

    `hosts` is where instances were known to be, whose names they should have.
    """
    cloud = spec.cloud
    protected, mbps, hours = cloud.deletion_protection, cloud.internet_bandwidth_mbps, cloud.auto_release_hours
    was = choice.asked.get(HOURS, hours) if choice else hours
    no_longer = dropped_tags(spec, choice)

    def differing(is_other: Callable[[Instance], bool]) -> tuple[str, ...]:
        return tuple(instance.id for instance in instances if is_other(instance))

    def has_other_tags(instance: Instance) -> bool:
        return not cloud.tags.items() <= instance.tags.items() or any(key in instance.tags for key in no_longer)

    possible = [
        Change(
            "deletion_protection",
            f"deletion protection {'on' if protected else 'off'}",
            differing(lambda instance: instance.deletion_protection != protected),
            protected,
        ),
        Change(
            "internet_bandwidth_mbps",
            f"bandwidth {mbps} Mbit/s",
            differing(lambda instance: instance.bandwidth_mbps not in (None, mbps)),
            mbps,
        ),
        Change(
            "auto_release_hours",
            f"released by itself {hours:g} h from now" if hours else "not released by itself",
            differing(lambda instance: was != hours or (instance.auto_release_at is None) != (not hours)),
            hours,
        ),
        *(
            Change("name", f"{old.name} named {new.name}", (old.id,), new.name)
            for old, new in zip(instances, named_as_made(instances, hosts), strict=True)
            if old.name != new.name
        ),
        Change("tags", f"tags {_tags_in_words(cloud.tags, no_longer)}", differing(has_other_tags), dict(cloud.tags)),
    ]
    return [change for change in possible if change.ids]


def dropped_tags(spec: Spec, choice: InstanceChoice | None) -> list[str]:
    """The keys of the tags that the inventory gave once and gives no longer; never the program's own."""
    return sorted(set(choice.asked.get(TAGS, ())) - spec.cloud.tags.keys()) if choice else []


def _tags_in_words(tags: Mapping[str, str], no_longer: Sequence[str]) -> str:
    return ", ".join([*(f"{key}={value}" for key, value in tags.items()), *(f"no {key}" for key in no_longer)])
