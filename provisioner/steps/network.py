"""VPC, VSwitch, security group and key pair: what instances need around them (the wizard behind the paper's step 1).

Each is found by the deployment's tag, created with a recorded ClientToken, and deleted in reverse. One that the
inventory names by id is used as it is, and never deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_network

from provisioner.deployment import Deployment
from provisioner.errors import CloudRefusedError, DriftError, StateError
from provisioner.resources import TAG_NAME, IngressRule, Kind, Resource
from provisioner.step import PRESENT, Description, Finding, Observed, PlannedResource, Presence
from provisioner.steps.request import Candidate, candidates, first_that_can_be_had, no_zone

RULE_DESCRIPTION = "provisioner: SSH from the caller"


def delete_tagged(deployment: Deployment, kind: Kind) -> None:
    """Delete every resource of a kind that carries the deployment's tag, and what was made and does not show yet."""
    listed = deployment.cloud.find(kind, deployment.own_tags)
    unlisted = [made for made in deployment.journal.made(kind) if made not in {resource.id for resource in listed}]
    ids = [*(resource.id for resource in listed), *unlisted]
    if ids:
        deployment.progress(f"deleting {', '.join(ids)}")
        deleted = deployment.cloud.delete(kind, ids)
        # What was made and did not show is there for certain only when the service says that it has deleted it.
        deployment.removed += [*listed, *(Resource(kind, made, "") for made in unlisted if made in deleted)]
        deployment.journal.deleted(kind)


class _CloudStep:
    """What the four have in common: a kind that is looked up by tag, or an id that was given."""

    kind: Kind
    host: str | None = None
    owner: str | None = None

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.name: str = self.kind
        self._id: str | None = None

    @property
    def given(self) -> str | None:
        """The id that the inventory names."""
        raise NotImplementedError

    def _all(self) -> list[Resource]:
        deployment, tags = self.deployment, {TAG_NAME: self.deployment.spec.name}
        return deployment.journal.listed(
            self.kind, lambda: deployment.only_ours(deployment.cloud.find(self.kind, tags))
        )

    def find(self) -> Resource | None:
        """Ours, by tag."""
        found = self._all()
        if len(found) > 1:
            raise DriftError(
                f"{len(found)} resources of kind {self.kind} carry the tag of {self.deployment.spec.name}: "
                + ", ".join(resource.id for resource in found),
                f"`provisioner down {self.deployment.spec.name}` removes them all",
            )
        return found[0] if found else None

    def id(self) -> str:
        """The id to use in other calls: the given one, or ours as it was found or made."""
        known = self.given or self._id
        if not known:
            raise StateError(f"the {self.kind} does not exist yet")
        return known

    def _create(self, call: Callable[[str], str]) -> str:
        (self._id,) = self.deployment.journal.create(self.kind, "", lambda token: [call(token)])
        return self._id

    def _observed(self, found: Resource | None) -> Observed:
        return Observed(self.kind, {"": (found.id,)} if found else {})

    def check(self) -> Finding:
        """Present when given or found by tag."""
        if self.given:
            return PRESENT
        found = self.find()
        self._id = found.id if found else None
        if found is None:
            return Finding(Presence.ABSENT, observed=self._observed(None))
        return Finding(Presence.PRESENT, found.id, self._observed(found))

    def _describe(self, title: str, **attributes: object) -> Description:
        if self.given:
            return Description(f"Use {self.kind} {self.given}")
        return Description(title, (PlannedResource(self.kind, self.deployment.spec.name, attributes),))

    def undo(self) -> None:
        """Delete ours. A given one is left alone, since it does not carry the deployment's tags.

        There may be one of ours although one is given: the inventory may have come to name it later.
        """
        delete_tagged(self.deployment, self.kind)


class VpcStep(_CloudStep):
    """The private network."""

    kind: Kind = "vpc"

    @property
    def given(self) -> str | None:
        """Inventory: cloud.vpc_id."""
        return self.deployment.spec.cloud.vpc_id

    def describe(self) -> Description:
        """One VPC."""
        cidr = self.deployment.spec.cloud.vpc_cidr
        return self._describe(f"Create VPC {cidr}", cidr=cidr, region=self.deployment.spec.cloud.region)

    def apply(self) -> None:
        """CreateVpc."""
        spec, cloud, tags = self.deployment.spec, self.deployment.cloud, self.deployment.tags
        self._create(lambda token: cloud.create_vpc(spec.name, spec.cloud.vpc_cidr, tags, token))


class VSwitchStep(_CloudStep):
    """The subnet in one zone. Another zone, tried when the first has no stock, gets a VSwitch of its own."""

    kind: Kind = "vswitch"

    def __init__(self, deployment: Deployment, vpc: VpcStep) -> None:
        super().__init__(deployment)
        self.vpc = vpc
        self._by_zone: dict[str, str] = {}
        self._candidates: list[Candidate] | None = None

    @property
    def given(self) -> str | None:
        """Inventory: cloud.vswitch_id."""
        return self.deployment.spec.cloud.vswitch_id

    def describe(self) -> Description:
        """One VSwitch, in the first candidate zone."""
        zones = self.deployment.spec.cloud.zones
        zone = "the first zone in stock" if zones == "auto" else zones[0]
        return self._describe(f"Create VSwitch in {zone}", zone="auto" if zones == "auto" else zones[0])

    def find(self) -> Resource | None:
        """Any of ours will do here: `in_zone` adds what an instance needs."""
        found = self._all()
        self._by_zone = {resource.zone: resource.id for resource in found}
        return found[0] if found else None

    def _observed(self, found: Resource | None) -> Observed:  # noqa: ARG002
        return Observed(self.kind, {zone: (id_,) for zone, id_ in self._by_zone.items()})

    def apply(self) -> None:
        """CreateVSwitch in the zone of the first candidate whose zone takes one."""
        by_zone: dict[str, Candidate] = {}
        for candidate in self.candidates():
            by_zone.setdefault(candidate.zone, candidate)

        def refused(words: str) -> None:
            self.deployment.progress(f"{words}; trying the next zone")

        first_that_can_be_had(by_zone.values(), lambda candidate: self.in_zone(candidate.zone), refused)

    def candidates(self) -> list[Candidate]:
        """The types and zones to ask for, in order; the cloud is asked once for what is in stock and open.

        Raises CloudRefusedError when no zone may be used.
        """
        if self._candidates is None:
            spec, cloud = self.deployment.spec, self.deployment.cloud
            stock = cloud.stock(spec.cloud.instance_types, spot=spec.cloud.spot is not None)
            self._candidates = candidates(spec, stock, cloud.zones())
        if not self._candidates:
            raise no_zone(self.deployment.spec)
        return self._candidates

    def in_zone(self, zone: str) -> str:
        """The id of our VSwitch in a zone, created if it is not there."""
        if self.given:
            return self.given
        deployment = self.deployment
        if zone in self._by_zone:  # as `check` saw it, which ran before
            return self._by_zone[zone]
        # A /20 for each zone of the /16: the n-th zone asked for gets the n-th, and keeps it.
        zones = deployment.store.state.vswitch_zones
        if zone not in zones:
            zones = (*zones, zone)
            with deployment.store.changing() as state:
                state.vswitch_zones = zones
        cidr = _subnet(deployment.spec.cloud.vpc_cidr, zones.index(zone))
        vpc_id, name, tags = self.vpc.id(), deployment.spec.name, deployment.tags

        def call(token: str) -> list[str]:
            return [deployment.cloud.create_vswitch(vpc_id, zone, cidr, name, tags, token)]

        (self._by_zone[zone],) = deployment.journal.create(self.kind, zone, call)
        return self._by_zone[zone]


def _subnet(cidr: str, index: int) -> str:
    network = ip_network(cidr)
    length = min(max(network.prefixlen + 4, 16), 29)  # a VSwitch is a /16 to a /29
    subnets = list(network.subnets(new_prefix=length))
    if index >= len(subnets):
        raise CloudRefusedError(f"{cidr} has no room for a VSwitch in another zone", "give a wider cloud.vpc_cidr")
    return str(subnets[index])


class SecurityGroupStep(_CloudStep):
    """The firewall: SSH from the caller's address, everything among the group's own members, nothing else."""

    kind: Kind = "security-group"

    def __init__(self, deployment: Deployment, vpc: VpcStep) -> None:
        super().__init__(deployment)
        self.vpc = vpc

    @property
    def given(self) -> str | None:
        """Inventory: cloud.security_group_id."""
        return self.deployment.spec.cloud.security_group_id

    def describe(self) -> Description:
        """One group and its rule."""
        spec = self.deployment.spec
        source = "this machine's address" if spec.cloud.ssh_from == "auto" else ", ".join(spec.cloud.ssh_from)
        description = self._describe(
            f"Create security group: SSH (port {spec.ssh.port}) from {source} only",
            ssh_from=spec.cloud.ssh_from if spec.cloud.ssh_from == "auto" else list(spec.cloud.ssh_from),
            port=spec.ssh.port,
        )
        if spec.cloud.ssh_from != "auto" and any(ip_network(cidr).prefixlen == 0 for cidr in spec.cloud.ssh_from):
            warning = "cloud.ssh_from opens SSH to the whole internet"
            return Description(description.title, description.resources, warnings=(warning,))
        return description

    def check(self) -> Finding:
        """Present when the group is there and lets in just what it should; a changed caller address is absent again."""
        finding = super().check()
        if self.given or finding.presence is not Presence.PRESENT:
            return finding
        ours = [rule for rule in self.deployment.cloud.ingress_rules(self.id()) if rule.description == RULE_DESCRIPTION]
        wanted = self._rules()
        if {(rule.ports, rule.source) for rule in ours} != {(rule.ports, rule.source) for rule in wanted}:
            return Finding(
                Presence.ABSENT, f"SSH is open to {_sources(ours)}, not to {_sources(wanted)}", finding.observed
            )
        return Finding(Presence.PRESENT, f"{finding.detail}, SSH from {_sources(wanted)}", finding.observed)

    def _rules(self) -> Sequence[IngressRule]:
        spec = self.deployment.spec
        sources = self.deployment.ports.caller_cidrs()
        return [IngressRule("tcp", f"{spec.ssh.port}/{spec.ssh.port}", cidr, RULE_DESCRIPTION) for cidr in sources]

    def apply(self) -> None:
        """CreateSecurityGroup if needed, then its rules; rules of ours that no longer hold are revoked."""
        deployment = self.deployment
        stale: list[IngressRule] = []
        if self._id:  # as `check` saw it, which ran before
            identifier = self._id
            stale = [r for r in deployment.cloud.ingress_rules(identifier) if r.description == RULE_DESCRIPTION]
        else:
            vpc_id, name, tags = self.vpc.id(), deployment.spec.name, deployment.tags
            identifier = self._create(lambda token: deployment.cloud.create_security_group(vpc_id, name, tags, token))
        wanted = self._rules()
        deployment.cloud.authorize(identifier, wanted)
        lasting = {(rule.ports, rule.source) for rule in wanted}
        stale = [rule for rule in stale if (rule.ports, rule.source) not in lasting]
        if stale:
            deployment.cloud.revoke(identifier, stale)


def _sources(rules: Sequence[IngressRule]) -> str:
    return ", ".join(sorted(f"{rule.source} on port {rule.ports.partition('/')[0]}" for rule in rules)) or "nobody"


class KeyPairStep(_CloudStep):
    """The SSH key: generated here, only its public half goes to the cloud."""

    kind: Kind = "key-pair"

    @property
    def given(self) -> str | None:
        """Inventory: cloud.key_pair."""
        return self.deployment.spec.cloud.key_pair

    def describe(self) -> Description:
        """One key pair."""
        return self._describe("Import a generated SSH key pair (RSA)", algorithm="rsa")

    def apply(self) -> None:
        """ImportKeyPair, which has no ClientToken: its name holds the run id, and the same name and key is the same."""
        deployment = self.deployment
        name, tags = f"provisioner-{deployment.spec.name}-{deployment.run_id}", deployment.tags
        public_key = deployment.ports.public_key()
        self._create(lambda token: deployment.cloud.import_key_pair(name, public_key, tags))
