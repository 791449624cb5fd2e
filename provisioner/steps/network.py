"""VPC, VSwitch, security group and key pair: what instances need around them (the wizard behind the paper's step 1).

Each is found by the deployment's tag, created with a recorded ClientToken, and deleted in reverse. One that the
inventory names by id is used as it is, and never deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_network

from provisioner.deployment.cloud_access import CloudAccess
from provisioner.errors import CloudRefusedError, DriftError, StateError
from provisioner.resources import IngressRule, Kind, Resource
from provisioner.step import PRESENT, Description, Finding, Observed, PlannedResource, Presence, Step
from provisioner.steps.request import Candidate, candidates, first_that_can_be_had, no_zone

RULE_DESCRIPTION = "provisioner: SSH from the caller"


class _NetworkStep(Step):
    """What the four have in common: a kind that is looked up by tag, or an id that was given."""

    kind: Kind
    undone = True

    def __init__(self, access: CloudAccess) -> None:
        self._access = access
        self._spec = access.spec.cloud
        self.name: str = self.kind
        self._id: str | None = None

    @property
    def given(self) -> str | None:
        """The id that the inventory names."""
        raise NotImplementedError

    def find(self) -> Resource | None:
        """Ours, by tag. Raises DriftError when there are several."""
        resources, name = self._access.find(self.kind), self._access.deployment.name
        if len(resources) > 1:
            raise DriftError(
                f"{len(resources)} resources of kind {self.kind} carry the tag of {name}: "
                + ", ".join(resource.id for resource in resources),
                f"`provisioner down {name}` removes them all",
            )
        return resources[0] if resources else None

    def id(self) -> str:
        """The id to use in other calls: the given one, or ours as it was found or made."""
        id_ = self.given or self._id
        if not id_:
            raise StateError(f"the {self.kind} does not exist yet")
        return id_

    def _create(self, call: Callable[[str], str]) -> str:
        (self._id,) = self._access.journal.create(self.kind, "", lambda token: [call(token)])
        return self._id

    def _observed(self, resource: Resource | None) -> Observed:
        return Observed(self.kind, {"": (resource.id,)} if resource else {})

    def check(self) -> Finding:
        """Present when given or found by tag."""
        if self.given:
            return PRESENT
        resource = self.find()
        self._id = resource.id if resource else None
        if resource is None:
            return Finding(Presence.ABSENT, observed=self._observed(None))
        return Finding(Presence.PRESENT, resource.id, self._observed(resource))

    def _describe(self, title: str, **attributes: object) -> Description:
        if self.given:
            return Description(f"Use {self.kind} {self.given}")
        return Description(title, (PlannedResource(self.kind, self._access.deployment.name, attributes),))

    def undo(self) -> None:
        """Delete ours. A given one is left alone, since it does not carry the deployment's tags.

        There may be one of ours although one is given: the inventory may have come to name it later.
        """
        self._access.delete(self.kind)


class VpcStep(_NetworkStep):
    """The private network."""

    kind: Kind = "vpc"

    @property
    def given(self) -> str | None:
        """Inventory: cloud.vpc_id."""
        return self._spec.vpc_id

    def describe(self) -> Description:
        cidr = self._spec.vpc_cidr
        return self._describe(f"Create VPC {cidr}", cidr=cidr, region=self._spec.region)

    def apply(self) -> None:
        deployment, cloud, cidr = self._access.deployment, self._access.cloud, self._spec.vpc_cidr
        self._create(lambda token: cloud.create_vpc(deployment.name, cidr, deployment.tags, token))


class VSwitchStep(_NetworkStep):
    """The subnet in one zone. Another zone, tried when the first has no stock, gets a VSwitch of its own."""

    kind: Kind = "vswitch"

    def __init__(self, access: CloudAccess, vpc: VpcStep) -> None:
        super().__init__(access)
        self._vpc = vpc
        self._by_zone: dict[str, str] = {}
        self._candidates: list[Candidate] | None = None

    @property
    def given(self) -> str | None:
        """Inventory: cloud.vswitch_id."""
        return self._spec.vswitch_id

    def describe(self) -> Description:
        """One VSwitch, in the first candidate zone."""
        zones = self._spec.zones
        zone = "the first zone in stock" if zones == "auto" else zones[0]
        return self._describe(f"Create VSwitch in {zone}", zone="auto" if zones == "auto" else zones[0])

    def find(self) -> Resource | None:
        """Any of ours will do here: `in_zone` adds what an instance needs."""
        resources = self._access.find(self.kind)
        self._by_zone = {resource.zone: resource.id for resource in resources}
        return resources[0] if resources else None

    def _observed(self, resource: Resource | None) -> Observed:  # noqa: ARG002
        return Observed(self.kind, {zone: (id_,) for zone, id_ in self._by_zone.items()})

    def apply(self) -> None:
        """CreateVSwitch in the zone of the first candidate whose zone takes one."""
        by_zone: dict[str, Candidate] = {}
        for candidate in self.candidates():
            by_zone.setdefault(candidate.zone, candidate)

        def refused(words: str) -> None:
            self._access.progress(f"{words}; trying the next zone")

        first_that_can_be_had(by_zone.values(), lambda candidate: self.in_zone(candidate.zone), refused)

    def candidates(self) -> list[Candidate]:
        """The types and zones to ask for, in order; the cloud is asked once for what is in stock and open.

        Raises CloudRefusedError when no zone may be used.
        """
        if self._candidates is None:
            cloud = self._access.cloud
            stock = cloud.stock(self._spec.instance_types, spot=self._spec.spot is not None)
            self._candidates = candidates(self._access.spec, stock, cloud.zones())
        if not self._candidates:
            raise no_zone(self._access.spec)
        return self._candidates

    def in_zone(self, zone: str) -> str:
        """The id of our VSwitch in a zone, created if it is not there."""
        if self.given:
            return self.given
        if zone in self._by_zone:  # as `check` saw it, which ran before
            return self._by_zone[zone]
        access, deployment = self._access, self._access.deployment
        # A /20 for each zone of the /16.
        cidr = _subnet(self._spec.vpc_cidr, access.journal.subnet_number(zone))
        vpc_id = self._vpc.id()

        def call(token: str) -> list[str]:
            return [access.cloud.create_vswitch(vpc_id, zone, cidr, deployment.name, deployment.tags, token)]

        (self._by_zone[zone],) = access.journal.create(self.kind, zone, call)
        return self._by_zone[zone]


def _subnet(cidr: str, index: int) -> str:
    network = ip_network(cidr)
    length = min(max(network.prefixlen + 4, 16), 29)  # a VSwitch is a /16 to a /29
    subnets = list(network.subnets(new_prefix=length))
    if index >= len(subnets):
        raise CloudRefusedError(f"{cidr} has no room for a VSwitch in another zone", "give a wider cloud.vpc_cidr")
    return str(subnets[index])


class SecurityGroupStep(_NetworkStep):
    """The firewall: SSH from the caller's address, everything among the group's own members, nothing else."""

    kind: Kind = "security-group"

    def __init__(self, access: CloudAccess, vpc: VpcStep, caller_cidrs: Callable[[], Sequence[str]]) -> None:
        super().__init__(access)
        self._vpc = vpc
        self._caller_cidrs = caller_cidrs
        self._port = access.spec.ssh.port

    @property
    def given(self) -> str | None:
        """Inventory: cloud.security_group_id."""
        return self._spec.security_group_id

    def describe(self) -> Description:
        ssh_from = self._spec.ssh_from
        source = "this machine's address" if ssh_from == "auto" else ", ".join(ssh_from)
        description = self._describe(
            f"Create security group: SSH (port {self._port}) from {source} only",
            ssh_from=ssh_from if ssh_from == "auto" else list(ssh_from),
            port=self._port,
        )
        if ssh_from != "auto" and any(ip_network(cidr).prefixlen == 0 for cidr in ssh_from):
            warning = "cloud.ssh_from opens SSH to the whole internet"
            return Description(description.title, description.resources, warnings=(warning,))
        return description

    def check(self) -> Finding:
        """Present when the group is there and lets in just what it should; a changed caller address is absent again."""
        finding = super().check()
        if self.given or finding.presence is not Presence.PRESENT:
            return finding
        present, rules = self._present_rules(self.id()), self._rules()
        if {(rule.ports, rule.source) for rule in present} != {(rule.ports, rule.source) for rule in rules}:
            return Finding(
                Presence.ABSENT, f"SSH is open to {_sources(present)}, not to {_sources(rules)}", finding.observed
            )
        return Finding(Presence.PRESENT, f"{finding.detail}, SSH from {_sources(rules)}", finding.observed)

    def _present_rules(self, group_id: str) -> list[IngressRule]:
        """Those of ours that the group has; whatever else a person added is theirs."""
        return [rule for rule in self._access.cloud.ingress_rules(group_id) if rule.description == RULE_DESCRIPTION]

    def _rules(self) -> Sequence[IngressRule]:
        ports = f"{self._port}/{self._port}"
        return [IngressRule("tcp", ports, cidr, RULE_DESCRIPTION) for cidr in self._caller_cidrs()]

    def apply(self) -> None:
        """CreateSecurityGroup if needed, then its rules; rules of ours that no longer hold are revoked."""
        deployment, cloud = self._access.deployment, self._access.cloud
        present: list[IngressRule] = []
        if self._id:  # as `check` saw it, which ran before
            group_id = self._id
            present = self._present_rules(group_id)
        else:
            vpc_id, name, tags = self._vpc.id(), deployment.name, deployment.tags
            group_id = self._create(lambda token: cloud.create_security_group(vpc_id, name, tags, token))
        rules = self._rules()
        cloud.authorize(group_id, rules)
        lasting = {(rule.ports, rule.source) for rule in rules}
        stale = [rule for rule in present if (rule.ports, rule.source) not in lasting]
        if stale:
            cloud.revoke(group_id, stale)


def _sources(rules: Sequence[IngressRule]) -> str:
    return ", ".join(sorted(f"{rule.source} on port {rule.ports.partition('/')[0]}" for rule in rules)) or "nobody"


class KeyPairStep(_NetworkStep):
    """The SSH key: generated here, only its public half goes to the cloud."""

    kind: Kind = "key-pair"

    def __init__(self, access: CloudAccess, public_key: Callable[[], str]) -> None:
        super().__init__(access)
        self._public_key = public_key

    @property
    def given(self) -> str | None:
        """Inventory: cloud.key_pair."""
        return self._spec.key_pair

    def describe(self) -> Description:
        return self._describe("Import a generated SSH key pair (RSA)", algorithm="rsa")

    def apply(self) -> None:
        """ImportKeyPair, which has no ClientToken: its name holds the run id, and the same name and key is the same."""
        deployment, cloud = self._access.deployment, self._access.cloud
        name, public_key = f"provisioner-{deployment.name}-{deployment.run_id}", self._public_key()
        self._create(lambda token: cloud.import_key_pair(name, public_key, deployment.tags))
