"""VPC, VSwitch, security group and key pair: made here, found in `find`, deleted in `removal`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provisioner.adapters.ecs.api import CREATE_S, tag_list
from provisioner.adapters.ecs.lookup import Lookup
from provisioner.errors import CloudRefusedError
from provisioner.resources import IngressRule, Kind

AVAILABLE_S = 120.0


class Network(Lookup):
    """Everything that instances need around them."""

    def create_vpc(self, name: str, cidr: str, tags: Mapping[str, str], token: str) -> str:
        """CreateVpc (Vpc 2016-04-28: ECS's own knows no tags), and wait until it is Available."""
        parameters = {"VpcName": name, "CidrBlock": cidr}
        return self._create("vpc", "CreateVpc", "VpcId", parameters, tags, token)

    def create_vswitch(self, vpc_id: str, zone: str, cidr: str, name: str, tags: Mapping[str, str], token: str) -> str:
        """CreateVSwitch, and wait until it is Available."""
        parameters = {"VpcId": vpc_id, "ZoneId": zone, "CidrBlock": cidr, "VSwitchName": name}
        return self._create("vswitch", "CreateVSwitch", "VSwitchId", parameters, tags, token)

    def create_security_group(self, vpc_id: str, name: str, tags: Mapping[str, str], token: str) -> str:
        """CreateSecurityGroup. It lets nothing in until `authorize`."""
        parameters = {"VpcId": vpc_id, "SecurityGroupName": name}
        return self._create("security-group", "CreateSecurityGroup", "SecurityGroupId", parameters, tags, token)

    def _create(
        self,
        kind: Kind,
        action: str,
        answer: str,
        parameters: Mapping[str, Any],
        tags: Mapping[str, str],
        token: str,
    ) -> str:
        asked = {**parameters, "Tag": tag_list(tags), "ClientToken": token}
        identifier = str(self._api.call(action, asked, expect=answer, patience_s=CREATE_S)[answer])
        if kind == "security-group":  # has no states
            return identifier

        def not_yet() -> dict[str, str]:
            # Not listed yet counts as not available yet.
            state = self._states(kind, [identifier]).get(identifier, "Pending")
            return {} if state == "Available" else {identifier: state}

        self._api.wait(kind, "to be available", [identifier], not_yet, deadline_s=AVAILABLE_S)
        return identifier

    def ingress_rules(self, group_id: str) -> list[IngressRule]:
        """DescribeSecurityGroupAttribute: what the group lets in from addresses or groups."""
        asked = {"SecurityGroupId": group_id, "Direction": "ingress"}
        return [
            IngressRule(
                protocol=str(item.get("IpProtocol") or "").lower(),
                ports=str(item.get("PortRange") or ""),
                source=_source(item),
                description=str(item.get("Description") or ""),
            )
            for item in self._api.items("DescribeSecurityGroupAttribute", asked)
            if str(item.get("Policy") or "Accept").lower() == "accept" and item.get("Direction") != "egress"
        ]

    def authorize(self, group_id: str, rules: Sequence[IngressRule]) -> None:
        """AuthorizeSecurityGroup: let these in; one that is there already is left as it is."""
        self._change("AuthorizeSecurityGroup", group_id, rules)

    def revoke(self, group_id: str, rules: Sequence[IngressRule]) -> None:
        """RevokeSecurityGroup: no longer let these in."""
        self._change("RevokeSecurityGroup", group_id, rules)

    def _change(self, action: str, group_id: str, rules: Sequence[IngressRule]) -> None:
        permissions = [_permission(rule) for rule in rules]
        for start in range(0, len(permissions), 100):
            self._api.call(action, {"SecurityGroupId": group_id, "Permissions": permissions[start : start + 100]})

    def import_key_pair(self, name: str, public_key: str, tags: Mapping[str, str]) -> str:
        """ImportKeyPair; its name is its id. A pair of this name that holds the same key counts as done."""
        asked = {"KeyPairName": name, "PublicKeyBody": public_key, "Tag": tag_list(tags)}
        try:
            # The action has no ClientToken: after a lost answer the retry finds the pair of the first try.
            self._api.call("ImportKeyPair", asked, expect="KeyPairName", patience_s=CREATE_S)
        except CloudRefusedError as error:
            if error.code != "KeyPair.AlreadyExist" or not self._holds(name, public_key):
                raise
        return name

    def _holds(self, name: str, public_key: str) -> bool:
        pairs = self._api.items("DescribeKeyPairs", {"KeyPairName": name, "IncludePublicKey": True})
        return any(pair["KeyPairName"] == name and _same_key(pair.get("PublicKey"), public_key) for pair in pairs)


def _same_key(one: str | None, other: str) -> bool:
    """Whether two `TYPE BASE64 COMMENT` lines hold the same key."""
    return (one or "").split()[:2] == other.split()[:2]


def _source(item: Mapping[str, Any]) -> str:
    kinds = ("SourceCidrIp", "Ipv6SourceCidrIp", "SourceGroupId", "SourcePrefixListId")
    return next((str(item[kind]) for kind in kinds if item.get(kind)), "")


def _permission(rule: IngressRule) -> dict[str, str]:
    if rule.source.startswith("sg-"):
        source = "SourceGroupId"
    else:
        source = "Ipv6SourceCidrIp" if ":" in rule.source else "SourceCidrIp"
    words = {"Description": rule.description} if rule.description else {}
    return {"IpProtocol": rule.protocol.upper(), "PortRange": rule.ports, source: rule.source, **words}
