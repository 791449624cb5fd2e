"""The instances themselves (the paper's step 1), made by one RunInstances call whatever their number."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from provisioner.deployment import Deployment
from provisioner.errors import CloudError, CloudRefusedError, DeadlineError, DriftError, NoCapacityError
from provisioner.hosts.address import HostAddress
from provisioner.resources import TAG_NAME, Instance, InstanceRequest, Price
from provisioner.state import InstanceChoice
from provisioner.step import ABSENT, Description, Finding, PlannedResource, Presence
from provisioner.steps.network import (
    KeyPairStep,
    SecurityGroupStep,
    VSwitchStep,
    candidate_zones,
    delete_tagged,
)

NON_ROOT = "ecs-user"
"""The only other login that the service sets up on its images (ImageOptions.LoginAsNonRoot)."""

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
        count = f"{len(names)} instance{'s' if len(names) > 1 else ''}"
        return Description(
            f"Create {count} of {kind}" + (f", {release}" if release else ""),
            tuple(PlannedResource("instance", name, attributes) for name in names),
            warnings=tuple(warnings),
        )

    # ------------------------------------------------------------------------------------------------- up

    def check(self) -> Finding:
        """Present when all are Running and have an address; what is there is compared with the inventory."""
        found = self._there = self._found()
        if not found:
            return ABSENT
        self._compare(found)
        missing = set(self.deployment.host_names) - {instance.name for instance in found}
        if missing:
            return Finding(
                Presence.DRIFTED, f"{len(missing)} of the instances are missing: {', '.join(sorted(missing))}"
            )
        stopped = [instance.name for instance in found if instance.state in GONE and self._was_running()]
        if stopped:
            return Finding(Presence.DRIFTED, f"stopped: {', '.join(stopped)}")
        if any(instance.state != "Running" or not instance.public_ip for instance in found):
            return Finding(Presence.ABSENT, "starting")
        self._remember(found)
        return Finding(Presence.PRESENT, ", ".join(instance.id for instance in found[:3]))

    def _found(self) -> list[Instance]:
        deployment = self.deployment
        tags = {TAG_NAME: deployment.spec.name}
        return deployment.shown("instance", lambda: deployment.only_ours(deployment.cloud.instances(tags)))

    def _was_running(self) -> bool:
        return bool(self.deployment.store.state.hosts)

    def _compare(self, found: list[Instance]) -> None:
        """The paper's own check: view and confirm the instance type."""
        cloud = self.deployment.spec.cloud
        for instance in found:
            if instance.instance_type not in cloud.instance_types:
                raise DriftError(
                    f"instance {instance.id} is a {instance.instance_type}, the inventory asks for "
                    + " or ".join(cloud.instance_types),
                    f"`provisioner down {self.deployment.spec.name}` removes it; then `up` again",
                )

    def apply(self) -> None:
        """RunInstances for the first candidate that has capacity; wait until all are Running."""
        if not self._there:  # as `check` saw it, which ran before
            self._create()
        self._wait_until_running()

    def _candidates(self) -> Iterator[tuple[str, str]]:
        for instance_type in self.deployment.spec.cloud.instance_types:
            for zone in candidate_zones(self.deployment):
                yield instance_type, zone

    def _create(self) -> None:
        deployment, store = self.deployment, self.deployment.store
        refusals: list[CloudError] = []
        # A run cut off between the call and its answer left an intent: the same token, with the same request, first.
        pending = store.state.pending_instances if self.name in store.state.unresolved else None
        choices = iter(self._candidates())
        while pending := pending or next((self._choose(*choice) for choice in choices), None):
            deployment.progress(f"asking for {len(deployment.host_names)} x {pending.type} in {pending.zone}")
            request = self.request(**dict(pending))
            try:
                self._note_price(request)
                token = store.intend(self.name)
                ids = deployment.cloud.run_instances(request, deployment.tags, token)
            except NoCapacityError as error:
                store.abandon(self.name)
                refusals.append(error)
                deployment.progress(f"{error.message}; trying the next candidate")
                pending = None
            except CloudRefusedError:
                store.abandon(self.name)
                raise
            else:
                deployment.note_made("instance", ids)
                store.record(self.name, ids)
                return
        tried = "; ".join(dict.fromkeys(error.message for error in refusals))
        raise NoCapacityError(
            f"none of the {len(refusals)} candidates has capacity ({tried})",
            "add instance types or zones to the inventory, or try another region or a later hour",
        )

    def _choose(self, instance_type: str, zone: str) -> InstanceChoice:
        """Everything about a request that could come out differently another time, written down before the call."""
        deployment = self.deployment
        cloud = deployment.spec.cloud
        release_at = None
        if cloud.auto_release_hours:
            moment = deployment.ports.clock.now() + timedelta(hours=cloud.auto_release_hours)
            release_at = moment.replace(second=0, microsecond=0).isoformat()
        image_id = cloud.image_id or deployment.cloud.newest_image(cloud.image_family, instance_type).id
        choice = InstanceChoice(type=instance_type, zone=zone, image_id=image_id, release_at=release_at)
        with deployment.store.changing() as state:
            state.pending_instances = choice
        return choice

    def request(self, *, type: str, zone: str, image_id: str, release_at: str | None) -> InstanceRequest:
        """What RunInstances is asked; equal for equal arguments, as a ClientToken demands."""
        cloud = self.deployment.spec.cloud
        return InstanceRequest(
            names=self.deployment.host_names,
            instance_type=type,
            zone=zone,
            image_id=image_id,
            vswitch_id=self.vswitch.in_zone(zone),
            security_group_id=self.group.id(),
            key_pair=self.key_pair.id(),
            system_disk=cloud.system_disk,
            internet_bandwidth_mbps=cloud.internet_bandwidth_mbps,
            spot=cloud.spot,
            auto_release_at=datetime.fromisoformat(release_at) if release_at else None,
            deletion_protection=cloud.deletion_protection,
            ram_role=cloud.ram_role,
            user_data=cloud.user_data,
            login_as_non_root=self.deployment.spec.ssh.user == NON_ROOT,
        )

    def _note_price(self, request: InstanceRequest) -> None:
        price = self.deployment.cloud.price(request)
        with self.deployment.store.changing() as state:
            state.price = Price(price.per_hour * len(request.names), price.currency)
        self.deployment.progress(f"{len(request.names)} x {price.per_hour:g} {price.currency} an hour")

    def _wait_until_running(self) -> None:
        deployment = self.deployment
        clock = deployment.ports.clock
        deadline = clock.monotonic() + RUNNING_DEADLINE_S
        pause = 0.1
        while True:
            found = self._found()
            waiting = [i for i in found if i.state != "Running" or not i.public_ip]
            if len(found) >= len(deployment.host_names) and not waiting:
                self._compare(found)
                self._remember(found)
                return
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

    def _remember(self, found: list[Instance]) -> None:
        spec = self.deployment.spec
        by_name = {instance.name: instance for instance in found}
        if self.name in self.deployment.store.state.unresolved:
            self.deployment.note_made("instance", [instance.id for instance in found])
            self.deployment.store.record(self.name, [instance.id for instance in found])
        self.deployment.set_addresses(
            [
                HostAddress(
                    name,
                    by_name[name].public_ip,
                    by_name[name].private_ip,
                    spec.ssh.port,
                    spec.ssh.user,
                    by_name[name].id,
                )
                for name in self.deployment.host_names
            ]
        )

    def undo(self) -> None:
        """Release all, running or not; their disks and addresses go with them, or after them."""
        for kind in ("instance", "eip", "disk"):
            delete_tagged(self.deployment, kind)
        self.deployment.set_addresses([])


def _spot_words(limit: float | None) -> str:
    return f"up to {limit:g} an hour" if limit else "at the market price"
