"""What RunInstances is asked, and for which types and zones in turn: the same for `up`, `plan --online` and `types`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from provisioner.errors import CloudRefusedError, NoCapacityError, TypeRefusedError
from provisioner.inventory.spec import Spec
from provisioner.resources import InstanceRequest

NON_ROOT = "ecs-user"
"""The only other login that the service sets up on its images (ImageOptions.LoginAsNonRoot)."""

SHORTEST_RELEASE = timedelta(minutes=30)
"""How far ahead AutoReleaseTime must be when the service receives it."""

CALL_MARGIN = timedelta(minutes=5)
"""How long after the decision on a request the service may receive it: a creating call is tried for three minutes."""

Answer = TypeVar("Answer")


class Candidate(NamedTuple):
    """An instance type in a zone."""

    instance_type: str
    zone: str


def candidates(spec: Spec, stock: Mapping[str, Sequence[str]], open_zones: Sequence[str]) -> list[Candidate]:
    """Every type in every zone that may do, in the order in which to ask for them.

    What is in stock comes first, over all types; within that the inventory's types in their order, then its zones in
    theirs, or with `zones: auto` those with the most stock.

    Args:
        spec: the inventory.
        stock: the zones in stock for each type, as ports.Cloud.stock gives them.
        open_zones: the region's zones that take new instances and VSwitches, as ports.Cloud.zones gives them.
    """
    cloud = spec.cloud
    if cloud.zones == "auto":
        zones = list(open_zones)
    else:
        # A VSwitch that is there already needs no zone that takes new ones.
        zones = [zone for zone in cloud.zones if zone in open_zones or cloud.vswitch_id]

    def in_stock(instance_type: str) -> list[str]:
        here = stock.get(instance_type, ())
        return [zone for zone in (here if cloud.zones == "auto" else zones) if zone in here and zone in zones]

    every = [Candidate(name, zone) for name in cloud.instance_types for zone in zones]
    first = [Candidate(name, zone) for name in cloud.instance_types for zone in in_stock(name)]
    return list(dict.fromkeys([*first, *every]))


def instance_request(
    spec: Spec,
    names: Sequence[str],
    candidate: Candidate,
    *,
    image_id: str,
    auto_release_at: datetime | None = None,
    vswitch_id: str = "",
    security_group_id: str = "",
    key_pair: str = "",
) -> InstanceRequest:
    """What an inventory asks for, as one request; equal for equal arguments, as a ClientToken demands.

    The network's ids may be left out where the request is only to be priced.
    """
    cloud = spec.cloud
    return InstanceRequest(
        names=names,
        instance_type=candidate.instance_type,
        zone=candidate.zone,
        image_id=image_id,
        vswitch_id=vswitch_id,
        security_group_id=security_group_id,
        key_pair=key_pair,
        system_disk=cloud.system_disk,
        internet_bandwidth_mbps=cloud.internet_bandwidth_mbps,
        spot=cloud.spot,
        auto_release_at=auto_release_at,
        deletion_protection=cloud.deletion_protection,
        ram_role=cloud.ram_role,
        user_data=cloud.user_data,
        login_as_non_root=spec.ssh.user == NON_ROOT,
    )


def release_time(now: datetime, hours: float | None) -> datetime | None:
    """When instances that are asked for now are to release themselves; None for never.

    Rounded up to the minute, which the service rounds down to, and never so near that it could refuse the call.
    """
    if not hours:
        return None
    moment = now + max(timedelta(hours=hours), SHORTEST_RELEASE + CALL_MARGIN)
    return moment + (datetime.min.replace(tzinfo=moment.tzinfo) - moment) % timedelta(minutes=1)


def is_too_near(release_at: datetime | None, now: datetime) -> bool:
    """Whether the service would refuse a request that was decided on earlier.

    Such a request is older than CALL_MARGIN, by which `release_time` keeps away from this.
    """
    return release_at is not None and release_at - now < SHORTEST_RELEASE


def first_that_can_be_had(
    choices: Iterable[Candidate],
    ask: Callable[[Candidate], Answer],
    refused: Callable[[str], None] = lambda words: None,
) -> Answer:
    """What `ask` gives for the first candidate that it does not refuse.

    A TypeRefusedError passes over the type's other zones. `refused` is told of each refusal, of a reason that was told
    before only where it came up again. Raises NoCapacityError with every reason when no candidate is left, and at once
    what no candidate can mend.
    """
    refusals: list[tuple[Candidate, NoCapacityError]] = []
    refused_types: set[str] = set()
    for candidate in choices:
        if candidate.instance_type in refused_types:
            continue
        try:
            return ask(candidate)
        except NoCapacityError as error:
            again = error.reason and error.reason in {earlier.reason for _, earlier in refusals}
            refused(f"the same for {candidate.instance_type} in {candidate.zone}" if again else error.message)
            refusals.append((candidate, error))
            if isinstance(error, TypeRefusedError):
                refused_types.add(candidate.instance_type)
    raise _none_of(refusals)


def _none_of(refusals: Sequence[tuple[Candidate, NoCapacityError]]) -> NoCapacityError:
    """What to say when no candidate could be had: each reason once, with all it was given for, and what it asks for."""
    errors = [error for _, error in refusals]
    by_reason: dict[str, list[tuple[Candidate, NoCapacityError]]] = {}
    for candidate, error in refusals:
        by_reason.setdefault(error.reason or error.message, []).append((candidate, error))
    reasons = "; ".join(
        alike[0][1].message if len(alike) == 1 else f"{reason}, for {_in_words(candidate for candidate, _ in alike)}"
        for reason, alike in by_reason.items()
    )
    remedies = "; or ".join(dict.fromkeys(error.remedy for error in errors if error.remedy))
    return NoCapacityError(
        f"none of the {len(errors)} candidates can be had ({reasons})" if len(errors) != 1 else reasons,
        remedies or "add instance types or zones to the inventory, or try another region or a later hour",
    )


def _in_words(alike: Iterable[Candidate]) -> str:
    """Candidates, each type once: `a in r-i, r-j and b in r-i`."""
    zones: dict[str, list[str]] = {}
    for candidate in alike:
        zones.setdefault(candidate.instance_type, []).append(candidate.zone)
    return " and ".join(f"{instance_type} in {', '.join(found)}" for instance_type, found in zones.items())


def no_zone(spec: Spec) -> CloudRefusedError:
    """What to say when there is no zone to try."""
    cloud = spec.cloud
    if cloud.zones == "auto":
        return CloudRefusedError(
            f"region {cloud.region} shows no zone that takes new instances", "choose another cloud.region"
        )
    return CloudRefusedError(
        f"{', '.join(cloud.zones)}: region {cloud.region} has no such zone, or it takes no new instances and VSwitches",
        "correct cloud.zones, or set it to auto",
    )
