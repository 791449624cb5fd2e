"""The instances themselves (the paper's step 1), made by one RunInstances call whatever their number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.deployment import Deployment
from provisioner.deployment.state import InstanceChoice
from provisioner.errors import CloudRefusedError, DeadlineError, NoCapacityError
from provisioner.hosts.address import HostAddress
from provisioner.hosts.expected import doubts
from provisioner.resources import KINDS, TAG_NAME, Instance, InstanceRequest, Price
from provisioner.step import Description, Finding, Observed, PlannedResource, Presence
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
from provisioner.steps.network import (
    KeyPairStep,
    SecurityGroupStep,
    VSwitchStep,
    delete_tagged,
)
from provisioner.steps.request import Candidate, first_that_can_be_had, instance_request, is_too_near, release_time

RUNNING_DEADLINE_S = 600.0
GONE = ("Stopping", "Stopped")


class InstancesStep:
    """All instances of the deployment."""

    name = "instances"
    host: str | None = None
    owner: str | None = None

    def __init__(
        self, deployment: Deployment, vswitch: VSwitchStep, group: SecurityGroupStep, key_pair: KeyPairStep
    ) -> None:
        self.deployment = deployment
        self.vswitch = vswitch
        self.group = group
        self.key_pair = key_pair
        self._there: list[Instance] = []
        self._images: dict[str, str] = {}

    # ------------------------------------------------------------------------------------------------- plan

    def describe(self) -> Description:
        """Each instance, with what will be asked for it."""
        cloud = self.deployment.spec.cloud
        names = self.deployment.host_names
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
        warnings.extend(doubts(cloud, self.deployment.described_types))
        count = f"{len(names)} instance{'s' if len(names) > 1 else ''}"
        return Description(
            f"Create {count} of {kind}" + (f", {release}" if release else ""),
            tuple(PlannedResource("instance", name, attributes) for name in names),
            warnings=tuple(warnings),
        )

    # ------------------------------------------------------------------------------------------------- up

    def check(self) -> Finding:
        """Present when all are Running, have an address and are as the inventory says.

        Absent too when something differs that can be changed in place; drifted when it cannot.
        """
        instances = self._there = self._found()
        observed = self._observed(instances)
        if not instances:
            return Finding(Presence.ABSENT, observed=observed)
        spec, state = self.deployment.spec, self.deployment.store.state
        choice, named = state.pending_instances, named_as_made(instances, state.hosts)
        differences = lasting_differences(spec, self.deployment.host_names, named, choice)
        stopped = [instance.name for instance in instances if instance.state in GONE and self._was_running()]
        if stopped:
            differences.append(f"stopped: {', '.join(stopped)}")
        if differences:
            return Finding(Presence.DRIFTED, "; ".join(differences), observed)
        if any(instance.state != "Running" or not instance.public_ip for instance in instances):
            return Finding(Presence.ABSENT, "starting", observed)
        coming = changes(spec, instances, state.hosts, choice)
        if coming:
            detail = f"to be changed: {', '.join(change.words for change in coming)}"
            return Finding(Presence.ABSENT, detail, observed)
        return Finding(Presence.PRESENT, ", ".join(instance.id for instance in instances[:3]), observed)

    def _found(self) -> list[Instance]:
        deployment = self.deployment
        tags = {TAG_NAME: deployment.spec.name}
        return deployment.journal.listed("instance", lambda: deployment.only_ours(deployment.cloud.instances(tags)))

    def _was_running(self) -> bool:
        return bool(self.deployment.store.state.hosts)

    def apply(self) -> None:
        """RunInstances for the first candidate that can be had; wait until all are Running, and as they should be."""
        if not self._there:  # as `check` saw it, which ran before
            self._create()
        self._change(self._wait_until_running())

    def _change(self, instances: list[Instance]) -> None:
        """Whatever of them the inventory says otherwise by now and the service can change in place."""
        deployment, state = self.deployment, self.deployment.store.state
        for change in changes(deployment.spec, instances, state.hosts, state.pending_instances):
            deployment.progress(f"changing {', '.join(change.ids)}: {change.words}")
            self._carry_out(change)

    def _carry_out(self, change: Change) -> None:
        deployment = self.deployment
        cloud = deployment.cloud
        if change.what == "deletion_protection":
            cloud.set_deletion_protection(change.ids, change.value)
        elif change.what == "internet_bandwidth_mbps":
            cloud.set_bandwidth(change.ids, change.value)
        elif change.what == "name":
            cloud.set_name(change.ids[0], change.value)
        elif change.what == "tags":
            self._retag(change.value)
        else:
            cloud.set_auto_release(change.ids, release_time(deployment.ports.clock.now(), change.value))
            self._note_changed(HOURS, change.value)  # only now: a run that is cut off before sets it again

    def _retag(self, tags: Mapping[str, str]) -> None:
        """Give all that was made the inventory's tags, and take away those that it gave once.

        The instances come last: theirs are what `check` looks at, so that a run that is cut off begins again.
        """
        deployment = self.deployment
        dropped = dropped_tags(deployment.spec, deployment.store.state.pending_instances)
        # Whatever of them may have been given by then, a later run knows them to be ours.
        self._note_changed(TAGS, {**dict.fromkeys(dropped, ""), **tags})
        for kind in reversed(KINDS):
            ids = [resource.id for resource in deployment.cloud.find(kind, deployment.own_tags)]
            if ids and tags:
                deployment.cloud.tag(kind, ids, tags)
            if ids and dropped:
                deployment.cloud.untag(kind, ids, dropped)
        self._note_changed(TAGS, dict(tags))

    def _note_changed(self, field: str, value: Any) -> None:
        """Keep that the instances were asked for this by now, and else for what they were."""
        choice = self.deployment.store.state.pending_instances
        self._note_asked({**(choice.asked if choice else {}), field: value})

    def _note_asked(self, asked: Mapping[str, Any]) -> None:
        """Keep what the instances were asked for; where an older version did not, it is what the inventory says."""
        store = self.deployment.store
        choice = store.state.pending_instances
        asked = {**asked_for(self.deployment.spec), **asked}
        if choice is not None and choice.asked != asked:
            with store.changing() as state:
                state.pending_instances = choice.model_copy(update={"asked": asked})

    def _create(self) -> None:
        """RunInstances for one candidate after the other, until the service makes all instances of one."""
        deployment = self.deployment
        pending = self._pending()
        if pending and is_too_near(pending.release_at, deployment.ports.clock.now()):
            # The service would refuse it. It was never carried out: its instances would have shown long before now.
            deployment.journal.abandon("instance")

        def refused(words: str) -> None:
            deployment.progress(f"{words}; trying the next candidate")

        first_that_can_be_had(self._candidates(), self._ask_for, refused)

    def _pending(self) -> InstanceChoice | None:
        """What a run asked for that was cut off between the call and its answer: the same token, the same request."""
        state = self.deployment.store.state
        unanswered = any(creation.kind == "instance" for creation in state.unresolved)
        return state.pending_instances if unanswered else None

    def _candidates(self) -> Iterator[Candidate]:
        pending = self._pending()
        if pending:
            yield Candidate(pending.type, pending.zone)
        yield from self.vswitch.candidates()

    def _ask_for(self, candidate: Candidate) -> list[str]:
        deployment, tags = self.deployment, self.deployment.tags
        deployment.progress(f"asking for {len(deployment.host_names)} x {candidate.instance_type} in {candidate.zone}")
        try:
            choice = self._pending() or self._choose(candidate)
            request = self._request(choice)
        except (NoCapacityError, CloudRefusedError):
            deployment.journal.abandon("instance")  # what was cut off can no longer be asked for
            raise

        def call(token: str) -> list[str]:
            ids = deployment.cloud.run_instances(request, tags, token)
            # The inventory may have changed since the run that was cut off; the release time is still that run's.
            self._note_asked({HOURS: choice.asked.get(HOURS, deployment.spec.cloud.auto_release_hours)})
            return ids

        return deployment.journal.create("instance", "", call)

    def _choose(self, candidate: Candidate) -> InstanceChoice:
        """Everything about a request that could come out differently another time, written down before the call."""
        deployment = self.deployment
        cloud = deployment.spec.cloud
        image_id = cloud.image_id or self._newest_image(candidate.instance_type)
        self._note_price(instance_request(deployment.spec, deployment.host_names, candidate, image_id=image_id))
        self.vswitch.in_zone(candidate.zone)
        choice = InstanceChoice(
            type=candidate.instance_type,
            zone=candidate.zone,
            image_id=image_id,
            release_at=release_time(deployment.ports.clock.now(), cloud.auto_release_hours),
            asked=asked_for(deployment.spec),
        )
        with deployment.store.changing() as state:
            state.pending_instances = choice
        return choice

    def _newest_image(self, instance_type: str) -> str:
        if instance_type not in self._images:
            family = self.deployment.spec.cloud.image_family
            self._images[instance_type] = self.deployment.cloud.newest_image(family, instance_type).id
        return self._images[instance_type]

    def _request(self, choice: InstanceChoice) -> InstanceRequest:
        return instance_request(
            self.deployment.spec,
            self.deployment.host_names,
            Candidate(choice.type, choice.zone),
            image_id=choice.image_id,
            auto_release_at=choice.release_at,
            vswitch_id=self.vswitch.in_zone(choice.zone),
            security_group_id=self.group.id(),
            key_pair=self.key_pair.id(),
        )

    def _note_price(self, request: InstanceRequest) -> None:
        price = self.deployment.cloud.price(request)
        with self.deployment.store.changing() as state:
            state.price = Price(price.per_hour * len(request.names), price.currency)
        self.deployment.progress(f"{len(request.names)} x {price.per_hour:g} {price.currency} an hour")

    def _wait_until_running(self) -> list[Instance]:
        deployment = self.deployment
        clock = deployment.ports.clock
        deadline = clock.monotonic() + RUNNING_DEADLINE_S
        pause = 0.1
        while True:
            found = self._found()
            deployment.journal.observe(self._observed(found))
            waiting = [i for i in found if i.state != "Running" or not i.public_ip]
            if len(found) >= len(deployment.host_names) and not waiting:
                return found
            if clock.monotonic() > deadline:
                states = ", ".join(f"{i.id} {i.state}" for i in waiting) or "not listed yet"
                raise DeadlineError(
                    f"instances are not running after {RUNNING_DEADLINE_S:.0f} s: {states}",
                    f"look at them in the console, or `provisioner down {deployment.spec.name}`",
                )
            # A short Stopped between Pending and Starting is normal in this API.
            deployment.progress(
                f"waiting for {len(waiting) or len(deployment.host_names)} of {len(deployment.host_names)} instances: "
                + ", ".join(sorted({i.state for i in waiting}) or ["not listed yet"])
            )
            clock.sleep(pause)
            pause = min(pause * 1.6, 5.0)

    def _observed(self, found: list[Instance]) -> Observed:
        """All that there are, and where they are once all run."""
        spec = self.deployment.spec
        by_name = {instance.name: instance for instance in found if instance.state == "Running" and instance.public_ip}
        hosts = None
        if by_name.keys() >= set(self.deployment.host_names):
            hosts = tuple(
                HostAddress(
                    name,
                    by_name[name].public_ip,
                    by_name[name].private_ip,
                    spec.ssh.port,
                    spec.ssh.user,
                    by_name[name].id,
                    by_name[name].instance_type,
                )
                for name in self.deployment.host_names
            )
        return Observed("instance", {"": tuple(instance.id for instance in found)}, hosts)

    def undo(self) -> None:
        """Release all, running or not; their disks and addresses go with them, or after them."""
        for kind in ("instance", "eip", "disk"):
            delete_tagged(self.deployment, kind)
        self.deployment.set_addresses([])


def _spot_words(limit: float | None) -> str:
    return f"up to {limit:g} an hour" if limit else "at the market price"
