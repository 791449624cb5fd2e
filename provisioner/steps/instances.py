"""The instances themselves (the paper's step 1), made by one RunInstances call whatever their number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from provisioner.deployment.cloud_access import CloudAccess
from provisioner.deployment.state import InstanceChoice
from provisioner.errors import CloudRefusedError, DeadlineError, NoCapacityError
from provisioner.hosts.address import HostAddress
from provisioner.hosts.expected import doubts
from provisioner.render import counted
from provisioner.resources import KINDS, Instance, InstanceRequest, Kind, Price
from provisioner.step import Description, Finding, Observed, PlannedResource, Presence, Step
from provisioner.steps.comparison import (
    HOURS,
    TAGS,
    Change,
    asked_for,
    changes,
    dropped_tags,
    lasting_differences,
    named_as_made,
)
from provisioner.steps.network import KeyPairStep, SecurityGroupStep, VSwitchStep
from provisioner.steps.request import Candidate, first_that_can_be_had, instance_request, is_too_near, release_time
from provisioner.waiting import wait_until

RUNNING_DEADLINE_S = 600.0
GONE = ("Stopping", "Stopped")
INSTANCE_KINDS: tuple[Kind, ...] = ("instance", "eip", "disk")
"""What RunInstances makes, in the order in which it is deleted."""


class InstancesStep(Step):
    """All instances of the deployment."""

    name = "instances"
    undone = True

    def __init__(
        self, access: CloudAccess, vswitch: VSwitchStep, group: SecurityGroupStep, key_pair: KeyPairStep
    ) -> None:
        self._access = access
        self._names = access.deployment.host_names
        self._vswitch = vswitch
        self._group = group
        self._key_pair = key_pair
        self._there: list[Instance] = []
        self._images: dict[str, str] = {}

    # ------------------------------------------------------------------------------------------------- plan

    def describe(self) -> Description:
        """Each instance, with what will be asked for it."""
        cloud, names = self._access.spec.cloud, self._names
        kind = cloud.instance_types[0]
        release = f"released by itself after {cloud.auto_release_hours:g} h" if cloud.auto_release_hours else ""
        attributes = {
            "instance_types": list(cloud.instance_types),
            "image": cloud.image_id or cloud.image_family,
            "system_disk": f"{cloud.system_disk.size_gib} GiB {cloud.system_disk.category}",
            "spot": _spot_words(cloud.spot.price_limit_per_hour) if cloud.spot else "no",
            "auto_release_hours": cloud.auto_release_hours,
            "internet_bandwidth_mbps": cloud.internet_bandwidth_mbps,
        }
        warnings = []
        if not cloud.auto_release_hours:
            warnings.append("cloud.auto_release_hours is off: a forgotten instance costs until somebody removes it")
        warnings.extend(doubts(cloud, self._access.deployment.described_types))
        return Description(
            f"Create {counted(len(names), 'instance')} of {kind}" + (f", {release}" if release else ""),
            tuple(PlannedResource("instance", name, attributes) for name in names),
            warnings=tuple(warnings),
        )

    # ------------------------------------------------------------------------------------------------- up

    def check(self) -> Finding:
        """Present when all are Running, have an address and are as the inventory says.

        Absent too when something differs that can be changed in place; drifted when it cannot.
        """
        instances = self._there = self._access.instances()
        observed = self._observed(instances)
        if not instances:
            return Finding(Presence.ABSENT, observed=observed)
        spec, choice, hosts = self._access.spec, self._access.journal.choice, self._access.journal.hosts
        differences = lasting_differences(spec, self._names, named_as_made(instances, hosts), choice)
        stopped = [instance.name for instance in instances if instance.state in GONE and hosts]
        if stopped:
            differences.append(f"stopped: {', '.join(stopped)}")
        if differences:
            return Finding(Presence.DRIFTED, "; ".join(differences), observed)
        if _waiting(instances):
            return Finding(Presence.ABSENT, "starting", observed)
        coming = changes(spec, instances, hosts, choice)
        if coming:
            detail = f"to be changed: {', '.join(change.words for change in coming)}"
            return Finding(Presence.ABSENT, detail, observed)
        return Finding(Presence.PRESENT, ", ".join(instance.id for instance in instances[:3]), observed)

    def apply(self) -> None:
        """RunInstances for the first candidate that can be had; wait until all are Running, and as they should be."""
        if not self._there:  # as `check` saw it, which ran before
            self._create()
        self._change(self._wait_until_running())

    def _change(self, instances: list[Instance]) -> None:
        """Whatever of them the inventory says otherwise by now and the service can change in place."""
        access = self._access
        for change in changes(access.spec, instances, access.journal.hosts, access.journal.choice):
            access.progress(f"changing {', '.join(change.ids)}: {change.words}")
            self._carry_out(change)

    def _carry_out(self, change: Change) -> None:
        cloud = self._access.cloud
        if change.what == "deletion_protection":
            cloud.set_deletion_protection(change.ids, change.value)
        elif change.what == "internet_bandwidth_mbps":
            cloud.set_bandwidth(change.ids, change.value)
        elif change.what == "name":
            cloud.set_name(change.ids[0], change.value)
        elif change.what == "tags":
            self._retag(change.value)
        else:
            cloud.set_auto_release(change.ids, release_time(self._access.clock.now(), change.value))
            self._note_changed(HOURS, change.value)  # only now: a run that is cut off before sets it again

    def _retag(self, tags: Mapping[str, str]) -> None:
        """Give all that was made the inventory's tags, and take away those that it gave once.

        The instances come last: theirs are what `check` looks at, so that a run that is cut off begins again.
        """
        access = self._access
        dropped = dropped_tags(access.spec, access.journal.choice)
        # Whatever of them may have been given by then, a later run knows them to be ours.
        self._note_changed(TAGS, {**dict.fromkeys(dropped, ""), **tags})
        for kind in reversed(KINDS):
            ids = [resource.id for resource in access.cloud.find(kind, access.deployment.own_tags)]
            if ids and tags:
                access.cloud.tag(kind, ids, tags)
            if ids and dropped:
                access.cloud.untag(kind, ids, dropped)
        self._note_changed(TAGS, dict(tags))

    def _note_changed(self, field: str, value: Any) -> None:
        """Keep that the instances were asked for this by now, and else for what they were."""
        choice = self._access.journal.choice
        self._note_asked({**(choice.asked if choice else {}), field: value})

    def _note_asked(self, asked: Mapping[str, Any]) -> None:
        """Keep what the instances were asked for; where an older version did not, it is what the inventory says."""
        journal = self._access.journal
        if journal.choice is not None:
            journal.choose(journal.choice.model_copy(update={"asked": {**asked_for(self._access.spec), **asked}}))

    def _create(self) -> None:
        """RunInstances for one candidate after the other, until the service makes all instances of one."""
        access = self._access
        pending = access.journal.pending_choice
        if pending and is_too_near(pending.release_at, access.clock.now()):
            # The service would refuse it. It was never carried out: its instances would have shown long before now.
            access.journal.abandon("instance")

        def refused(words: str) -> None:
            access.progress(f"{words}; trying the next candidate")

        first_that_can_be_had(self._candidates(), self._ask_for, refused)

    def _candidates(self) -> Iterator[Candidate]:
        pending = self._access.journal.pending_choice
        if pending:
            yield Candidate(pending.type, pending.zone)
        yield from self._vswitch.candidates()

    def _ask_for(self, candidate: Candidate) -> list[str]:
        access = self._access
        access.progress(f"asking for {len(self._names)} x {candidate.instance_type} in {candidate.zone}")
        try:
            choice = access.journal.pending_choice or self._choose(candidate)
            request = self._request(choice)
        except (NoCapacityError, CloudRefusedError):
            access.journal.abandon("instance")  # what was cut off can no longer be asked for
            raise

        def call(token: str) -> list[str]:
            ids = access.cloud.run_instances(request, access.deployment.tags, token)
            # The inventory may have changed since the run that was cut off; the release time is still that run's.
            self._note_asked({HOURS: choice.asked.get(HOURS, access.spec.cloud.auto_release_hours)})
            return ids

        return access.journal.create("instance", "", call)

    def _choose(self, candidate: Candidate) -> InstanceChoice:
        """Everything about a request that could come out differently another time, written down before the call."""
        access, cloud = self._access, self._access.spec.cloud
        image_id = cloud.image_id or self._newest_image(candidate.instance_type)
        self._note_price(instance_request(access.spec, self._names, candidate, image_id=image_id))
        self._vswitch.in_zone(candidate.zone)
        choice = InstanceChoice(
            type=candidate.instance_type,
            zone=candidate.zone,
            image_id=image_id,
            release_at=release_time(access.clock.now(), cloud.auto_release_hours),
            asked=asked_for(access.spec),
        )
        access.journal.choose(choice)
        return choice

    def _newest_image(self, instance_type: str) -> str:
        if instance_type not in self._images:
            family = self._access.spec.cloud.image_family
            self._images[instance_type] = self._access.cloud.newest_image(family, instance_type).id
        return self._images[instance_type]

    def _request(self, choice: InstanceChoice) -> InstanceRequest:
        return instance_request(
            self._access.spec,
            self._names,
            Candidate(choice.type, choice.zone),
            image_id=choice.image_id,
            auto_release_at=choice.release_at,
            vswitch_id=self._vswitch.in_zone(choice.zone),
            security_group_id=self._group.id(),
            key_pair=self._key_pair.id(),
        )

    def _note_price(self, request: InstanceRequest) -> None:
        price = self._access.cloud.price(request)
        self._access.journal.note_price(Price(price.per_hour * len(request.names), price.currency))
        self._access.progress(f"{len(request.names)} x {price.per_hour:g} {price.currency} an hour")

    def _wait_until_running(self) -> list[Instance]:
        """All instances, once they run and have addresses. A short Stopped before Starting is normal in this API."""
        access, number = self._access, len(self._names)

        def look() -> list[Instance]:
            instances = access.instances()
            access.journal.observe(self._observed(instances))
            return instances

        def all_run(instances: list[Instance]) -> bool:
            return len(instances) >= number and not _waiting(instances)

        def tell(instances: list[Instance]) -> None:
            waiting = _waiting(instances)
            states = ", ".join(sorted({instance.state for instance in waiting}) or ["not listed yet"])
            access.progress(f"waiting for {len(waiting) or number} of {number} instances: {states}")

        instances = wait_until(
            access.clock, look, all_run, deadline_s=RUNNING_DEADLINE_S, longest_pause_s=5.0, meanwhile=tell
        )
        if not all_run(instances):
            states = ", ".join(f"{each.id} {each.state}" for each in _waiting(instances)) or "not listed yet"
            raise DeadlineError(
                f"instances are not running after {RUNNING_DEADLINE_S:.0f} s: {states}",
                f"look at them in the console, or `provisioner down {access.deployment.name}`",
            )
        return instances

    def _observed(self, instances: list[Instance]) -> Observed:
        """All that there are, and where they are once all run."""
        ssh, waiting = self._access.spec.ssh, _waiting(instances)
        by_name = {instance.name: instance for instance in instances if instance not in waiting}
        hosts = None
        if by_name.keys() >= set(self._names):
            hosts = tuple(
                HostAddress(
                    name,
                    by_name[name].public_ip,
                    by_name[name].private_ip,
                    ssh.port,
                    ssh.user,
                    by_name[name].id,
                    by_name[name].instance_type,
                )
                for name in self._names
            )
        return Observed("instance", {"": tuple(instance.id for instance in instances)}, hosts)

    def undo(self) -> None:
        """Release all, running or not; their disks and addresses go with them, or after them."""
        for kind in INSTANCE_KINDS:
            self._access.delete(kind)
        self._access.journal.hosts_are_gone()


def _waiting(instances: Iterable[Instance]) -> list[Instance]:
    """Those that cannot be logged into yet."""
    return [instance for instance in instances if instance.state != "Running" or not instance.public_ip]


def _spot_words(limit: float | None) -> str:
    return f"up to {limit:g} an hour" if limit else "at the market price"
